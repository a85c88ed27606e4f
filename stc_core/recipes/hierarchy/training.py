"""What the heads of a hierarchy are trained on, and where each stands."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from stc_core.backbone import changes, class_guides
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.label_tree import Tree
from stc_core.config import TrainConfig
from stc_core.data.corpus import Corpus
from stc_core.errors import StcError
from stc_core.heads.head import SparseHead
from stc_core.recipes.hierarchy.layer_probes import (
    LevelProbe,
    checked_layers,
    propose,
    stack_of,
)
from stc_core.recipes.hierarchy.levels import Levels
from stc_core.runs.writer import RunWriter
from stc_core.tuning.blocks import (
    TunableBackbone,
    TunePlan,
    changes_for,
    checkpoint_blocks,
    cut_and_adapt,
)
from stc_core.tuning.readout import Readout
from stc_core.tuning.session import TuningSession, load_untuned
from stc_core.tuning.trainer import History


class Plan(NamedTuple):
    """The layer of each level, the blocks that learn, the weights of the losses."""

    layers: tuple[int, ...]
    tuned: tuple[int, ...]
    weights: tuple[float, ...]


class TrainedHierarchy(NamedTuple):
    """What a training left: where it was kept, its heads and how it went."""

    backbone: Backbone
    heads: tuple[SparseHead, ...]
    history: History
    n_trainable: int


def plan_levels(
    base: Backbone,
    rungs: Sequence[Sequence[LevelProbe]],
    levels: Levels,
    s: TrainConfig,
    *,
    above: int = 0,
) -> Plan:
    """Layers as given or proposed; by default the blocks that end at each of them.

    After those of the levels come those of `above` parts that are written after them.
    """
    wish, n = s.hierarchy, len(levels.tasks[0].validation)
    depth = levels.depth + above
    if wish.layers:
        layers = checked_layers(wish.layers, base, depth)
    else:
        layers = propose(rungs, n, above=above)
    weights = wish.weights or (1.0,) * depth
    if len(weights) != depth:
        written = ", then thought and reply" if above else ""
        raise StcError(
            "weights of the levels",
            expected=f"{depth} of them, from coarse to fine{written}",
            got=str(len(weights)),
        )
    stack = [layer for layer in stack_of(base) if layer <= layers[-1]]
    reach = len(stack) if s.tune.where == "all" else s.tune.blocks
    tuned = {layer for end in layers for layer in range(end - reach + 1, end + 1)}
    return Plan(layers, tuple(sorted(tuned & set(stack))), weights)


class HierarchyTraining(NamedTuple):
    """What every training of a run shares: rows, settings, and who is told."""

    corpus: Corpus
    levels: Levels
    settings: TrainConfig
    writer: RunWriter

    def prepared(
        self,
        plan: Plan,
        *,
        layer: int,
        with_guides: bool = False,
        max_length: int | None = None,
    ) -> tuple[TunableBackbone, changes.Changes]:
        """A fresh backbone with a head on `layer`, ready to be tuned."""
        base, tune = load_untuned(self.settings, max_length), self.settings.tune
        where = TunePlan(layer, tuple(n for n in plan.tuned if n <= layer))
        what = changes_for(base, where, tune)
        if with_guides:
            what = what._replace(guides=_specs(base, plan, self.levels.tree))
        graft = cut_and_adapt(base, where, what, seed=self.settings.seed)
        if tune.checkpointing:
            checkpoint_blocks(graft.backbone)
        return graft, what

    def train(
        self,
        readout: Readout,
        backbone: Backbone,
        codes: Int[np.ndarray, " n"],
        *,
        name: str,
        tails: Sequence[Sequence[np.ndarray]] | None = None,
    ) -> History:
        """Trains it on the training rows; the main one is told in tuning.json.

        With `tails`, what is written after each row's labels, epochs are judged by the
        loss, to which they belong.
        """
        task = self.levels.tasks[0]._replace(codes=codes)
        lesson = TuningSession(self.corpus, task, self.settings, self.writer, tails)
        under = "" if name == "hierarchy" else None
        by = None if tails is None else "loss"
        return lesson.train(readout, backbone, name=name, under=under, by=by)


def _specs(base: Backbone, plan: Plan, tree: Tree) -> tuple[class_guides.Spec, ...]:
    """A guide above each layer but the last: below the block that follows it."""
    names = {module: name for name, module in base.model.named_modules()}
    blocks = [base.block(layer + 1) for layer in plan.layers[:-1]]
    everywhere = [base.block(layer) for layer in stack_of(base)]
    if len(set(everywhere)) < len(everywhere):
        raise StcError(
            f"recipe hierarchy on {base.name}",
            expected="a backbone whose blocks are each a module of its own",
            got=f"one block that runs {len(everywhere)} times ({base.family})",
            remedy="Choose another backbone.",
        )
    return tuple(
        class_guides.Spec(
            names[block], base.d_model, tuple(tree.ancestors(level).tolist())
        )
        for level, block in enumerate(blocks)
        if block is not None
    )
