"""What the benches of trainings share: capped tables, runs kept, means over seeds."""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benches.measure import DATA, Row, table
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.recipes import registry
from stc_core.runs.metrics import RunMetrics
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter


def capped(
    name: str, part: str, columns: Sequence[str], rows: int, folder: Path, *, least: int
) -> Path:
    """The same random rows of a file of a data set for every seed and case.

    `least` of each class, if there are as many, so that each can be learned.
    """
    path = folder / f"{name}-{part}-{rows}.csv"
    data = Path(os.environ.get("STC_BENCH_DATA", DATA))
    (source,) = (data / name).glob(f"{part}.csv*")  # it may be compressed
    frame = pd.read_csv(source, keep_default_na=False)
    frame = frame.sample(frac=1, random_state=0)
    first = frame.groupby(columns[-1]).cumcount() < least
    some = pd.concat([frame.loc[first], frame.loc[~first]]).head(rows)
    some.to_csv(path, columns=["text", *columns], index=False)
    return path


def data_of(
    name: str, columns: Sequence[str], asked: argparse.Namespace, *, least: int = 0
) -> DataConfig:
    """The data set with as many rows of "train" and of "test" as is asked for."""
    rows, n_test = asked.rows, asked.test_rows or asked.rows
    path = capped(name, "train", columns, rows, asked.out, least=least)
    test = capped(name, "test", columns, n_test, asked.out, least=0)
    return DataConfig(
        path=str(path), test_path=str(test), text="text", labels=tuple(columns)
    )


def trained(folder: Path, data: DataConfig, settings: dict[str, Any]) -> RunMetrics:
    """The metrics of the run in `folder`; one that was cut off goes on."""
    if (folder / "status.json").is_file() and Run(folder).done:
        return Run(folder).metrics
    sys.stderr.write(f"{folder.name}\n")
    config = RunConfig(data=data, train=TrainConfig.model_validate(settings))
    with RunWriter(folder, config) as writer:
        return registry.train(writer.config, writer).metrics


def means(found: Mapping[str, list[Row]], ranged: str) -> Iterator[tuple[str, Row]]:
    """For each case the means over its seeds, and the range of the field `ranged`.

    Of seconds the median: a machine has other work, too. A field that some seed lacks
    is left out.
    """
    for case, rows in found.items():
        fields = [name for name in rows[0] if all(name in row for row in rows)]
        middle = {"seconds": statistics.median}
        mean = {
            name: middle.get(name, statistics.mean)(row[name] for row in rows)
            for name in fields
        }
        low, high = (f(row[ranged] for row in rows) for f in (min, max))
        said = {k: round(v, 1 if k == "seconds" else 4) for k, v in mean.items()}
        yield (
            case,
            {
                **said,
                "low": round(low, 4),
                "high": round(high, 4),
                "seeds": len(rows),
            },
        )


def options(about: str, *, rows: int) -> argparse.ArgumentParser:
    """What every bench of trainings can be asked."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--rows", type=int, default=rows, help="of train")
    parser.add_argument("--test-rows", type=int, help="of test; as many if not given")
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    parser.add_argument("--out", type=Path, help="where runs are kept; nowhere if none")
    return parser


def show_runs(
    bench: Callable[[argparse.Namespace], Iterator[Row]],
    parser: argparse.ArgumentParser,
) -> None:
    """Runs a bench as it is asked; prints each row as it comes with --json."""
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as nowhere:
        asked.out = asked.out or Path(nowhere)
        asked.out.mkdir(parents=True, exist_ok=True)
        if asked.json:
            for row in bench(asked):
                print(json.dumps(row), flush=True)
        else:
            print(table(list(bench(asked))))
