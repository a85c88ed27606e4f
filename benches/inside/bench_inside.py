"""Is what can be read in the kept neurons what the model uses?

    python -m benches inside --rows 1000 --out RUNS

On test texts the most important kept neurons are given their mean inside the model, and
the change of a last-layer head's margin is set beside that of random sets of the same
sites and spread. `rank` is the rank correlation of read-out and effect over the kept
neurons, `same_sign` the share of (text, neuron) pairs with one sign, `exact_rank` that
of the gradient with real ablations. `top used` are the neurons with the largest effect
by the gradient, for comparison.
"""

import argparse
import statistics
from collections.abc import Iterator

from benches.measure import Row
from benches.seeds import data_of, options, show_runs, trained
from stc_core.interpret.interventions.choice import count_neurons, neurons_of
from stc_core.interpret.interventions.effects import EffectStudy, study_of
from stc_core.interpret.interventions.usage import EFFECT, measure_usage
from stc_core.runs.run import Run
from stc_core.types import Feature, Site

SETS = ("sst2", "trec", "ag_news", "sms_spam")
SIZES = (10, 50)
N_TEXTS, N_RANDOM, N_EXACT = 150, 20, 20


def case(name: str, chosen: str, study: EffectStudy, neurons: dict) -> Row:
    effect = study.effect(neurons, n_random=N_RANDOM)
    last = effect.readers[1]
    return {
        "set": name,
        "case": chosen,
        "neurons": count_neurons(neurons),
        "change": round(last.change, 3),
        "random": round(statistics.median(last.random), 3),
        "ratio": round(last.ratio, 2),
        "percentile": last.percentile,
        "through": round(effect.through / (effect.read + effect.through), 2),
    }


def bench(asked: argparse.Namespace) -> Iterator[Row]:
    for name in asked.sets:
        folder = asked.out / f"{name}-{asked.rows}"
        trained(folder, data_of(name, ("label",), asked), {"seed": 0})
        run = Run.open(folder)
        study = study_of(run.classifier(), run.corpus, n_texts=N_TEXTS)
        usage = measure_usage(study, n_exact=N_EXACT)
        for size in SIZES:
            yield case(name, f"top {size} read", study, dict(study.top(size)))
            used = usage.table.nlargest(size, EFFECT)
            features = [
                Feature(Site.parse(str(site)), "mean", int(index))
                for site, index in zip(used["site"], used["index"], strict=True)
            ]
            yield case(name, f"top {size} used", study, dict(neurons_of(features)))
        whole = case(name, "all kept", study, dict(study.kept))
        yield whole | {
            "rank": round(usage.rank, 2),
            "same_sign": round(usage.same_sign, 2),
            "exact_rank": round(usage.exact_rank, 3),
        }


if __name__ == "__main__":
    parser = options(__doc__ or "", rows=1000)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    show_runs(bench, parser)
