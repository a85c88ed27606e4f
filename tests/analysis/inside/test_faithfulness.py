"""Which texts of a run are looked at; the command measures them on a real run."""

import pandas as pd

from stc_core.analysis.inside.faithfulness import default_split


def test_validation_stands_in_where_there_are_no_test_texts():
    assert default_split(pd.DataFrame({"split": ["train", "test"]})) == "test"
    assert default_split(pd.DataFrame({"split": ["train"]})) == "validation"
