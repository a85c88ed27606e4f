"""The context: what the user looks at. Every page reads it, and the URL mirrors it."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args
from urllib.parse import quote_plus

Place = Literal["run", "layer", "neuron", "example"]
PLACES: tuple[Place, ...] = get_args(Place)
"""The places, from a run down to one of its texts."""
_QUERY = {"label": "class"}  # `class` is a keyword of Python, not of the URL
_NUMBERS = ("layer", "example", "depth", "size", "pinned")
MOST_TYPED = 2000
"""The most characters of a typed text in the URL, because servers refuse very long
URLs. If a text is longer, the URL only says that there is one. In a URL, a Latin letter
takes one character and a Chinese one nine."""
_PLACE_FIELDS = ("layer", "kind", "pooling", "neuron", "example", "text")
"""The fields that a link to a higher place leaves out."""
_VIEW_FIELDS = (
    "label depth size split slice other sweep against pinned score shown cost order "
    "side find texts search".split()
)
"""The fields that say how a run is shown. A link to a run holds all of them, so that
the browser's back button undoes the last step."""
_TYPED = ("find", "search")


def fits(typed: str) -> bool:
    """True if a URL holds the whole of a typed text."""
    return len(quote_plus(typed)) <= MOST_TYPED


def query_key(field: str) -> str:
    """The name that the URL gives to a field of the context."""
    return _QUERY.get(field, field)


class Context(NamedTuple):
    """What the user looks at; the URL mirrors it and every page reads it."""

    run: str | None = None
    layer: int | None = None
    neuron: str | None = None  # its address, as mlp.6.1288.max
    example: int | None = None
    label: str | None = None
    data: str | None = None  # the table to train on
    table: str | None = None  # the table to label
    depth: int | None = None  # the highest layer of the cheaper classifier shown
    size: int | None = None  # the number of neurons of that classifier
    kind: str | None = None  # the kind of site: resid or mlp
    pooling: str | None = None
    split: str | None = None  # train, validation, test; also all on Examples
    slice: str | None = None  # a part of the texts, as `slices.Slice` writes it
    other: str | None = None  # the run to compare with
    sweep: str | None = None  # the sweep whose runs are compared
    against: str | None = None  # the class to compare `label` with
    pinned: int | None = None  # the example to compare with
    layers: str | None = None  # the open tab of the page Layers
    errors: str | None = None  # the open tab of the page Errors
    text: str | None = None  # a typed text, shown instead of an example; may be empty
    score: str | None = None  # accuracy, macro_f1 or auc
    shown: str | None = None  # the curves: scores, with control, or selectivity
    cost: str | None = None  # the cost on the axis of the cheaper classifiers
    order: str | None = None  # the order of the neurons of a site
    side: str | None = None  # the open panel about a neuron
    find: str | None = None  # the text of the search for neurons that fire on it
    texts: str | None = None  # which examples: all, wrong, uncertain
    search: str | None = None  # words that the examples must contain

    def moved(self, **changes: Any) -> "Context":
        """This context after `changes`.

        A change of run drops the places inside the old run. A chosen example replaces
        a typed text.
        """
        run_changes = "run" in changes and changes["run"] != self.run
        kept = self.of_no_run if run_changes else self
        if changes.get("example") is not None:
            kept = kept._replace(text=None)
        return kept._replace(**changes)

    @property
    def of_no_run(self) -> "Context":
        """This context with only the fields that hold for any run."""
        kept = "data table layers errors sweep text score shown cost order side".split()
        return Context(**{name: getattr(self, name) for name in kept})

    def follow(self, link: Mapping[str, str]) -> "Context":
        """This context with the fields of a link, and without those the link omits.

        A field that the link and this context share is not set again. So a link with
        the same example keeps a typed text, and an empty `text` keeps a long text.
        """
        linked, own = self.parse(link), self.parse(self.params())
        if linked.get("run", self.run) != self.run:
            return self.moved(**{"text": None, **linked})
        fields = (*_PLACE_FIELDS, *_VIEW_FIELDS) if "run" in linked else _PLACE_FIELDS
        unset = {name: None for name in fields if name in own and name not in linked}
        changed = {
            name: value for name, value in linked.items() if value != own.get(name)
        }
        return self.moved(**{**unset, **changed})

    def up_to(self, place: "Place") -> "Context":
        """This context without the places that are deeper than `place`."""
        deeper = PLACES[PLACES.index(place) + 1 :]
        dropped: tuple[str, ...] = tuple(deeper)
        if "layer" in deeper:
            dropped += ("kind", "pooling")
        if "example" in deeper:
            dropped += ("text",)
        return self._replace(**dict.fromkeys(dropped))

    def params(self) -> dict[str, str]:
        """The query parameters of this context, the inverse of `parse`.

        A typed text that is too long for a URL is written as an empty `text`. Words of
        a search that are too long are left out.
        """
        typed = "" if self.text and not fits(self.text) else self.text
        long = [name for name in _TYPED if not fits(getattr(self, name) or "")]
        shortened = self._replace(text=typed, **dict.fromkeys(long))
        return {
            query_key(name): str(value)
            for name, value in shortened._asdict().items()
            if value is not None
        }

    @classmethod
    def parse(cls, params: Mapping[str, str]) -> dict[str, Any]:
        """The fields that the parameters of a URL set.

        A value that is not a number is left out where the field must be a number.
        """
        fields: dict[str, Any] = {}
        for name in cls._fields:
            value = params.get(query_key(name))
            if value is None or not (value or name == "text"):
                continue
            if name not in _NUMBERS:
                fields[name] = value
            elif value.isdecimal():
                fields[name] = int(value)
        return fields
