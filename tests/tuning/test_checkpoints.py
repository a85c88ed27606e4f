"""The newest whole checkpoint counts, whatever a fault has left beside it."""

import math
from pathlib import Path

import pytest

from stc_core.errors import StcError
from stc_core.files import read_json
from stc_core.tuning.checkpoints import LISTED, CheckpointFolder
from stc_core.tuning.history import Epoch, History

WEIGHTS, STATE = "model.safetensors", "trainer_state.json"


def history(*scores: float) -> History:
    """Epoch 0, then an epoch with each of these accuracies."""
    told = enumerate((0.0, *scores))
    return History(epochs=tuple(Epoch(float(n), 1.0, s, None, n / 8) for n, s in told))


def committed(folder: Path, *scores: float, by: str | None = "accuracy"):
    """A folder with a checkpoint for each epoch, as a training writes them."""
    checkpoints = CheckpointFolder(folder, by)
    checkpoints.resume()
    for epoch in range(1, len(scores) + 1):
        written = checkpoints.aside / f"checkpoint-{epoch}"
        written.mkdir(parents=True)
        (written / WEIGHTS).write_text(f"weights {epoch}")
        (written / STATE).write_text(f"state {epoch}")
        checkpoints.commit(history(*scores[:epoch]))
    return checkpoints


def there(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_two_newest_and_their_best_epochs_are_kept(tmp_path: Path):
    committed(tmp_path, 0.9, 0.2, 0.3, 0.4)
    assert there(tmp_path) == ["checkpoint-1", "checkpoint-3", "checkpoint-4", LISTED]
    past = CheckpointFolder(tmp_path, "accuracy").resume()
    assert past.last == tmp_path / "checkpoint-4" and not past.left
    assert past.history == history(0.9, 0.2, 0.3, 0.4)


def test_no_epoch_is_better_when_none_is_chosen(tmp_path: Path):
    checkpoints = committed(tmp_path, 0.9, 0.2, 0.3, by=None)
    assert there(tmp_path) == ["checkpoint-2", "checkpoint-3", LISTED]
    checkpoints.end(history(0.9, 0.2, 0.3), WEIGHTS)
    assert checkpoints.result(WEIGHTS).read_text() == "weights 3"


def break_file(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
    else:
        text = path.read_text()
        path.write_text(text[:-1] + ("" if how == "bytes" else "?"))


@pytest.mark.parametrize("how", ["missing", "bytes", "damaged"])
@pytest.mark.parametrize("name", [WEIGHTS, STATE])
def test_an_older_one_is_used_when_the_newest_is_damaged(tmp_path, name, how):
    committed(tmp_path, 0.5, 0.6, 0.7)
    break_file(tmp_path / "checkpoint-3" / name, how)
    past = CheckpointFolder(tmp_path, "accuracy").resume()
    assert past.last == tmp_path / "checkpoint-2"
    assert past.history == history(0.5, 0.6)
    (said,) = past.left
    assert said.startswith("The checkpoint of epoch 3 is not used: ")
    assert name in said and how in said
    assert not (tmp_path / "checkpoint-3").exists()


def test_one_whose_best_epoch_is_damaged_is_not_used(tmp_path: Path):
    committed(tmp_path, 0.5, 0.9, 0.3, 0.4)
    break_file(tmp_path / "checkpoint-2" / WEIGHTS, "damaged")
    past = CheckpointFolder(tmp_path, "accuracy").resume()
    assert past.last is None and past.history == History()
    assert len(past.left) == 3
    assert there(tmp_path) == [LISTED]


def test_what_is_not_listed_does_not_count(tmp_path: Path):
    committed(tmp_path, 0.5)
    (tmp_path / "checkpoint-9").mkdir()
    (tmp_path / "unlisted" / "checkpoint-2").mkdir(parents=True)
    past = CheckpointFolder(tmp_path, "accuracy").resume()
    assert past.last == tmp_path / "checkpoint-1" and not past.left
    assert there(tmp_path) == ["checkpoint-1", LISTED]


@pytest.mark.parametrize("text", ["", "{}", '{"format": 9}', None])
def test_without_a_list_the_training_begins_and_says_so(tmp_path: Path, text):
    committed(tmp_path, 0.5)
    if text is None:
        (tmp_path / LISTED).unlink()
    else:
        (tmp_path / LISTED).write_text(text)
    past = CheckpointFolder(tmp_path, "accuracy").resume()
    assert past.last is None
    (said,) = past.left
    assert said.startswith("The checkpoints are not used: ")


def test_a_training_that_has_ended_keeps_the_chosen_weights(tmp_path: Path):
    checkpoints = committed(tmp_path, 0.5, 0.9, 0.3)
    checkpoints.end(history(0.5, 0.9, 0.3), WEIGHTS)
    assert there(tmp_path) == ["checkpoint-2", LISTED]
    assert there(tmp_path / "checkpoint-2") == [WEIGHTS]
    again = CheckpointFolder(tmp_path, "accuracy")
    past = again.resume()
    assert past.ended and past.history == history(0.5, 0.9, 0.3)
    assert again.result(WEIGHTS).read_text() == "weights 2"
    break_file(tmp_path / "checkpoint-2" / WEIGHTS, "bytes")
    past = CheckpointFolder(tmp_path, "accuracy").resume()
    assert past.last is None and not past.ended and past.left


def test_a_disk_that_cannot_be_written_is_a_sentence(tmp_path: Path, monkeypatch):
    checkpoints = committed(tmp_path, 0.5)

    def full(*paths: Path) -> None:
        raise OSError(28, "No space left on device")

    written = checkpoints.aside / "checkpoint-2"
    written.mkdir(parents=True)
    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(StcError, match="No space left"):
        checkpoints.commit(history(0.5, 0.6))
    monkeypatch.undo()
    past = CheckpointFolder(tmp_path, "accuracy").resume()
    assert past.history == history(0.5)


def test_a_history_survives_its_file_with_losses_that_are_no_numbers(tmp_path: Path):
    told = history(0.5)
    wild = told.epochs[-1]._replace(loss=math.nan)
    told = told._replace(epochs=(told.epochs[0], wild), steps=((0.5, math.inf),))
    checkpoints = CheckpointFolder(tmp_path, "accuracy")
    (checkpoints.aside / "checkpoint-1").mkdir(parents=True)
    checkpoints.commit(told)
    assert read_json(tmp_path / LISTED)["history"]["epochs"][1]["loss"] is None
    past = CheckpointFolder(tmp_path, "accuracy").resume().history
    assert math.isnan(past.epochs[1].loss) and math.isnan(past.steps[0][1])
    assert past.waited("accuracy") == 0


def test_the_best_epoch_is_the_first_of_equals_after_the_start():
    told = history(0.5, 0.7, 0.7)
    assert told.best("accuracy") == 2
    assert History(epochs=told.epochs[:1]).best("accuracy") is None
    assert told.best("loss") == 1
    assert told.until(1.0).best("accuracy") == 1
