"""What is being looked at: one selection that every page reads and the URL mirrors."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

Place = Literal["run", "layer", "neuron", "example"]
PLACES: tuple[Place, ...] = get_args(Place)
"""From a run down to one text of it."""
_QUERY = {"label": "class"}  # `class` is a keyword of Python, not of the URL
_NUMBERS = ("layer", "neuron", "example", "depth", "size", "pinned")
MOST_TYPED = 2000
"""A typed text of more characters is not put into the URL, which servers cut."""


def query_key(field: str) -> str:
    """The name that the URL gives to a field of the context."""
    return _QUERY.get(field, field)


class Context(NamedTuple):
    """What is being looked at; the URL mirrors it and every page reads it."""

    run: str | None = None
    layer: int | None = None
    neuron: int | None = None
    example: int | None = None
    label: str | None = None
    data: str | None = None  # the table to learn from
    table: str | None = None  # the table to label
    depth: int | None = None  # of the cheaper classifier that is looked at
    size: int | None = None  # its number of neurons
    kind: str | None = None  # of site: resid or mlp
    pooling: str | None = None
    split: str | None = None  # train, validation, test; all on Examples
    slice: str | None = None  # some of the texts, as `slices.Slice` writes it
    other: str | None = None  # the run to compare with
    against: str | None = None  # the class to compare `label` with
    pinned: int | None = None  # the example to compare with
    layers: str | None = None  # the tab of the page Layers that is open
    errors: str | None = None  # that of the page Errors
    text: str | None = None  # typed, and looked at instead of an example; may be empty

    def moved(self, **changes: Any) -> "Context":
        """This context after `changes`; another run forgets the places in the old.

        An example that is chosen takes the place of a typed text.
        """
        another = "run" in changes and changes["run"] != self.run
        kept = self.of_no_run if another else self
        if changes.get("example") is not None:
            kept = kept._replace(text=None)
        return kept._replace(**changes)

    @property
    def of_no_run(self) -> "Context":
        """What holds whichever run is looked at."""
        kept = ("data", "table", "layers", "errors", "text")
        return Context(**{name: getattr(self, name) for name in kept})

    def up_to(self, place: "Place") -> "Context":
        """This context without the places that are deeper than `place`."""
        deeper = PLACES[PLACES.index(place) + 1 :]
        gone: tuple[str, ...] = tuple(deeper)
        if "layer" in deeper:
            gone += ("kind", "pooling")
        if "example" in deeper:
            gone += ("text",)
        return self._replace(**dict.fromkeys(gone))

    def params(self) -> dict[str, str]:
        """The query parameters that say the same, the inverse of `parse`.

        A typed text that is empty, or longer than MOST_TYPED, is left out.
        """
        typed = self.text if self.text and len(self.text) <= MOST_TYPED else None
        return {
            query_key(name): str(value)
            for name, value in self._replace(text=typed)._asdict().items()
            if value is not None
        }

    @classmethod
    def parse(cls, params: Mapping[str, str]) -> dict[str, Any]:
        """The fields that a URL gives; what is not a number where one must be is left
        out."""
        found: dict[str, Any] = {}
        for name in cls._fields:
            given = params.get(query_key(name))
            if not given:
                continue
            if name not in _NUMBERS:
                found[name] = given
            elif given.isdecimal():
                found[name] = int(given)
        return found
