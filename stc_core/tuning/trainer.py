"""The training itself: the Trainer of transformers, watched, stopped and resumed."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import torch
import transformers as hf
from jaxtyping import Int
from safetensors.torch import load_file
from torch import Tensor
from transformers.trainer_utils import get_last_checkpoint
from transformers.utils import SAFE_WEIGHTS_NAME
from transformers.utils import logging as hf_logging

from stc_core.backbone.packing import make_batch
from stc_core.config import TuneConfig
from stc_core.files import read_json, write_json
from stc_core.tuning.readout import Readout

LEARNING_RATES = {"full": 5e-5, "lora": 2e-4, "bottleneck": 3e-4}
_WIDTH = 384
"""Of the backbone whose weights the rate of "full" suits."""
LOGS_PER_EPOCH = 20
HISTORY = "history.json"
NOTABLE = 0.01
"""A loss is an advance once it is lower than the last one that was by this share."""


class TrainingRows(NamedTuple):
    """Token ids and class codes of some texts, and what is written after each."""

    ids: Sequence[np.ndarray]
    codes: Int[np.ndarray, " n"]
    tails: Sequence[Sequence[np.ndarray]] | None = None


class Epoch(NamedTuple):
    """Validation after `epoch` epochs; 0: the frozen backbone, before any step."""

    epoch: float
    loss: float
    accuracy: float
    macro_f1: float | None  # words have none
    seconds: float


class History(NamedTuple):
    """What a tuning went through: (epoch, loss) of the steps, and its epochs."""

    steps: tuple[tuple[float, float], ...] = ()
    epochs: tuple[Epoch, ...] = ()
    peak_bytes: int = 0

    def record(self) -> dict[str, Any]:
        epochs = [epoch._asdict() for epoch in self.epochs]
        return {**self._asdict(), "epochs": epochs}

    @classmethod
    def of(cls, record: dict[str, Any]) -> "History":
        epochs = tuple(Epoch(**epoch) for epoch in record["epochs"])
        steps = tuple((epoch, loss) for epoch, loss in record["steps"])
        return cls(steps, epochs, record["peak_bytes"])

    def until(self, epoch: float) -> "History":
        """What was known when `epoch` ended."""
        steps = tuple(step for step in self.steps if step[0] <= epoch)
        epochs = tuple(one for one in self.epochs if one.epoch <= epoch)
        return self._replace(steps=steps, epochs=epochs)

    @property
    def seconds(self) -> float:
        return self.epochs[-1].seconds if self.epochs else 0.0

    def waited(self, by: str) -> int:
        """The epochs since `by`, or the loss, was last better than ever before.

        The loss counts, too: of rare classes, and of words, it falls for epochs before
        the first more text is right.
        """
        tuned = [epoch for epoch in self.epochs if epoch.epoch > 0]
        least, best, since = math.inf, -math.inf, 0
        for epoch in tuned:
            score = -epoch.loss if by == "loss" else getattr(epoch, by)
            since += 1
            if epoch.loss < least * (1 - NOTABLE):
                least, since = epoch.loss, 0
            if score > best:
                best, since = score, 0
        return since


class Rate(NamedTuple):
    """What changes the weights, and how fast at which step."""

    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR


def rate_of(settings: TuneConfig, width: int) -> float:
    """The learning rate that is asked for, or else what suits the method.

    That of all weights falls as `width`, that of the hidden states, grows: Adam's rate
    for matrices of that width, Yang et al. 2022, Tensor Programs V, table 3. It is
    2.5e-5 for BERT base and 5e-6, that of HdLM, for a width of 4,096.
    """
    if settings.learning_rate is not None:
        return settings.learning_rate
    share = _WIDTH / width if settings.method == "full" else 1.0
    return LEARNING_RATES[settings.method] * share


Tell = Callable[[History, int, int], None]
"""Called as tell(history, steps done, steps in all)."""
_Step = Callable[[int, int], None]
"""Called as step(steps done, steps in all) before each step."""


def train_module(
    readout: Readout,
    learned: TrainingRows,
    held: TrainingRows,
    settings: TuneConfig,
    *,
    by: str,
    seed: int,
    folder: Path,
    tell: Tell,
    rate: Callable[[int], Rate] | None = None,
    step: _Step | None = None,
    choose: bool = True,
) -> History:
    """What happened; `readout` then has the weights of the best epoch on `held`.

    Unless there is nothing to `choose`: then every epoch is run, and the last stays.
    `by` is what epochs are judged by: "accuracy", "macro_f1", or the least "loss".
    Checkpoints are kept in `folder`: with the same arguments a training that was cut
    off goes on after its last whole epoch, and ends as if it had not been. `rate`
    makes another optimizer than the usual one, for so many steps; `step` is told of
    each before it is taken.
    """
    watch = _Watch(settings, folder, tell, step, by=by if choose else None)
    config = readout.model.config
    batches = math.ceil(len(learned.codes) / settings.batch)
    steps = settings.epochs * math.ceil(batches / settings.accumulate)
    wish = _arguments(readout, settings, len(learned.codes), by, seed, folder)
    wish.load_best_model_at_end = choose
    with _quiet():
        trainer = hf.Trainer(
            model=readout,
            args=wish,
            train_dataset=_items(learned),
            eval_dataset=_items(held, by_length=True),
            data_collator=lambda items: _collated(items, config),
            compute_metrics=readout.scores,
            callbacks=[watch],
            optimizers=(None, None) if rate is None else rate(steps),
        )
        trainer.remove_callback(hf.PrinterCallback)
        last = get_last_checkpoint(str(folder)) if folder.is_dir() else None
        watch.begin(trainer, resumed=last is not None)
        if last is not None and watch.is_over():
            _take_back(readout, Path(last), best=choose)
        else:
            trainer.train(resume_from_checkpoint=last)
    return watch.history


def _take_back(readout: Readout, last: Path, *, best: bool) -> None:
    """The weights that a training which came to its end left."""
    state = hf.TrainerState.load_from_json(str(last / "trainer_state.json"))
    chosen = state.best_model_checkpoint if best else None
    readout.load_state_dict(load_file(Path(chosen or last) / SAFE_WEIGHTS_NAME))


def _arguments(
    readout: Readout, settings: TuneConfig, n: int, by: str, seed: int, folder: Path
) -> hf.TrainingArguments:
    device = next(readout.parameters()).device
    steps = math.ceil(n / (settings.batch * settings.accumulate))
    bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
    arguments = hf.TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=settings.batch,
        per_device_eval_batch_size=max(64, settings.batch),
        gradient_accumulation_steps=settings.accumulate,
        learning_rate=rate_of(settings, readout.width),
        weight_decay=0.01,
        warmup_steps=0.1,
        num_train_epochs=settings.epochs,
        bf16=bf16,
        fp16=device.type == "cuda" and not bf16,
        use_cpu=device.type == "cpu",
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model=by,
        greater_is_better=by != "loss",
        logging_steps=max(1, steps // LOGS_PER_EPOCH),
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
        train_sampling_strategy="group_by_length",
        dataloader_pin_memory=device.type == "cuda",
        seed=seed,
    )
    arguments._n_gpu = min(1, arguments.n_gpu)  # one device, as everywhere else
    return arguments


def _items(rows: TrainingRows, *, by_length: bool = False) -> Any:
    """The rows as the Trainer takes them."""
    items = [
        {"input_ids": ids, "labels": int(code)}
        for ids, code in zip(rows.ids, rows.codes, strict=True)
    ]
    for item, tails in zip(items, rows.tails or (), strict=bool(rows.tails)):
        item["tails"] = tails
    if by_length:
        items.sort(key=lambda item: len(item["input_ids"]))
    return items


def _collated(items: Sequence[dict[str, Any]], config: Any) -> dict[str, Tensor]:
    """A padded batch; its rows are sorted by length, labels too."""
    batch = make_batch(
        [item["input_ids"] for item in items],
        config,
        device=torch.device("cpu"),
        packed=False,
    )
    items = [items[row] for row in batch.order]
    labels = torch.tensor([item["labels"] for item in items])
    found = {**batch.inputs, "labels": labels}
    if "tails" in items[0]:
        found["tails"] = padded([item["tails"] for item in items])
    return found


def padded(tails: Sequence[Sequence[np.ndarray]]) -> Int[Tensor, "batch part pos"]:
    """What is written after each text, part by part, padded with -1."""
    longest = max(len(part) for parts in tails for part in parts)
    out = torch.full((len(tails), len(tails[0]), longest), -1)
    for row, parts in enumerate(tails):
        for place, part in enumerate(parts):
            out[row, place, : len(part)] = torch.from_numpy(part.astype(np.int64))
    return out


class _Watch(hf.TrainerCallback):
    """Keeps the history, tells it, and stops when time or patience is at its end."""

    def __init__(
        self,
        settings: TuneConfig,
        folder: Path,
        tell: Tell,
        step: _Step | None,
        *,
        by: str | None,
    ) -> None:
        self.settings, self.folder, self.tell, self.step = settings, folder, tell, step
        self.by = by
        self.history = History()
        self.process = psutil.Process()
        self.before = 0.0  # seconds of the trainings that were cut off
        self.began = time.monotonic()

    @property
    def seconds(self) -> float:
        return self.before + time.monotonic() - self.began

    def is_over(self) -> bool:
        """True if what was resumed had come to its end: another epoch is too many."""
        history, limit = self.history, self.settings.seconds
        if not history.epochs:
            return False
        return (
            history.epochs[-1].epoch >= self.settings.epochs
            or (limit is not None and history.seconds >= limit)
            or (self.by is not None and self._out_of_patience())
        )

    def _out_of_patience(self) -> bool:
        assert self.by is not None
        return self.history.waited(self.by) >= self.settings.patience

    def begin(self, trainer: hf.Trainer, *, resumed: bool) -> None:
        """Take the history up where it was, or start it with the frozen backbone."""
        path = self.folder / HISTORY
        if resumed and path.is_file():
            self.history = History.of(read_json(path))
            self.before = self.history.seconds
        else:
            trainer.evaluate()
        self.began = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        loss = (more.get("logs") or {}).get("loss")
        if loss is not None:
            step = (float(state.epoch), float(loss))
            self.history = self.history._replace(steps=(*self.history.steps, step))
            self._say(state)

    def on_evaluate(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        found = more["metrics"]
        epoch = Epoch(
            float(state.epoch or 0),
            float(found["eval_loss"]),
            float(found["eval_accuracy"]),
            found.get("eval_macro_f1"),
            self.seconds,
        )
        epochs = (*self.history.epochs, epoch)
        self.history = self.history._replace(epochs=epochs)
        if self.by is not None and self._out_of_patience():
            control.should_training_stop = True
        self._say(state)

    def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        write_json(self.folder / HISTORY, self.history.record())

    def on_step_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if self.step is not None:
            self.step(state.global_step, state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        peak = max(self.history.peak_bytes, held_bytes(self.process))
        self.history = self.history._replace(peak_bytes=peak)
        self._say(state)
        limit = self.settings.seconds
        if limit is not None and self.seconds >= limit:
            control.should_training_stop = True

    def _say(self, state: Any) -> None:
        self.tell(self.history, state.global_step, state.max_steps)


def held_bytes(process: psutil.Process) -> int:
    """Memory in use: the most that was on the GPU, or that of the process now."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    return process.memory_info().rss


@contextmanager
def _quiet() -> Iterator[None]:
    """No words of the Trainer: what there is to say goes to `tell`."""
    level = hf_logging.get_verbosity()
    hf_logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
