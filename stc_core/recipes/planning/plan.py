"""What a training will take, before it begins."""

from collections.abc import Mapping, Sequence
from typing import Any

from stc_core.backbone.backbone import Backbone
from stc_core.config import RunConfig
from stc_core.data.corpus import Corpus
from stc_core.recipes.planning.forecast import (
    Forecast,
    Survey,
    forecast,
    survey,
)
from stc_core.recipes.planning.phase_seconds import Shape
from stc_core.recipes.registry import recipe_code
from stc_core.recipes.results import estimator
from stc_core.runs.status import PHASES, Phase


def plan(
    config: RunConfig,
    corpus: Corpus,
    *,
    backbone: Backbone | None = None,
    surveyed: Survey | None = None,
) -> dict[str, Any]:
    """What `train` will take: seconds, memory_bytes, disk_bytes, n_texts, n_cut.

    Loads the backbone and times it on a few texts, unless both are given; then it is
    quick. The seconds of tuning (`seconds_tune`) are given only by recipes that can
    foretell them; memory and disk are always those of the sparse half.
    """
    classifier = estimator(config.train)
    backbone = backbone or classifier.load_backbone()
    wanted = classifier.wanted(backbone)
    code = recipe_code(config.train.recipe)
    code.check(config.train, backbone)
    surveyed = surveyed or survey(backbone, corpus.texts)
    store_dtype = config.train.store_dtype
    shape = _shape(corpus, [backbone.widths[wish.site] for wish in wanted])
    stable, use = config.train.stable is not None, config.train.use_weight > 0
    shape = shape._replace(stable=stable, use=use)
    expected = forecast(
        backbone, wanted, surveyed, shape=shape, store_dtype=store_dtype
    )
    seconds = expected.seconds
    if code.tuning_seconds is not None:
        learned = shape.n_train, shape.n_learned
        taken = code.tuning_seconds(
            backbone, surveyed, config.train, n=shape.n, learned=learned
        )
        seconds |= {} if taken is None else {"tune": taken}
    return _facts(expected, seconds) | {
        "n_texts": shape.n,
        "sites": len(wanted),
        "layers": backbone.n_layers,
        "backbone": repr(backbone),
    }


def seconds_of_phases(plan: Mapping[str, Any]) -> dict[Phase, float]:
    """The seconds of a `plan` by the phases of a run; those not foretold are left out.

    A start reads the table and loads the model, in about equal parts.
    """
    start = plan.get("seconds_start", 0.0)
    seconds = {"read": start / 2, "load": start / 2}
    seconds["report"] = plan.get("seconds_baselines", 0.0)
    for name in ("extract", "probe", "select", "head", "tune"):
        seconds[name] = plan.get(f"seconds_{name}", 0.0)
    return {name: seconds[name] for name in PHASES if seconds[name] > 0}


def _facts(expected: Forecast, seconds: dict[str, float]) -> dict[str, Any]:
    return {
        "n_tokens": expected.n_tokens,
        "n_cut": expected.n_cut,
        "seconds": sum(seconds.values()),
        **{f"seconds_{phase}": s for phase, s in seconds.items()},
        "memory_bytes": expected.memory_bytes,
        "disk_bytes": expected.disk_bytes,
    }


def _shape(corpus: Corpus, widths: Sequence[int]) -> Shape:
    n_train = len(corpus.rows("train"))
    return Shape(
        n=len(corpus.frame),
        n_train=n_train,
        n_learned=n_train + len(corpus.rows("validation")),
        n_class=len(corpus.classes),
        characters=int(corpus.frame["text"].str.len().sum()),
        widths=tuple(widths),
    )
