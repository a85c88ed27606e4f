"""What a run keeps of its probes selects the same neurons again."""

import numpy as np
import pytest

from helpers.toy_features import make
from stc_core.errors import StcError
from stc_core.selection.salience import read_saliences, site_widths, write_saliences
from stc_core.selection.stc import fit_stc


def test_what_is_read_selects_the_same_to_the_last_bit(tmp_path):
    toy = make()
    probes = toy.probes()
    write_saliences(tmp_path / "s", probes[::-1])
    kept = read_saliences(tmp_path / "s")
    assert [one.pooled_site for one in kept] == sorted(p.pooled_site for p in probes)
    one, two = (fit_stc(toy.read, toy.task, known) for known in (probes, kept))
    assert one.head.features == two.head.features and one.points == two.points
    np.testing.assert_array_equal(one.head.weight, two.head.weight)


def test_widths_are_those_of_the_sites(tmp_path):
    write_saliences(tmp_path / "s", make().probes())
    sites = "resid.0 mlp.1 resid.1 mlp.2 resid.2".split()
    assert site_widths(tmp_path / "s") == dict.fromkeys(sites, 10)


@pytest.mark.parametrize("content", [None, b"no tensors"])
def test_a_file_that_cannot_be_read_says_so(tmp_path, content):
    if content:
        (tmp_path / "s").write_bytes(content)
    with pytest.raises(StcError, match="Train the run again"):
        read_saliences(tmp_path / "s")
