"""One thread for one model: calls in their order, texts that wait read together."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

_BATCH = 8
"""Texts that are read at once. So many stand before one that comes next, and 32 at
once are hardly faster on a CPU."""


Gone = Callable[[], Awaitable[bool]]
"""Whether a client has left."""


class Left(Exception):
    """Who asked has left."""


class ModelThread:
    """The thread that alone talks to a model; others wait in line without blocking."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._turn = asyncio.Lock()

    def begin(self, work: Callable[..., Any], *given: Any) -> Future[Any]:
        """What `work(*given)` will return, when its turn has come."""
        return self._thread.submit(work, *given)

    async def call(self, work: Callable[..., Any], *given: Any) -> Any:
        """What `work(*given)` returns."""
        return await asyncio.wrap_future(self.begin(work, *given))

    async def ask(self, gone: Gone, work: Callable[..., Any], *given: Any) -> Any:
        """The same, after those who asked before; Left once who asked is `gone`.

        What nobody waits for any more is not begun.
        """
        async with self._turn:
            if await gone():
                raise Left
            return await self.call(work, *given)


class Asked(NamedTuple):
    """Texts that wait, and where their answers go."""

    texts: Sequence[str]
    answers: asyncio.Future[list[Any]]


class Batches:
    """Answers texts by `work`, those of several callers together.

    `work` gives an answer for each text, which must not depend on the others. It gets
    BATCH texts at most; a caller with more waits anew for each batch, so that a few
    texts never stand behind all of a large request. If it raises, so does every call
    that had a text in the batch.
    """

    def __init__(
        self, desk: ModelThread, work: Callable[[list[str]], list[Any]]
    ) -> None:
        self._desk, self._work = desk, work
        self._line: deque[Asked] = deque()
        self._task: asyncio.Task[None] | None = None

    async def answers(
        self, texts: Sequence[str], gone: Gone | None = None
    ) -> list[Any]:
        """The answer to each text, in their order; Left once who asked is `gone`.

        What nobody waits for any more is not begun.
        """
        found: list[Any] = []
        for start in range(0, len(texts), _BATCH):
            if gone is not None and await gone():
                raise Left
            found += await self._wait(texts[start : start + _BATCH])
        return found

    async def _wait(self, texts: Sequence[str]) -> list[Any]:
        asked = Asked(texts, asyncio.get_running_loop().create_future())
        self._line.append(asked)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._empty())
        return await asked.answers

    async def _empty(self) -> None:
        while self._line:
            some = self._next()
            texts = [text for asked in some for text in asked.texts]
            job = self._desk.begin(self._work, texts)
            await asyncio.wait([asyncio.wrap_future(job)])
            _hand_out(job, some)

    def _next(self) -> list[Asked]:
        """The first in line, and those behind it while there is room."""
        some = [self._line.popleft()]
        n = len(some[0].texts)
        while self._line and n + len(self._line[0].texts) <= _BATCH:
            some.append(self._line.popleft())
            n += len(some[-1].texts)
        return some


def _hand_out(job: Future[list[Any]], some: Sequence[Asked]) -> None:
    """Give each its answers, or the error; one who has left gets nothing."""
    error, start = job.exception(), 0
    for texts, answers in some:
        stop = start + len(texts)
        if answers.done():
            pass
        elif error is not None:
            answers.set_exception(error)
        else:
            answers.set_result(job.result()[start:stop])
        start = stop
