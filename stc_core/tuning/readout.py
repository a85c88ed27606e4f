"""A backbone with a linear head on the mean of its last layer, as one module."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from stc_core.backbone.backbone import Backbone
from stc_core.backbone.pooling import pool
from stc_core.heads.head import SparseHead
from stc_core.metrics.criteria import CRITERIA
from stc_core.metrics.scores import accuracy, macro_f1
from stc_core.types import Site


class Readout(nn.Module):
    """logits = bias + weight (mean of the states of `site` - mean) / sd.

    It begins with the weights of `head`, so its first logits are those of the frozen
    backbone. Only the modules of `parts` and the head learn, and only `blocks` use
    dropout. `state_dict` has only what learns, so that checkpoints are small.
    """

    accepts_loss_kwargs = False  # the Trainer must average over accumulated batches

    def __init__(
        self,
        backbone: Backbone,
        head: SparseHead,
        parts: Sequence[nn.Module],
        blocks: Sequence[nn.Module],
        *,
        class_weight: Float[np.ndarray, " n_class"] | None = None,
    ) -> None:
        super().__init__()
        self.model = backbone.model
        self.head = nn.Linear(len(head.features), len(head.classes))
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(head.weight))
            self.head.bias.copy_(torch.from_numpy(head.bias))
        for name, values in (("mean", head.mean), ("sd", head.sd)):
            self.register_buffer(name, torch.from_numpy(np.array(values, np.float32)))
        weights = None if class_weight is None else torch.from_numpy(class_weight)
        self.loss = nn.CrossEntropyLoss(weights)
        self.criterion = CRITERIA["accuracy"]
        self.to(backbone.device)
        self._backbone, self._blocks = backbone, list(blocks)
        self._features, self._classes = head.features, head.classes
        for part in parts:
            learn(part)

    @property
    def width(self) -> int:
        """The width of the hidden states."""
        return self._backbone.d_model

    @property
    def site(self) -> Site:
        return self._features[0].site

    def forward(
        self, labels: Tensor | None = None, **inputs: Tensor
    ) -> dict[str, Tensor]:
        """The logits of a padded batch, and the loss if its labels are given."""
        hidden = self._backbone.graded(inputs, [self.site])[self.site]
        pooled = pool(hidden, inputs["attention_mask"].bool(), "mean")
        mean, sd = cast(Tensor, self.mean), cast(Tensor, self.sd)
        logits = self.head((pooled - mean) / sd).float()
        if labels is None:
            return {"logits": logits}
        return {"loss": self.loss(logits, labels), "logits": logits}

    def train(self, mode: bool = True) -> "Readout":
        """Set the mode of the blocks that learn; frozen blocks never use dropout."""
        super().train(False)
        self.training = mode
        for block in self._blocks:
            block.train(mode)
        return self

    def learned(self) -> dict[str, nn.Parameter]:
        """The parameters that learn, by name."""
        return {n: p for n, p in self.named_parameters() if p.requires_grad}

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The tensors that learn, and no others."""
        tensors = super().state_dict(*args, **kwargs)
        prefix = kwargs.get("prefix", "")
        learned = {f"{prefix}{name}" for name in self.learned()}
        return {name: tensor for name, tensor in tensors.items() if name in learned}

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load the tensors that learn; `state_dict` must have all of them."""
        assert set(state_dict) == set(self.state_dict()), sorted(state_dict)[:5]
        result = super().load_state_dict(state_dict, strict=False, assign=assign)
        result.missing_keys.clear()
        return result

    def tuned_tensors(self) -> dict[str, Tensor]:
        """The learned weights of the backbone, by their names in the backbone."""
        learned = {id(parameter) for parameter in self.learned().values()}
        return {n: p for n, p in self.model.named_parameters() if id(p) in learned}

    def n_trainable(self) -> int:
        return sum(parameter.numel() for parameter in self.learned().values())

    def scores(self, found: Any) -> dict[str, float]:
        """The scores from the logits and labels of a validation of the Trainer.

        `goal_score` is that of `criterion`.
        """
        logits = np.asarray(found.predictions)
        guess = logits.argmax(axis=1)
        return {
            "goal_score": self.criterion.of(found.label_ids, logits),
            "accuracy": accuracy(found.label_ids, guess),
            "macro_f1": macro_f1(found.label_ids, guess),
        }

    def linear_head(self) -> SparseHead:
        """The trained head, on the features that it began with."""
        weight = self.head.weight.detach().float().cpu().numpy()
        bias = self.head.bias.detach().float().cpu().numpy()
        mean, sd = (cast(Tensor, t).cpu().numpy() for t in (self.mean, self.sd))
        return SparseHead(self._features, mean, sd, weight, bias, self._classes)


def learn(module: nn.Module) -> None:
    """Let the parameters of `module` learn, in float32, as small steps need precision.

    If the module has LoRA, only the low-rank part learns.
    """
    lora = [p for n, p in module.named_parameters() if "lora_" in n]
    for parameter in lora or module.parameters():
        parameter.data = parameter.data.float()
        parameter.requires_grad_(True)
