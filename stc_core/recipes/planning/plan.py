"""What a training will take, before it begins."""

from collections.abc import Sequence
from typing import Any

from stc_core.backbone.backbone import Backbone
from stc_core.config import RunConfig, TrainConfig
from stc_core.data.corpus import Corpus
from stc_core.recipes.attention import recipe as attention
from stc_core.recipes.planning.forecast import Shape, Survey, forecast, survey
from stc_core.recipes.planning.tuning_time import tuning_seconds
from stc_core.recipes.results import estimator
from stc_core.tuning.blocks import changes_for, plan_tuning


def plan(
    config: RunConfig,
    corpus: Corpus,
    *,
    backbone: Backbone | None = None,
    surveyed: Survey | None = None,
) -> dict[str, Any]:
    """What `train` will take: seconds, memory_bytes, disk_bytes, n_texts, n_cut.

    Loads the backbone and times it on a few texts, unless both are given; then it is
    quick. For recipes that tune, only `variability` includes the seconds of tuning
    (`tuning_seconds`); memory and disk are always those of the sparse half.
    """
    classifier = estimator(config.train)
    backbone = backbone or classifier.load_backbone()
    wanted = classifier.wanted(backbone)
    _check_settings(config.train, backbone)
    surveyed = surveyed or survey(backbone, corpus.texts)
    store_dtype = config.train.store_dtype
    shape = _shape(corpus, [backbone.widths[wish.site] for wish in wanted])
    expected = forecast(
        backbone, wanted, surveyed, shape=shape, store_dtype=store_dtype
    )
    seconds = expected.seconds
    if config.train.recipe == "variability":
        tune, learned = config.train.tune, (shape.n_train, shape.n_learned)
        taken = tuning_seconds(backbone, surveyed, tune, n=shape.n, learned=learned)
        seconds |= {} if taken is None else {"tune": taken}
    return {
        "n_texts": shape.n,
        "n_tokens": expected.n_tokens,
        "n_cut": expected.n_cut,
        "seconds": sum(seconds.values()),
        **{f"seconds_{phase}": s for phase, s in seconds.items()},
        "memory_bytes": expected.memory_bytes,
        "disk_bytes": expected.disk_bytes,
        "sites": len(wanted),
        "layers": backbone.n_layers,
        "backbone": repr(backbone),
    }


def _check_settings(settings: TrainConfig, backbone: Backbone) -> None:
    """Raise StcError if the recipe cannot train this backbone with these settings."""
    tune = settings.tune
    if settings.recipe == "attention":
        attention.check_attention_settings(settings, backbone)
    elif settings.recipe != "stc":
        if settings.recipe == "hierarchy":  # its levels have layers of their own
            tune = tune.changed(layer=None)
        nu = [float(-layer) for layer in range(backbone.n_layers + 1)]
        changes_for(backbone, plan_tuning(backbone, nu, tune), tune)


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
