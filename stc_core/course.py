"""Tuning a backbone for several levels of labels, each read at a layer of its own.

Source: the idea of HdLM (arXiv 2507.12930). A head for each coarse level is inside the
backbone and tells the blocks above what it sees; the finest is on top and chooses among
the children of what was decided below.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core import adapt, changes, guides
from stc_core.axes import Feature
from stc_core.backbone import Backbone
from stc_core.cascade import Cascade, sibling_temperature
from stc_core.config import TrainConfig
from stc_core.data import Corpus
from stc_core.errors import StcError
from stc_core.extract import extract_features
from stc_core.head import SparseHead
from stc_core.ladder import Ladder
from stc_core.lesson import Lesson, balanced, keep, loaded
from stc_core.readout import Readout, rescaled
from stc_core.rows import Rows, block_rows, write_rows
from stc_core.rungs import (
    Levels,
    Rung,
    checked_layers,
    propose,
    stack_of,
)
from stc_core.training import History
from stc_core.tree import Tree
from stc_core.tuning import Graft, TunePlan, changed, checkpoint_blocks, grafted
from stc_core.writer import RunWriter


class Plan(NamedTuple):
    """The layer of each level, the blocks that learn, the weights of the losses."""

    layers: tuple[int, ...]
    tuned: tuple[int, ...]
    weights: tuple[float, ...]


class Climbed(NamedTuple):
    """What a training left: where it was kept, its heads and how it went."""

    backbone: Backbone
    heads: tuple[SparseHead, ...]
    history: History
    n_trainable: int


def plan_levels(
    base: Backbone,
    rungs: Sequence[Sequence[Rung]],
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


class Course(NamedTuple):
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
    ) -> tuple[Graft, changes.Changes]:
        """A fresh backbone with a head on `layer`, ready to be tuned."""
        base, tune = loaded(self.settings, max_length), self.settings.tune
        where = TunePlan(layer, tuple(n for n in plan.tuned if n <= layer))
        what = changed(base, where, tune)
        if with_guides:
            what = what._replace(guides=_specs(base, plan, self.levels.tree))
        graft = grafted(base, where, what, seed=self.settings.seed)
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
        lesson = Lesson(self.corpus, task, self.settings, self.writer, tails)
        under = "" if name == "hierarchy" else None
        by = None if tails is None else "loss"
        return lesson.train(readout, backbone, name=name, under=under, by=by)


def _specs(base: Backbone, plan: Plan, tree: Tree) -> tuple[guides.Spec, ...]:
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
        guides.Spec(names[block], base.d_model, tuple(tree.ancestors(level).tolist()))
        for level, block in enumerate(blocks)
        if block is not None
    )


def class_weights(levels: Levels) -> list[Float[np.ndarray, " _"] | None]:
    """For each level the weight of each node in the loss, None where all are alike."""
    return [balanced(task) for task in levels.tasks]


def climbed(course: Course, plan: Plan, rungs: Sequence[Sequence[Rung]]) -> Climbed:
    """The tuned backbone with its heads, kept in the run's folder `backbone`."""
    tree, settings = course.levels.tree, course.settings
    graft, what = course.prepared(plan, layer=plan.layers[-1], with_guides=True)
    backbone = graft.backbone
    readout = Ladder(
        graft,
        tree,
        [head_on(rungs, level, layer) for level, layer in enumerate(plan.layers)],
        weights=plan.weights,
        class_weights=class_weights(course.levels),
    )
    codes = course.levels.codes[:, -1]
    history = course.train(readout, backbone, codes, name="hierarchy")
    kept = keep(
        course.writer.folder,
        what,
        readout.tuned_tensors(),
        backbone=backbone,
        dtype=settings.dtype,
    )
    heads, n_trainable = readout.level_heads(), readout.n_trainable()
    del graft, readout, backbone
    return Climbed(kept.open(), heads, history, n_trainable)


def head_on(rungs: Sequence[Sequence[Rung]], level: int, layer: int) -> SparseHead:
    """The probe on a frozen layer that a level begins with."""
    return next(rung.head for rung in rungs[level] if rung.layer == layer)


class Read(NamedTuple):
    """What the heads say of every row: logits of the nodes of the coarse levels, and
    the activations under the finest head."""

    coarse: tuple[Float[np.ndarray, "n _"], ...]
    finest: Rows

    def logits(
        self, heads: Sequence[SparseHead], rows: Int[np.ndarray, " some"]
    ) -> list[Float[np.ndarray, "some _"]]:
        """Logits of every level on some rows."""
        values = np.load(self.finest.path, mmap_mode="r")
        top = heads[-1].logits(np.asarray(values[rows], np.float32))
        return [*(logits[rows] for logits in self.coarse), top]


def read_levels(climbed: Climbed, course: Course) -> Read:
    """One pass over all texts; the finest activations are written to the run."""
    heads, texts, writer = climbed.heads, course.corpus.texts, course.writer
    tree = course.levels.tree
    features: list[Feature] = [f for head in heads for f in head.features]
    ends = np.cumsum([len(head.features) for head in heads])[:-1]
    coarse: list[list[np.ndarray]] = [[] for _ in heads[:-1]]
    n, width = len(texts), len(heads[-1].features)

    def blocks():
        size = block_rows(len(features))
        for start in range(0, n, size):
            places = np.arange(start, min(start + size, n))
            X = extract_features(climbed.backbone, texts.at(places), features)
            *inner, top = np.split(X, ends, axis=1)
            for level, x in enumerate(inner):
                coarse[level].append(tree.grouped(level, heads[level].logits(x)))
            yield top
            writer.progress(int(places[-1]) + 1, n)

    finest = write_rows(writer.folder / "activations.npy", blocks(), n=n, width=width)
    return Read(tuple(np.concatenate(parts) for parts in coarse), finest)


def settled(
    climbed: Climbed, read: Read, levels: Levels
) -> tuple[Cascade, Read, list[float]]:
    """The classifier with a temperature for each level, from validation."""
    task, tree = levels.tasks[0], levels.tree
    values = np.load(read.finest.path, mmap_mode="r")
    some = np.asarray(values[adapt.some_rows(task.train)], np.float32)
    heads = [*climbed.heads[:-1], rescaled(climbed.heads[-1], some)]
    held = read.logits(heads, task.validation)
    known = levels.codes[task.validation]
    temperatures = [
        sibling_temperature(tree, level, logits, known)
        for level, logits in enumerate(held)
    ]
    heads[-1] = heads[-1].cooled(temperatures[-1])
    coarse = tuple(x / t for x, t in zip(read.coarse, temperatures, strict=False))
    cascade = Cascade(
        climbed.backbone, tree, heads, levels.columns, temperatures=temperatures[:-1]
    )
    return cascade, read._replace(coarse=coarse), temperatures
