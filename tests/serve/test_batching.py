"""One thread for one model: nobody waits for all of a large request."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from stc_core.serve.batching import _BATCH, Batches, ClientLeft, ModelThread


class Slow:
    """Answers `text!`; remembers its batches, and can be held up."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[int] = set()
        self.go = threading.Event()
        self.go.set()

    def __call__(self, texts: list[str]) -> list[str]:
        assert self.go.wait(10)
        self.batches.append(texts)
        self.threads.add(threading.get_ident())
        if "bad" in texts:
            raise ValueError("bad")
        return [f"{text}!" for text in texts]


def names(letter: str, n: int) -> list[str]:
    return [f"{letter}{number}" for number in range(n)]


def test_many_callers_are_read_together_by_one_thread():
    work = Slow()

    async def ask() -> list[list[str]]:
        model_thread = ModelThread()
        one = Batches(model_thread, work)
        work.go.clear()
        asked = [asyncio.create_task(one.answers([text])) for text in names("t", 40)]
        await asyncio.sleep(0.01)
        work.go.set()
        found = await asyncio.gather(*asked)
        work.threads.add(await model_thread.call(threading.get_ident))
        return found

    found = asyncio.run(ask())
    assert found == [[f"{text}!"] for text in names("t", 40)]
    assert sum(map(len, work.batches)) == 40 and len(work.batches) <= 2 + 40 // _BATCH
    assert max(map(len, work.batches)) <= _BATCH
    assert len(work.threads) == 1


def test_what_nobody_waits_for_any_more_is_not_begun():
    work = Slow()
    left = iter([False, False, True])

    async def gone() -> bool:
        return next(left)

    async def ask() -> None:
        one = Batches(ModelThread(), work)
        with pytest.raises(ClientLeft):
            await one.answers(names("t", 9 * _BATCH), gone)

    asyncio.run(ask())
    assert len(work.batches) == 2


def test_what_one_asks_who_leaves_in_line_is_not_begun():
    go, done = threading.Event(), []
    left: set[str] = set()

    def work(name: str) -> str:
        assert go.wait(10)
        done.append(name)
        return name

    async def ask() -> list[str | BaseException]:
        model_thread = ModelThread()

        def asked(name: str) -> Coroutine[Any, Any, str]:
            async def gone() -> bool:
                return name in left

            return model_thread.ask(gone, work, name)

        calls = [asyncio.create_task(asked(name)) for name in "abc"]
        await asyncio.sleep(0.01)
        left.add("b")  # while it stands behind a
        go.set()
        return await asyncio.gather(*calls, return_exceptions=True)

    a, b, c = asyncio.run(ask())
    assert (a, c) == ("a", "c") and isinstance(b, ClientLeft)
    assert done == ["a", "c"]


def test_a_few_texts_never_wait_for_all_of_a_large_request():
    work = Slow()

    async def ask() -> None:
        one = Batches(ModelThread(), work)
        work.go.clear()
        large = asyncio.create_task(one.answers(names("l", 10 * _BATCH + 1)))
        await asyncio.sleep(0.01)
        small = asyncio.create_task(one.answers(["s"]))
        await asyncio.sleep(0.01)
        work.go.set()
        assert await small == ["s!"] and not large.done()
        assert await large == [f"{text}!" for text in names("l", 10 * _BATCH + 1)]

    asyncio.run(ask())
    assert "s" in work.batches[1]


def test_an_error_is_theirs_and_the_next_is_answered():
    work = Slow()

    async def ask() -> None:
        one = Batches(ModelThread(), work)
        with pytest.raises(ValueError, match="bad"):
            await one.answers(["bad"])
        assert await one.answers(["good"]) == ["good!"]

    asyncio.run(ask())


def test_one_who_left_takes_nothing_from_the_others():
    work = Slow()

    async def ask() -> list[str]:
        one = Batches(ModelThread(), work)
        work.go.clear()
        first = asyncio.create_task(one.answers(["a"]))
        gone = asyncio.create_task(one.answers(["b"]))
        stays = asyncio.create_task(one.answers(["c"]))
        await asyncio.sleep(0.01)
        gone.cancel()
        work.go.set()
        return [*await first, *await stays]

    assert asyncio.run(ask()) == ["a!", "c!"]
