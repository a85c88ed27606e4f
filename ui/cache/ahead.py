"""Most pages need torch soon: it is imported while the user looks at the first one."""

import sys
import threading
from importlib import import_module

import streamlit as st

_AFTER_S = 1.0
"""The first page is drawn by then, in most cases: imports would slow it down."""
_MODULES = (
    "stc_core.classifiers.base",
    "stc_core.classifiers.loading",
    "stc_core.interpret.interventions.effects",
)
_lock = threading.Lock()
_begun = False


def import_ahead() -> None:
    """Begin to import what takes seconds, once in a process that serves a browser."""
    global _begun
    if st.context.url is None or "torch" in sys.modules:
        return
    with _lock:
        if _begun:
            return
        _begun = True
    timer = threading.Timer(_AFTER_S, _import_all)
    timer.daemon = True
    timer.start()


def _import_all() -> None:
    for name in _MODULES:
        import_module(name)
