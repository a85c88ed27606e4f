"""What is being looked at: one selection that every page reads and the URL mirrors."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args
from urllib.parse import quote_plus

Place = Literal["run", "layer", "neuron", "example"]
PLACES: tuple[Place, ...] = get_args(Place)
"""From a run down to one text of it."""
_QUERY = {"label": "class"}  # `class` is a keyword of Python, not of the URL
_NUMBERS = ("layer", "neuron", "example", "depth", "size", "pinned")
MOST_TYPED = 2000
"""Of a typed text that is longer, as a URL writes it, the URL says only that there is
one: servers refuse very long ones. A Latin letter is one character there, a Chinese
one nine."""
_GOES = ("layer", "kind", "pooling", "neuron", "example", "text")
"""What a link up from a place leaves out."""
_SEEN = (
    "label depth size split slice other against pinned score shown cost order side "
    "find texts search".split()
)
"""How a run is looked at: a link to one says all of it, so that the way back undoes
the last step."""
_TYPED = ("find", "search")


def fits(typed: str) -> bool:
    """True if a URL holds the whole of a typed text."""
    return len(quote_plus(typed)) <= MOST_TYPED


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
    score: str | None = None  # accuracy, macro_f1 or auc
    shown: str | None = None  # of the curves: with their control, or less it
    cost: str | None = None  # what cheaper classifiers are held against
    order: str | None = None  # of the neurons of a site
    side: str | None = None  # from which a neuron is looked at
    find: str | None = None  # a text on which neurons are to fire
    texts: str | None = None  # which examples: all, wrong, uncertain
    search: str | None = None  # words that examples are to have

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
        kept = "data table layers errors text score shown cost order side".split()
        return Context(**{name: getattr(self, name) for name in kept})

    def follow(self, link: Mapping[str, str]) -> "Context":
        """This context at what the URL of a link says, and without what it leaves out.

        What the link says as this context does is no move: the example that a typed
        text stands for ends no text, and an empty `text` no long one.
        """
        given, said = self.parse(link), self.parse(self.params())
        if given.get("run", self.run) != self.run:
            return self.moved(**{"text": None, **given})
        left_out = (*_GOES, *_SEEN) if "run" in given else _GOES
        gone = {name: None for name in left_out if name in said and name not in given}
        news = {name: value for name, value in given.items() if value != said.get(name)}
        return self.moved(**{**gone, **news})

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

        Of a typed text that does not fit it says no more than that there is one.
        """
        typed = "" if self.text and not fits(self.text) else self.text
        long = [name for name in _TYPED if not fits(getattr(self, name) or "")]
        told = self._replace(text=typed, **dict.fromkeys(long))
        return {
            query_key(name): str(value)
            for name, value in told._asdict().items()
            if value is not None
        }

    @classmethod
    def parse(cls, params: Mapping[str, str]) -> dict[str, Any]:
        """The fields that a URL gives; what is not a number where one must be is left
        out."""
        found: dict[str, Any] = {}
        for name in cls._fields:
            given = params.get(query_key(name))
            if given is None or not (given or name == "text"):
                continue
            if name not in _NUMBERS:
                found[name] = given
            elif given.isdecimal():
                found[name] = int(given)
        return found
