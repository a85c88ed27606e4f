"""Where a table cannot be written; its formats are in the test of `predict_file`."""

import pandas as pd
import pytest

from stc_core.classifiers.labelling.table_writer import table_writer
from stc_core.errors import StcError


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl.gz", "out.parquet"])
def test_parts_make_one_table(tmp_path, name):
    out = tmp_path / "new" / name
    with table_writer(out, source=tmp_path / "in.csv") as write:
        for number in (1, 2):
            write(pd.DataFrame({"n": [number]}))
        assert not out.exists()
    read = {"v": pd.read_csv, "z": pd.read_json, "t": pd.read_parquet}[name[-1]]
    lines = {"lines": True} if "jsonl" in name else {}
    assert read(out, **lines)["n"].tolist() == [1, 2]


def test_the_folder_that_is_read_is_not_written_to(tmp_path):
    where = table_writer(tmp_path / "out.csv", source=tmp_path)
    with pytest.raises(StcError, match="outside the folder of tables"), where:
        pass
