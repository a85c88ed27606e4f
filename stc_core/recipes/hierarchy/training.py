"""What every training of a hierarchy shares, and the layer of each head."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stc_core.backbone import changes, class_guides
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.label_tree import Tree
from stc_core.config import TrainConfig
from stc_core.data.corpus import Corpus
from stc_core.data.task import Task
from stc_core.errors import StcError
from stc_core.heads.head import SparseHead
from stc_core.recipes.hierarchy.layer_probes import (
    LevelProbe,
    checked_layers,
    layers_of_stack,
    proposed_layers,
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
from stc_core.tuning.history import History
from stc_core.tuning.readout import Readout
from stc_core.tuning.session import TuningSession, load_untuned


class LevelPlan(NamedTuple):
    """The layer of each level, the blocks that learn, the weights of the losses."""

    layers: tuple[int, ...]
    tuned: tuple[int, ...]
    weights: tuple[float, ...]


class TrainedHierarchy(NamedTuple):
    """The result of a training: the kept backbone, the heads and the history."""

    backbone: Backbone
    heads: tuple[SparseHead, ...]
    history: History
    n_trainable: int


def plan_levels(
    base: Backbone,
    probes: Sequence[Sequence[LevelProbe]],
    levels: Levels,
    s: TrainConfig,
    *,
    above: int = 0,
    layers: tuple[int, ...] = (),
) -> LevelPlan:
    """The layers, given or proposed, and the blocks that learn below each of them.

    `above` counts the parts that are written after the levels; their layers come last.
    """
    wish, n = s.hierarchy, len(levels.tasks[0].validation)
    depth = levels.depth + above
    if wish.layers and not layers:
        layers = checked_layers(wish.layers, base, depth)
    elif not layers:
        layers = proposed_layers(probes, n, above=above)
    weights = wish.weights or (1.0,) * depth
    if len(weights) != depth:
        written = ", then thought and reply" if above else ""
        raise StcError(
            "weights of the levels",
            expected=f"{depth} of them, from coarse to fine{written}",
            got=str(len(weights)),
        )
    stack = [layer for layer in layers_of_stack(base) if layer <= layers[-1]]
    reach = len(stack) if s.tune.where == "all" else s.tune.blocks
    tuned = {layer for end in layers for layer in range(end - reach + 1, end + 1)}
    return LevelPlan(layers, tuple(sorted(tuned & set(stack))), weights)


class HierarchyTraining(NamedTuple):
    """What every training of a run shares: rows, settings and the run's writer."""

    corpus: Corpus
    levels: Levels
    settings: TrainConfig
    writer: RunWriter

    def prepared(
        self,
        plan: LevelPlan,
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
        tunable = cut_and_adapt(base, where, what, seed=self.settings.seed)
        if tune.checkpointing:
            checkpoint_blocks(tunable.backbone)
        return tunable, what

    def train(
        self,
        readout: Readout,
        backbone: Backbone,
        task: Task,
        *,
        name: str,
        tails: Sequence[Sequence[np.ndarray]] | None = None,
    ) -> History:
        """Train `readout` on a level's task; tuning.json shows the main training.

        With `tails`, the replies of the rows, the validation loss chooses the epoch, as
        it counts the replies too.
        """
        session = TuningSession(self.corpus, task, self.settings, self.writer, tails)
        under = "" if name == "hierarchy" else None
        by = None if tails is None else "loss"
        return session.train(readout, backbone, name=name, under=under, by=by)


def _specs(
    base: Backbone, plan: LevelPlan, tree: Tree
) -> tuple[class_guides.GuideSpec, ...]:
    """A guide after each level's layer but the last, before the next block."""
    names = {module: name for name, module in base.model.named_modules()}
    blocks = [base.block(layer + 1) for layer in plan.layers[:-1]]
    everywhere = [base.block(layer) for layer in layers_of_stack(base)]
    if len(set(everywhere)) < len(everywhere):
        raise StcError(
            f"recipe hierarchy on {base.name}",
            expected="a backbone whose blocks are each a module of its own",
            got=f"one block that runs {len(everywhere)} times ({base.family})",
            remedy="Choose another backbone.",
        )
    return tuple(
        class_guides.GuideSpec(
            names[block], base.d_model, tuple(tree.ancestors(level).tolist())
        )
        for level, block in enumerate(blocks)
        if block is not None
    )
