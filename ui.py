"""What the pages share: frame, context in the URL, run picker, cached readers, errors.

The only file beside app.py and pages/ that knows Streamlit.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from stc_core.config import runs_folder
from stc_core.errors import StcError
from stc_core.run import Run, list_runs

HOME = "app.py"
DATA = "pages/1_Data.py"
TRAIN = "pages/2_Train.py"
LAYERS = "pages/3_Layers.py"
NEURONS = "pages/4_Neurons.py"
EXAMPLES = "pages/5_Examples.py"
PREDICT = "pages/6_Predict.py"
PAGES = {
    HOME: ("Home", ":material/home:"),
    DATA: ("Data", ":material/table_view:"),
    TRAIN: ("Train", ":material/model_training:"),
    LAYERS: ("Layers", ":material/stacked_line_chart:"),
    NEURONS: ("Neurons", ":material/grain:"),
    EXAMPLES: ("Examples", ":material/chat_bubble:"),
    PREDICT: ("Predict", ":material/batch_prediction:"),
}
_CONTEXT = "_context"
_QUERY = {"label": "class"}  # `class` is a keyword of Python, not of the URL


class Context(NamedTuple):
    """What is being looked at; the URL mirrors it and every page reads it."""

    run: str | None = None
    layer: int | None = None
    neuron: int | None = None
    example: int | None = None
    label: str | None = None
    data: str | None = None

    def moved(self, **changes: Any) -> "Context":
        """This context after `changes`; another run forgets the places in the old."""
        another = "run" in changes and changes["run"] != self.run
        kept = Context(data=self.data) if another else self
        return kept._replace(**changes)

    def params(self) -> dict[str, str]:
        """The query parameters that say the same, the inverse of `parse`."""
        return {
            _QUERY.get(name, name): str(value)
            for name, value in self._asdict().items()
            if value is not None
        }

    @classmethod
    def parse(cls, params: Mapping[str, str]) -> dict[str, Any]:
        """The fields that a URL gives; what is not a number where one must be is left
        out."""
        found: dict[str, Any] = {}
        for name in cls._fields:
            given = params.get(_QUERY.get(name, name))
            if not given:
                continue
            if name not in ("layer", "neuron", "example"):
                found[name] = given
            elif given.isdecimal():
                found[name] = int(given)
        return found


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
        key = _QUERY.get(name, name)
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
            st.divider()
            pick("run", "Run", list(runs), format_func=lambda name: _title(runs[name]))
        st.caption(f"Runs are kept in `{runs_folder()}`")
    st.title(f"{icon} {title}")
    if caption:
        st.caption(caption)


def _known_runs() -> dict[str, Run]:
    """The runs by name, newest first; the context is given one where it has none."""
    runs = {run.folder.name: run for run in list_runs(runs_folder())}
    if context().run is None and runs:
        done = (name for name, run in runs.items() if state(run) == "done")
        _hold(context().moved(run=next(done, next(iter(runs)))))
    return runs


def _title(run: Run) -> str:
    said = state(run)
    if said != "done":
        return f"{run.folder.name} · {said}"
    return f"{run.folder.name} · {percent(read(run, 'metrics')['test']['accuracy'])}"


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


def pick_run() -> Run:
    """The finished run that the context names; without one the page says so and stops.

    A run that is not finished shows its state and the way to watch it.
    """
    name = context().run
    if name is None:
        empty(
            "No run yet",
            "Train a classifier first; the sample takes less than a minute.",
            page=DATA,
            label="Choose data",
        )
    with guard():
        run = Run.open(_folder_of(str(name)))
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
    if Path(name).name != name or name in ("", ".", ".."):
        raise StcError(f"run {name!r}", expected="the name of a run, not a path")
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
    "probes": "probes.parquet",
    "neurons": "neurons.parquet",
    "curves": "curves.parquet",
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


_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~$:])")


def escape(text: str) -> str:
    """`text` as Markdown that shows it letter for letter, on one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def interval(bounds: Sequence[float]) -> str:
    """A 95 % interval of a share: '85.1 to 89.9 %'."""
    return f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f} %"


def duration(seconds: float) -> str:
    """'0.4 s', '42 s', '3 min 20 s', '2 h 5 min'."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(n_bytes: float) -> str:
    """'812 B', '3.4 MB', '1.2 GB' (powers of 1000)."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 999.5:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"
