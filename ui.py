"""What the pages share: frame, context in the URL, run picker, cached readers, errors.

The only file beside app.py and pages/ that knows Streamlit.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from stc_core.axes import Site
from stc_core.columns import guess_columns
from stc_core.config import DataConfig, RunConfig, runs_folder
from stc_core.context import Context, query_key
from stc_core.data import Corpus, inspect_corpus
from stc_core.errors import StcError
from stc_core.examples import examples as examples_of
from stc_core.exemplars import token_values as token_values_of
from stc_core.explanation import Token
from stc_core.hub import cached_names, resolve, weight_files
from stc_core.predictions import LABEL_COLUMN
from stc_core.report import Report, add_truncated
from stc_core.run import Run, list_runs
from stc_core.table import read_table
from stc_core.truncation import sampled_cut
from stc_core.uploads import SUFFIXES, Upload, find, keep, read_choice
from stc_core.wording import duration as duration
from stc_core.wording import interval as interval
from stc_core.wording import percent as percent
from stc_core.wording import size as size

if TYPE_CHECKING:
    from stc_core.backbone import Backbone
    from stc_core.forecast import Survey

HOME = "app.py"
DATA = "pages/1_Data.py"
TRAIN = "pages/2_Train.py"
LAYERS = "pages/3_Layers.py"
NEURONS = "pages/4_Neurons.py"
EXAMPLES = "pages/5_Examples.py"
PREDICT = "pages/6_Predict.py"
ADAPT = "pages/7_Adapt.py"
HIERARCHY = "pages/8_Hierarchy.py"
PAGES = {
    HOME: ("Home", ":material/home:"),
    DATA: ("Data", ":material/table_view:"),
    TRAIN: ("Train", ":material/model_training:"),
    LAYERS: ("Layers", ":material/stacked_line_chart:"),
    NEURONS: ("Neurons", ":material/grain:"),
    EXAMPLES: ("Examples", ":material/chat_bubble:"),
    PREDICT: ("Predict", ":material/batch_prediction:"),
    ADAPT: ("Adapt", ":material/tune:"),
    HIERARCHY: ("Hierarchy", ":material/account_tree:"),
}
HEAD_ROWS = 2000
SHOWN_ROWS = 100
_CONTEXT = "_context"


def context() -> Context:
    """What is being looked at now; `frame` must have run."""
    return st.session_state.get(_CONTEXT, Context())


def remember(**changes: Any) -> None:
    """Move the context, in the session and in the URL.

    Call it from a callback, or call st.rerun() after it: the links already drawn
    carry the old context.
    """
    _hold(context().moved(**changes))


def _hold(held: Context) -> None:
    st.session_state[_CONTEXT] = held
    wanted = held.params()
    for name in Context._fields:
        key = query_key(name)
        if key in wanted:
            if st.query_params.get(key) != wanted[key]:
                st.query_params[key] = wanted[key]
        elif key in st.query_params:
            del st.query_params[key]


def frame(title: str, icon: str, *, caption: str | None = None) -> None:
    """Open a page: its settings, the context from the URL, sidebar and title."""
    st.set_page_config(
        page_title=f"{title} · STC Studio",
        page_icon="🔬",
        layout="wide",
        initial_sidebar_state="expanded",
    )
    _hold(context().moved(**Context.parse(st.query_params.to_dict())))
    with st.sidebar:
        st.markdown("### :material/biotech: STC Studio")
        runs = _known_runs()
        for page, (label, page_icon) in PAGES.items():
            link(page, label, icon=page_icon)
        if runs:
            st.space("xsmall")
            titles = {name: _title(run) for name, run in runs.items()}
            pick("run", "Run", list(runs), format_func=lambda name: titles[name])
        st.caption(f"Runs are kept in `{runs_folder()}`")
    st.title(f"{icon} {title}")
    if caption:
        st.caption(caption)


def _known_runs() -> dict[str, Run]:
    """The runs by name, newest first; the context is given one where it has none."""
    runs = {run.folder.name: run for run in list_runs()}
    if context().run is None and runs:
        done = (name for name, run in runs.items() if state(run) == "done")
        _hold(context().moved(run=next(done, next(iter(runs)))))
    return runs


def _title(run: Run) -> str:
    said = state(run)
    return f"{headline(run)[0] if said == 'done' else said} · {run.name}"


_BADGES = {
    "queued": ("gray", ":material/schedule:"),
    "running": ("blue", ":material/progress_activity:"),
    "done": ("green", ":material/check:"),
    "failed": ("red", ":material/error:"),
    "cancelled": ("orange", ":material/cancel:"),
}


def badge(run: Run) -> None:
    """The state of `run` as a coloured label."""
    said = state(run)
    colour, icon = _BADGES[said]
    st.badge(said, color=colour, icon=icon)  # pyright: ignore[reportArgumentType]


def headline(run: Run) -> tuple[str, str, str]:
    """Test accuracy, neurons kept and layers read; dashes while there is no result."""
    if not run.has("metrics.json"):
        return ("–", "–", "–")
    metrics = read(run, "metrics")
    neurons, layers = metrics["neurons"], metrics["layers"]
    return (
        percent(metrics["test"]["accuracy"]),
        f"{neurons['selected']:,} of {neurons['total']:,}",
        f"{layers['used']} of {layers['total']}",
    )


def link(page: str, label: str, *, icon: str | None = None, **changes: Any) -> None:
    """A link to `page` that takes the context along, after `changes`."""
    params = context().moved(**changes).params()
    st.page_link(page, label=label, icon=icon, query_params=params)


def go(page: str, **changes: Any) -> None:
    """Switch to `page` with the context after `changes`."""
    remember(**changes)
    st.switch_page(page, query_params=context().params())


def pick(
    field: str,
    label: str,
    options: Sequence[Any],
    *,
    widget: Callable[..., Any] = st.selectbox,
    default: Any = None,
    **settings: Any,
) -> Any:
    """The option that the context holds in `field`, as a widget that writes it back.

    What the context holds wins on every run, so a click elsewhere moves the widget
    too; a value that is not among `options` shows `default` or the first one.
    """
    key = f"pick_{field}"
    held = getattr(context(), field)
    first = options[0] if default is None else default
    st.session_state[key] = held if held in options else first

    def write() -> None:
        remember(**{field: st.session_state[key]})

    widget(label, options, key=key, on_change=write, **settings)
    return st.session_state[key]


def any_run() -> Run:
    """The run that the context names, in any state; without one the page stops."""
    name = context().run
    if name is None:
        empty(
            "No run yet",
            "Train a classifier first; the sample takes less than a minute.",
            page=DATA,
            label="Choose data",
        )
    with guard():
        return Run.open(_folder_of(str(name)))
    raise AssertionError("guard stops the page")


def pick_run() -> Run:
    """The finished run that the context names; without one the page says so and stops.

    A run that is not finished shows its state and the way to watch it.
    """
    run = any_run()
    said = state(run)
    if said in ("queued", "running"):
        empty(
            "Still training",
            f"`{escape(run.folder.name)}` is {said}. This page opens when it is done.",
            page=TRAIN,
            label="Watch the progress",
        )
    if said != "done":
        empty(
            f"This run {'was cancelled' if said == 'cancelled' else 'failed'}",
            "It has no results to look at. Choose another run on the left, or see why.",
            page=TRAIN,
            label="See what happened",
        )
    return run


def _folder_of(name: str) -> Path:
    """The folder of the run called `name`; a name never leaves the runs folder."""
    plain = Path(name).name == name and not name.startswith(".")
    if not plain or not (runs_folder() / name).is_dir():
        raise StcError(
            f"There is no run {name!r} here",
            remedy="It may have been removed. Choose another one on the left.",
        )
    return runs_folder() / name


def state(run: Run) -> str:
    """queued, running, done, failed or cancelled."""
    return run.status["state"]


def empty(title: str, text: str, *, page: str, label: str) -> None:
    """An empty state with the one thing to do next; the page stops here."""
    with st.container(border=True, horizontal_alignment="center", gap="small"):
        st.space("small")
        st.subheader(title, anchor=False, text_alignment="center")
        st.markdown(text, text_alignment="center")
        link(page, label, icon=PAGES[page][1])
        st.space("small")
    st.stop()


@contextmanager
def guard() -> Iterator[None]:
    """Turn a StcError into a message and stop the page; all else fails loudly."""
    try:
        yield
    except StcError as error:
        show_error(error)
        st.stop()


def show_error(error: StcError) -> None:
    """Say what is wrong, what was expected, and how to mend it."""
    lines = [f"**{escape(error.where)}**"]
    if error.expected:
        lines.append(f"Expected: {escape(error.expected)}")
    if error.got:
        lines.append(f"Got: {escape(error.got)}")
    if error.remedy:
        lines.append(escape(error.remedy))
    st.error("  \n".join(lines), icon=":material/error:")


def stamp(path: Path) -> int:
    """When `path` was last written, in ns; 0 if it is not there. Part of cache keys."""
    return path.stat().st_mtime_ns if path.exists() else 0


_FILES = {
    "report": "report.json",
    "metrics": "metrics.json",
    "variability": "variability.json",
    "tuning": "tuning.json",
    "probes": "probes.parquet",
    "levels": "levels.parquet",
    "neurons": "neurons.parquet",
    "curves": "curves.parquet",
    "frontier": "frontier.parquet",
    "predictions": "predictions.parquet",
    "corpus": "corpus.parquet",
}


def read(run: Run, part: str) -> Any:
    """report, metrics, probes, neurons, curves, predictions or corpus of `run`.

    Read again only when its file was written again.
    """
    return _read(str(run.folder), part, stamp(run.folder / _FILES[part]))


@st.cache_data(max_entries=48, show_spinner=False)
def _read(folder: str, part: str, written: int) -> Any:
    return getattr(Run.open(Path(folder)), part)


def classifier(run: Run) -> Any:
    """The classifier of `run`, kept in memory for the what-if of one text."""
    return _classifier(str(run.folder), stamp(run.folder / "metrics.json"))


@st.cache_resource(max_entries=2, show_spinner="Loading the classifier …")
def _classifier(folder: str, written: int) -> Any:
    return Run.open(Path(folder)).classifier()


def clicked(
    key: str, turn: Callable[[Context, Mapping[str, Any]], Context]
) -> Callable[[], None]:
    """An `on_select` for the chart or table `key`: `turn` moves the context."""

    def move() -> None:
        _hold(turn(context(), st.session_state[key]))

    return move


@st.cache_data(max_entries=4, show_spinner=False)
def _examples(folder: str, written: int, _run: Run) -> pd.DataFrame:
    return examples_of(read(_run, "predictions"), read(_run, "corpus"))


def examples(run: Run) -> pd.DataFrame:
    """The texts of `run` with their predictions, ready to filter."""
    return _examples(str(run.folder), stamp(run.folder / "predictions.parquet"), run)


def explain(run: Run, text: str) -> dict[str, Any]:
    """The explanation of `text` by the classifier of `run`."""
    return _explain(str(run.folder), stamp(run.folder / "metrics.json"), text, run)


@st.cache_data(max_entries=64, show_spinner="Explaining …")
def _explain(folder: str, written: int, text: str, _run: Run) -> dict[str, Any]:
    return classifier(_run).explain(text)


def gradients(run: Run, text: str, label: str) -> dict[str, Any]:
    """Integrated gradients of `text` for a class, by the classifier of `run`."""
    written = stamp(run.folder / "metrics.json")
    return _gradients(str(run.folder), written, text, label, run)


@st.cache_data(max_entries=64, show_spinner="Following the words …")
def _gradients(
    folder: str, written: int, text: str, label: str, _run: Run
) -> dict[str, Any]:
    from stc_core.gradients import integrated_gradients

    return integrated_gradients(classifier(_run), text, label=label)


def token_values(
    run: Run, site: str, index: int, texts: Sequence[str]
) -> list[list[Token]]:
    """How active neuron `index` at `site` is on each token of `texts`."""
    written = stamp(run.folder / "metrics.json")
    return _token_values(str(run.folder), written, site, index, tuple(texts), run)


@st.cache_data(max_entries=128, show_spinner="Reading the neuron on each word …")
def _token_values(
    folder: str, written: int, site: str, index: int, texts: tuple[str, ...], _run: Run
) -> list[list[Token]]:
    backbone = classifier(_run).backbone_
    return token_values_of(backbone, texts, site=Site.parse(site), index=index)


@st.cache_data(max_entries=8, show_spinner="Reading the table …")
def _head(path: str, written: int) -> pd.DataFrame:
    return read_table(path, nrows=HEAD_ROWS)


def head(path: Path) -> pd.DataFrame:
    """The first rows of a table, enough to show it and to guess its columns."""
    return _head(str(path), stamp(path))


def choice(key: str) -> DataConfig:
    """Text, labels, split and id of the table `key`: chosen before, else guessed."""
    held, table = read_choice(key), head(find(key).path)
    guess, names = guess_columns(table), set(table.columns)
    chosen = tuple(name for name in held.labels if name in names)
    update = {
        "text": held.text if held.text in names else guess.text,
        "labels": chosen or guess.labels,
        "split": guess.split if held.split is None else held.split,
        "id": guess.id if held.id is None else held.id,
    }
    return held.model_copy(update=update)


def predictions_in(path: Path) -> tuple[pd.DataFrame, pd.Series]:
    """The first rows of a predicted table, and the rows per predicted label."""
    return _predictions_in(str(path), stamp(path))


@st.cache_data(max_entries=4, show_spinner=False)
def _predictions_in(path: str, written: int) -> tuple[pd.DataFrame, pd.Series]:
    preview = pd.read_csv(path, nrows=SHOWN_ROWS, keep_default_na=False)
    label = [name for name in preview if str(name).startswith(LABEL_COLUMN)][-1]
    labels = pd.read_csv(path, usecols=[label], dtype=str, keep_default_na=False)[label]
    return preview, labels.loc[labels.ne("")].value_counts()


def corpus_of(data: DataConfig) -> Corpus:
    """The corpus of `data`, read again when a file or a setting has changed.

    Shared and never copied: a page must not change it.
    """
    paths = [Path(data.path)] + ([Path(data.test_path)] if data.test_path else [])
    key = (data.model_dump_json(), *(stamp(path) for path in paths))
    return _corpus(key, data)


@st.cache_resource(max_entries=2, show_spinner="Checking every row …")
def _corpus(key: tuple, _data: DataConfig) -> Corpus:
    return inspect_corpus(_data)


def report_of(data: DataConfig) -> Report:
    """The report on `data`, with the share of texts that the default model cuts.

    That share is of a sample, so that it takes no time worth naming.
    """
    paths = [Path(data.path)] + ([Path(data.test_path)] if data.test_path else [])
    key = (data.model_dump_json(), *(stamp(path) for path in paths))
    return _report(key, corpus_of(data))


@st.cache_data(max_entries=4, show_spinner=False)
def _report(key: tuple, _corpus: Corpus) -> Report:
    texts = _corpus.texts
    cut = sampled_cut(texts)
    if cut is None:
        return _corpus.report
    return add_truncated(_corpus.report, *cut, sampled_of=len(texts))


def uploader(label: str, *, key: str) -> Upload | None:
    """A file uploader that copies the file to disk at once and lets go of it.

    What it returns is there for one run of the page: remember it and rerun.
    """
    turn = st.session_state.setdefault(f"_{key}_turn", 0)
    given = st.file_uploader(label, type=list(SUFFIXES), key=f"{key}_upload_{turn}")
    if given is None:
        return None
    with guard():
        kept = keep(given.name, given)
    st.session_state[f"_{key}_turn"] = turn + 1
    return kept


def pick_upload(field: str, uploads: list[Upload]) -> None:
    """A choice among kept tables that is remembered in `field` of the context."""
    names = {one.key: one.path.name for one in uploads}
    key, held = f"earlier_{field}", getattr(context(), field)
    st.session_state[key] = held if held in names else None

    def write() -> None:
        remember(**{field: st.session_state[key]})

    st.selectbox(
        "Earlier uploads",
        list(names),
        index=None,
        format_func=lambda one: names[one],
        placeholder="Choose a table" if names else "None yet",
        disabled=not names,
        key=key,
        on_change=write,
    )


def plan(config: RunConfig) -> dict[str, Any] | None:
    """What the run will take, before it starts: seconds, memory and disk.

    None while the backbone is being loaded and timed, beside the page and once for
    all settings that leave backbone and texts as they are. Raises what went wrong.
    """
    train, corpus = config.train, corpus_of(config.data)
    place = (train.backbone, train.device, train.dtype, train.max_length)
    loading = _backbone(*place)
    surveying = _survey(place, config.data.model_dump_json(), loading, corpus)
    if not surveying.done():
        return None
    if surveying.exception():  # it may be mended: try again next time
        _backbone.clear()
        _survey.clear()
    surveyed = surveying.result()
    from stc_core import recipes

    return recipes.plan(config, corpus, backbone=loading.result(), surveyed=surveyed)


@st.cache_resource(show_spinner=False)
def _beside() -> ThreadPoolExecutor:
    """Where slow preparations go on, one after another, while the page is there."""
    return ThreadPoolExecutor(1, "plan")


@st.cache_resource(max_entries=1, ttl=600, show_spinner=False)
def _backbone(
    name: str, device: str, dtype: str, max_length: int | None
) -> "Future[Backbone]":
    def load() -> "Backbone":
        from stc_core.backbone import Backbone  # seconds of imports

        return Backbone.load(name, device=device, dtype=dtype, max_length=max_length)

    return _beside().submit(load)


@st.cache_resource(max_entries=4, ttl=600, show_spinner=False)
def _survey(
    place: tuple, data: str, _loading: "Future[Backbone]", _corpus: Corpus
) -> "Future[Survey]":
    def measure() -> "Survey":
        backbone = _loading.result()  # it was asked for before, so it has ended
        from stc_core.forecast import survey

        return survey(backbone, _corpus.texts)

    return _beside().submit(measure)


def is_here(backbone: str) -> bool:
    """True if `backbone` can be loaded with no network."""
    return backbone in cached_names() or Path(backbone).expanduser().is_dir()


def weight_bytes(backbone: str) -> int:
    """How large the weights of a backbone are that is here."""
    return sum(path.stat().st_size for path in weight_files(resolve(backbone)))


def check_backbone(name: str) -> None:
    """Refuse a name that can be neither loaded from here nor asked for at the Hub."""
    if is_here(name):
        resolve(name)
        return
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise StcError(
            f"language model {name!r}",
            expected="a folder on this machine, or a Hugging Face id like 'gpt2'",
            remedy="Choose one from the list, or correct the name.",
        ) from error


@st.cache_resource(show_spinner="Looking for a GPU …")
def devices() -> dict[str, str]:
    """The devices a worker can be sent to, each with what is found there."""
    import torch

    found = {"auto": "the GPU if there is one", "cpu": f"{os.cpu_count()} cores"}
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.get_device_name(0)
    found["auto"] = found.get("cuda", "no GPU found: the CPU")
    return found


_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~$:])")


def escape(text: str) -> str:
    """`text` as Markdown that shows it letter for letter, on one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
