"""Freed memory goes back to the system, and imports are not gone over for it."""

import ctypes
import gc
import platform
import sys
import weakref
from collections.abc import Callable, Iterator
from types import ModuleType

import numpy as np
import psutil
import pytest

from stc_core import memory

PIECE = 100_000  # bytes: below what glibc takes from the system by itself
N = 2_000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="is of glibc")
def test_holes_are_given_back():
    process = psutil.Process()
    pieces = [np.ones(PIECE, np.uint8) for _ in range(N)]
    keeps = pieces[::50]
    del pieces
    before = process.memory_info().rss
    memory.release_memory()
    assert before - process.memory_info().rss > PIECE * N / 2
    assert len(keeps) == N / 50


class Musl:
    """A C library without `malloc_trim`."""


def no_library(name: None) -> Musl:
    raise TypeError


@pytest.fixture
def anew() -> Iterator[None]:
    memory._malloc_trim.cache_clear()
    yield
    memory._malloc_trim.cache_clear()


@pytest.mark.parametrize("library", [lambda name: Musl(), no_library])
def test_another_library_is_left_alone(library: Callable, anew: None, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", library)
    memory.release_memory()
    assert memory._malloc_trim() is None


def test_nothing_is_collected_in_the_block_nor_what_it_leaves_later():
    gc.unfreeze()
    kept = []
    with pytest.raises(ZeroDivisionError), memory.without_collection():
        assert not gc.isenabled()
        kept.append([])
        raise ZeroDivisionError
    assert gc.isenabled() and gc.get_freeze_count() > 1000
    with memory.without_collection(), memory.without_collection():
        pass
    assert gc.isenabled()
    with memory.without_collection():
        with memory.without_collection():
            pass
        assert not gc.isenabled()
    assert not any(one is kept[0] for one in gc.get_objects())
    gc.unfreeze()
    assert any(one is kept[0] for one in gc.get_objects())


class Ring:
    """What only a collection frees."""

    def __init__(self) -> None:
        self.itself = self


def test_what_is_there_is_spared_once_its_modules_are_all_there(monkeypatch):
    monkeypatch.setattr(memory, "_seen", 0)
    monkeypatch.setattr(memory, "_spared", 0)
    gc.unfreeze()
    memory.spare_objects()
    assert gc.get_freeze_count() == 0  # there may be more to come
    memory.spare_objects()
    assert gc.get_freeze_count() > 1000
    later = weakref.ref(Ring())
    gc.collect()
    assert later() is None
    ring = Ring()
    seen = weakref.ref(ring)
    gc.freeze()
    del ring
    memory.spare_objects()
    gc.collect()
    assert seen() is not None
    monkeypatch.setitem(sys.modules, "one_more", ModuleType("one_more"))
    memory.spare_objects()
    assert seen() is not None
    memory.spare_objects()
    assert seen() is None and gc.get_freeze_count() > 1000
    gc.unfreeze()
