"""Files are whole, whoever writes them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stc_core.files import read_json, write_json


def test_threads_that_write_one_file_do_not_meet(tmp_path: Path):
    path = tmp_path / "settings.json"

    def work(which: int) -> None:
        for turn in range(100):
            write_json(path, {"which": which, "turn": turn})
            assert "which" in read_json(path)

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(work, range(3)))
    assert [file.name for file in tmp_path.iterdir()] == ["settings.json"]
