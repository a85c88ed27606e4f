"""Does a ranking that weighs what the model uses choose neurons that it uses more?

    python -m benches use --rows 1000 --test-rows 300 --out RUNS

`weight` is `use_weight`; 0 ranks by what can be read alone. Each case keeps as many
neurons as do as well, or 64 at most. `change` is that of a last-layer head's margin
when all kept neurons get their mean inside the model, `ratio` that over the middle of
matched random sets. `held` is the accuracy on held-out rows, `agree` the Jaccard index
with the neurons of the weight 0.
"""

import argparse
import statistics
from collections.abc import Iterator

from benches.measure import Row
from benches.seeds import data_of, options, show_runs, trained
from stc_core.interpret.interventions.effects import study_of
from stc_core.recipes import registry
from stc_core.recipes.shrink_settings import shrink_config
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter

SETS = ("sst2", "trec", "ag_news", "sms_spam")
CASES = ((64, 0.0), (64, 0.5), (None, 0.0), (None, 0.5))
N_TEXTS, N_RANDOM = 100, 10


def chosen(parent: Run, most: int | None, weight: float) -> Run:
    """The run with this ranking, made from the features of the parent."""
    if most is None and not weight:
        return parent
    folder = parent.folder.with_name(f"{parent.folder.name}-{most}-{weight:g}")
    if not ((folder / "status.json").is_file() and Run(folder).done):
        config = shrink_config(parent, max_neurons=most, use_weight=weight)
        with RunWriter(folder, config) as writer:
            registry.train(writer.config, writer)
    return Run.open(folder)


def bench(asked: argparse.Namespace) -> Iterator[Row]:
    for name in asked.sets:
        folder = asked.out / f"{name}-{asked.rows}"
        trained(folder, data_of(name, ("label",), asked), {"seed": 0, "words": "off"})
        parent, before = Run.open(folder), {}
        for most, weight in CASES:
            run = chosen(parent, most, weight)
            study = study_of(run.classifier(), run.corpus, n_texts=N_TEXTS)
            last = study.effect(study.kept, n_random=N_RANDOM).readers[1]
            kept = set(study.head.features)
            before.setdefault(most, kept)
            metrics = run.metrics
            yield {
                "set": name,
                "case": f"{most or 'as many as help'}, weight {weight:g}",
                "neurons": len(kept),
                "held": round(metrics["validation"]["accuracy"], 4),
                "test": round(metrics["test"]["accuracy"], 4),
                "change": round(last.change, 3),
                "random": round(statistics.median(last.random), 3),
                "ratio": round(last.ratio, 2),
                "percentile": last.percentile,
                "agree": round(len(kept & before[most]) / len(kept | before[most]), 2),
            }


if __name__ == "__main__":
    parser = options(__doc__ or "", rows=1000)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    show_runs(bench, parser)
