"""The bodies of requests and of answers, as /openapi.json describes them."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

MOST_TEXTS = 1024
MOST_CHARACTERS = 100_000
MOST_TOKENS = 4096
EVENT_STREAM = "text/event-stream"


def _number(value: Any) -> Any:
    """`value`; ValueError for a truth value or a text, which pydantic would convert."""
    if isinstance(value, bool | str):
        raise ValueError("a number is expected")
    return value


_Text = Annotated[str, Field(max_length=MOST_CHARACTERS)]
_Number = BeforeValidator(_number)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PredictBody(_Body):
    """Texts to label; a hierarchy predicts only the first `levels` levels, if given.

    With `least_probability` it answers a coarser level where a finer one is not sure.
    """

    texts: Annotated[list[_Text], Field(min_length=1, max_length=MOST_TEXTS)]
    levels: Annotated[int, Field(ge=1), _Number] | None = None
    least_probability: Annotated[float, Field(ge=0, le=1), _Number] | None = None


class ExplainBody(_Body):
    """A text to explain; with `label` only the contributions to that label.

    `gradients` adds integrated gradients, which take seconds.
    """

    text: _Text
    label: str | None = None
    gradients: StrictBool = False


class GenerateBody(_Body):
    """A text to reply to, and the settings of `stc generate`."""

    text: _Text
    temperature: Annotated[float, _Number] = Field(0.0, ge=0, allow_inf_nan=False)
    top_p: Annotated[float, _Number] = Field(1.0, gt=0, le=1)
    seed: Annotated[int, _Number] = Field(0, ge=0, lt=1 << 63)
    length: Annotated[int, Field(ge=1, le=MOST_TOKENS), _Number] | None = None


class LevelLabel(BaseModel):
    """The label of one level, which is read at `layer`, and what it costs per token."""

    column: str
    label: str
    probability: float
    layer: int
    flops: float
    flops_share: float


class Prediction(BaseModel):
    """The label of a text; `levels` are those of a hierarchy, from coarse to fine."""

    label: str
    probability: float
    probabilities: dict[str, float]
    levels: list[LevelLabel] | None = None


class Predictions(BaseModel):
    """The predictions for the texts of a request, in their order."""

    model: str
    predictions: list[Prediction]


_EVENT = {"event": {"enum": ["labels", "piece", "end", "error"]}, "data": {}}
EVENTS: dict[str, Any] = {
    "description": "The events, each with its data as JSON.",
    "content": {EVENT_STREAM: {"schema": {"type": "object", "properties": _EVENT}}},
}
