"""The training with the Trainer of transformers: history, early stop, resumption."""

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
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers.utils import SAFE_WEIGHTS_NAME
from transformers.utils import logging as hf_logging

from stc_core.backbone.packing import make_batch
from stc_core.files import make_folder, write_error
from stc_core.recipe_settings import TuneConfig
from stc_core.tuning.checkpoints import CheckpointFolder, Resumption
from stc_core.tuning.history import Epoch, History
from stc_core.tuning.readout import Readout

LEARNING_RATES = {"full": 5e-5, "lora": 2e-4, "bottleneck": 3e-4}
_WIDTH = 384
"""The width of a backbone for which the learning rate of "full" is right."""
LOGS_PER_EPOCH = 20
_UNWRITTEN = ("inline_container", "iostream error")
"""Words in the errors of torch.save on a full disk."""


class TrainingRows(NamedTuple):
    """Token ids and class codes of some texts, and the tokens written after each."""

    ids: Sequence[np.ndarray]
    codes: Int[np.ndarray, " n"]
    tails: Sequence[Sequence[np.ndarray]] | None = None


class Rate(NamedTuple):
    """An optimizer and its learning rate schedule."""

    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR


def rate_of(settings: TuneConfig, width: int) -> float:
    """The learning rate of the settings, or the default of the method.

    The default for whole blocks is proportional to 1 / `width`, the width of the hidden
    states, as for Adam in Yang et al. 2022, Tensor Programs V, table 3. It is 2.5e-5
    for BERT base, and 5e-6, as in HdLM, for a width of 4,096.
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
    note: Callable[[str], None] | None = None,
    rate: Callable[[int], Rate] | None = None,
    step: _Step | None = None,
    before_judging: Callable[[], None] | None = None,
    in_order: bool = False,
    choose: bool = True,
) -> History:
    """Train `readout` on the rows `learned`; return the history of the training.

    `readout` then has the weights of the epoch that is best on the rows `held`. Without
    `choose` every epoch is run and the last weights stay. Epochs are judged by `by`:
    "goal_score", "accuracy", or the lowest "loss". Checkpoints are kept in `folder`,
    and at the end the chosen weights. With the same arguments an interrupted training
    continues after its last finished epoch, and its result is the same as without the
    interruption; `note` is told which checkpoints cannot be used. `rate(steps)` makes
    another optimizer than the default; `step` is called before each step, and
    `before_judging` after each epoch, before the held rows judge it. Batches take the
    learned rows at random, those of similar length together, or `in_order`.
    """
    judged = by if choose else None
    checkpoints = CheckpointFolder(folder, judged)
    past = checkpoints.resume()
    make_folder(checkpoints.aside)
    if note is not None:
        for reason in past.left:
            note(reason)
    watch = _Watch(settings, checkpoints, tell, step, before_judging, by=judged)
    batches = math.ceil(len(learned.codes) / settings.batch)
    steps = settings.epochs * math.ceil(batches / settings.accumulate)
    arguments = _arguments(
        readout, settings, len(learned.codes), seed, checkpoints.aside
    )
    if in_order:
        arguments.train_sampling_strategy = "sequential"
    optimizers = (None, None) if rate is None else rate(steps)
    with _quiet():
        trainer = _trainer(readout, arguments, learned, held, watch, optimizers)
        watch.begin(trainer, past)
        if not (past.ended or watch.is_over()):
            last = None if past.last is None else str(past.last)
            trainer.train(resume_from_checkpoint=last)
    if not past.ended:
        checkpoints.end(watch.history, SAFE_WEIGHTS_NAME)
    readout.load_state_dict(load_file(checkpoints.result(SAFE_WEIGHTS_NAME)))
    return watch.history


def _trainer(
    readout: Readout,
    arguments: hf.TrainingArguments,
    learned: TrainingRows,
    held: TrainingRows,
    watch: "_Watch",
    optimizers: Any,
) -> hf.Trainer:
    config = readout.model.config
    trainer = _CheckedTrainer(
        model=readout,
        args=arguments,
        train_dataset=_items(learned),
        eval_dataset=_items(held, by_length=True),
        data_collator=lambda items: _collated(items, config),
        compute_metrics=readout.scores,
        callbacks=[watch],
        optimizers=optimizers,
    )
    trainer.remove_callback(hf.PrinterCallback)
    return trainer


class _CheckedTrainer(hf.Trainer):
    """A Trainer that says in a sentence that a checkpoint cannot be written."""

    def _save_checkpoint(self, *arguments: Any, **more: Any) -> None:
        try:
            super()._save_checkpoint(*arguments, **more)
        except (OSError, SafetensorError) as error:
            raise write_error(Path(str(self.args.output_dir)), error) from error
        except RuntimeError as error:
            if not any(words in str(error) for words in _UNWRITTEN):
                raise
            raise write_error(Path(str(self.args.output_dir)), error) from error


def _arguments(
    readout: Readout, settings: TuneConfig, n: int, seed: int, folder: Path
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
    """The rows in the form that the Trainer needs."""
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
    """A padded batch; its rows and labels are sorted by length."""
    batch = make_batch(
        [item["input_ids"] for item in items],
        config,
        device=torch.device("cpu"),
        packed=False,
    )
    items = [items[row] for row in batch.order]
    labels = torch.tensor([item["labels"] for item in items])
    inputs = {**batch.inputs, "labels": labels}
    if "tails" in items[0]:
        inputs["tails"] = padded([item["tails"] for item in items])
    return inputs


def padded(tails: Sequence[Sequence[np.ndarray]]) -> Int[Tensor, "batch part pos"]:
    """The tokens written after each text, by part, padded with -1."""
    longest = max(len(part) for parts in tails for part in parts)
    out = torch.full((len(tails), len(tails[0]), longest), -1)
    for row, parts in enumerate(tails):
        for place, part in enumerate(parts):
            out[row, place, : len(part)] = torch.from_numpy(part.astype(np.int64))
    return out


class _Watch(hf.TrainerCallback):
    """Keeps and reports the history, and stops when time or patience runs out."""

    def __init__(
        self,
        settings: TuneConfig,
        checkpoints: CheckpointFolder,
        tell: Tell,
        step: _Step | None,
        before_judging: Callable[[], None] | None,
        *,
        by: str | None,
    ) -> None:
        self.settings, self.checkpoints = settings, checkpoints
        self.tell, self.step, self.by = tell, step, by
        self.before_judging = before_judging
        self.history = History()
        self.process = psutil.Process()
        self.before = 0.0  # seconds of earlier, interrupted trainings
        self.began = time.monotonic()

    @property
    def seconds(self) -> float:
        return self.before + time.monotonic() - self.began

    def is_over(self) -> bool:
        """True if the resumed training had already finished, so no epoch may follow."""
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

    def begin(self, trainer: hf.Trainer, past: Resumption) -> None:
        """Go on from an interrupted training, or begin with an evaluation."""
        if past.last is None:
            trainer.evaluate()
        else:
            self.history, self.before = past.history, past.history.seconds
        self.began = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        loss = (more.get("logs") or {}).get("loss")
        if loss is not None:
            step = (float(state.epoch), float(loss))
            self.history = self.history._replace(steps=(*self.history.steps, step))
            self._say(state)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if self.before_judging is not None:
            self.before_judging()

    def on_evaluate(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        metrics = more["metrics"]
        epoch = Epoch(
            float(state.epoch or 0),
            float(metrics["eval_loss"]),
            float(metrics["eval_accuracy"]),
            metrics.get("eval_macro_f1"),
            self.seconds,
            metrics.get("eval_goal_score"),
        )
        epochs = (*self.history.epochs, epoch)
        self.history = self.history._replace(epochs=epochs)
        if self.by is not None and self._out_of_patience():
            control.should_training_stop = True
        self._say(state)

    def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self.checkpoints.commit(self.history)

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
    """The memory in use: the peak on the GPU, or that of the process without a GPU."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    return process.memory_info().rss


@contextmanager
def _quiet() -> Iterator[None]:
    """A context in which the Trainer logs nothing, as `tell` reports the progress."""
    level = hf_logging.get_verbosity()
    hf_logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
