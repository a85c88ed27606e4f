"""Where the forward passes of a training are run: here, in more processes, on Ray."""

from importlib.util import find_spec

import streamlit as st

from stc_core.engine.settings import EngineConfig, EngineName

_PLACES: dict[EngineName | None, str] = {
    None: "This training's own process",
    "local": "More processes of this machine",
    "ray": "A Ray cluster",
}
_HELP = (
    "Forward passes of the language model take longest with many texts or a large "
    "model. Each worker holds a copy of the model. The result does not depend on how "
    "many there are."
)


def engine_fields() -> EngineConfig | None:
    """Draw where the language model reads the texts; None for the run's own process.

    Ray is offered where it is installed.
    """
    there = [name for name in _PLACES if name != "ray" or find_spec("ray") is not None]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            "The language model reads in",
            there,
            format_func=lambda name: _PLACES[name],
            help=_HELP,
            width=290,
            key="engine",
        )
        if name is None:
            return None
        workers = st.number_input(
            "Workers",
            1,
            value=2 if name == "local" else None,
            placeholder="as many as fit",
            width=180,
            key="workers",
        )
        address, gpus = "", 0.0
        if name == "ray":
            address = st.text_input(
                "Address",
                placeholder="starts Ray on this machine",
                help="Such as 10.0.0.5:6379, or auto.",
                width=240,
                key="address",
            )
            gpus = st.number_input(
                "GPUs of each worker", 0.0, step=0.5, width=170, key="gpus"
            )
    given = {"engine": name, "workers": workers, "gpus": gpus}
    return EngineConfig.model_validate({**given, "address": address.strip() or None})
