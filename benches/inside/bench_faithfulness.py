"""Do explanations name the words and the neurons that the answer rests on?

    python -m benches faithfulness --rows 1000 --out RUNS

Comprehensiveness (more is better) and sufficiency (less is better) of each explanation
on test texts of a run: means over the texts of what the probability of the label loses
without its strongest parts, and with these alone, over 1, 5, 10, 20 and 50 % of them.
`ahead` is the comprehensiveness less that of the exact split, text by text.
"""

import argparse
from collections.abc import Iterator

from benches.measure import Row
from benches.seeds import data_of, options, show_runs, trained
from stc_core.analysis.inside.faithfulness import measured_faithfulness
from stc_core.runs.run import Run

SETS = ("sst2", "trec", "ag_news", "sms_spam")


def rounded(score: dict[str, float], name: str) -> Row:
    ends = f"{score['low']:.2f} to {score['high']:.2f}"
    return {name: round(score["mean"], 3), f"{name}_95": ends}


def bench(asked: argparse.Namespace) -> Iterator[Row]:
    for name in asked.sets:
        folder = asked.out / f"{name}-{asked.rows}"
        trained(folder, data_of(name, ("label",), asked), {"seed": 0})
        found = measured_faithfulness(Run.open(folder), n_texts=asked.texts)
        for over in ("words", "neurons"):
            part = found[over]
            for one in part["methods"]:
                row: Row = {"set": name, "case": f"{over}: {one['method']}"}
                for score in ("comprehensiveness", "sufficiency", "ahead"):
                    row |= rounded(one[score], score)
                if part["same_top"] is not None:
                    row["same_top"] = round(part["same_top"], 2)
                yield row | {"texts": part["n_texts"]}


if __name__ == "__main__":
    parser = options(__doc__ or "", rows=1000)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--texts", type=int, default=100, help="of test")
    show_runs(bench, parser)
