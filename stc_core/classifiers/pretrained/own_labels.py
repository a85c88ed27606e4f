"""Which label of a model's own head stands for which label of a table."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from stc_core.data.label_names import spelling_key
from stc_core.errors import StcError

_UNNAMED = re.compile(r"LABEL_\d+")
"""A label that transformers names, because the author did not."""
_SHOWN = 8


class LabelMatch(NamedTuple):
    """The labels of a table, and the place among them of each label of the head.

    `places` has -1 for a label of the head that the table does not have.
    """

    own: tuple[str, ...]
    classes: tuple[str, ...]
    places: tuple[int, ...]

    @property
    def left_out(self) -> tuple[str, ...]:
        """The labels of the head that no label of the table stands for."""
        pairs = zip(self.own, self.places, strict=True)
        return tuple(label for label, place in pairs if place < 0)

    @property
    def pairs(self) -> dict[str, str]:
        """The label of the table for each label of the head that has one."""
        found = zip(self.own, self.places, strict=True)
        return {own: self.classes[place] for own, place in found if place >= 0}

    @classmethod
    def of_all(cls, own: Sequence[str]) -> "LabelMatch":
        """The labels of the head as they are."""
        return cls(tuple(own), tuple(own), tuple(range(len(own))))

    def logits(self, own: Float[Tensor, "n n_own"]) -> Float[Tensor, "n n_class"]:
        """The logits of the labels of the table, from those of the head.

        Labels that stand for the same one are joined: their probabilities add up.
        Labels that the table does not have are left out, and the others share all of
        the probability.
        """
        groups = [
            [column for column, place in enumerate(self.places) if place == wanted]
            for wanted in range(len(self.classes))
        ]
        return torch.stack([own[:, group].logsumexp(1) for group in groups], 1)


def match_labels(
    own: Sequence[str], classes: Sequence[str], given: Iterable[str] = ()
) -> LabelMatch:
    """The match of the labels `own` of a head with the labels `classes` of a table.

    `given` are pairs OWN=LABEL; several labels of the head may stand for one label. The
    other labels are matched by name, whatever their case and signs. Labels without a
    name, LABEL_0 and so on, are matched with numbers. Raises StcError if a label of the
    table has no match: the head can never answer it.
    """
    places = _by_name(own, classes)
    said: dict[str, str] = {}
    for pair in given:
        label, name = _pair(pair, own, classes)
        if said.setdefault(label, name) != name:
            raise StcError(
                "option --own-label",
                expected=f"one label of the table for {label!r}",
                got=f"{said[label]!r} and {name!r}",
            )
        places[own.index(label)] = classes.index(name)
    match = LabelMatch(tuple(own), tuple(classes), tuple(places))
    missing = [name for place, name in enumerate(classes) if place not in places]
    if missing:
        free = match.left_out or [o for o in match.own if o not in said] or match.own
        raise StcError(
            "labels of the table and of the model's own head",
            expected=f"a label of the head for {missing[0]!r}",
            got=f"the head has {_some(match.own)}; the table has {_some(classes)}",
            remedy=f"Say which one stands for it: --own-label {free[0]}={missing[0]}",
        )
    return match


def _by_name(own: Sequence[str], classes: Sequence[str]) -> list[int]:
    """The place of the class with the same name as each label; -1 if there is none."""
    known = {spelling_key(name): place for place, name in enumerate(classes)}
    if len(known) < len(classes):  # classes that differ only in spelling
        known = {name: place for place, name in enumerate(classes)}
        return [known.get(label, -1) for label in own]
    # Numbers that begin with 1 may be one off, so the user has to say what they are.
    if "0" in known and all(_UNNAMED.fullmatch(label) for label in own):
        own = [label.removeprefix("LABEL_") for label in own]
    return [known.get(spelling_key(label), -1) for label in own]


def _pair(pair: str, own: Sequence[str], classes: Sequence[str]) -> tuple[str, str]:
    """A label of the head and one of the table; labels may have a = in them."""
    for label in own:
        name = pair.removeprefix(f"{label}=")
        if name != pair and name in classes:
            return label, name
    label, sign, name = pair.partition("=")
    if sign and label in own:
        expected, got = f"a label of the table: {_some(classes)}", repr(name)
    else:
        expected, got = f"OWN=LABEL, with OWN of the head: {_some(own)}", repr(pair)
    raise StcError("option --own-label", expected=expected, got=got)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    more = len(names) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
