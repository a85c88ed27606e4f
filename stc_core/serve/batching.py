"""One thread for each model: calls run in order, waiting texts are read together."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

_BATCH = 8
"""The most texts that are read at once. The next text waits for so many, and 32 at once
are hardly faster on a CPU."""


Gone = Callable[[], Awaitable[bool]]
"""An asynchronous function that says whether a client has left."""


class ClientLeft(Exception):
    """Raised if the client of a request has left."""


class ModelThread:
    """The only thread that uses a model; callers wait in line without blocking."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._turn = asyncio.Lock()

    def begin(self, work: Callable[..., Any], *args: Any) -> Future[Any]:
        """The future result of `work(*args)`, which runs when its turn comes."""
        return self._thread.submit(work, *args)

    async def call(self, work: Callable[..., Any], *args: Any) -> Any:
        """The result of `work(*args)`."""
        return await asyncio.wrap_future(self.begin(work, *args))

    async def ask(self, gone: Gone, work: Callable[..., Any], *args: Any) -> Any:
        """The result of `work(*args)`, after all earlier calls of `ask`.

        Raises ClientLeft, without starting the work, if the client is `gone` by then.
        """
        async with self._turn:
            if await gone():
                raise ClientLeft
            return await self.call(work, *args)


class WaitingTexts(NamedTuple):
    """Texts that wait, and the future for their answers."""

    texts: Sequence[str]
    answers: asyncio.Future[list[Any]]


class Batches:
    """Answers texts with `work`, in batches that may mix the texts of several callers.

    `work` gives an answer for each text, which must not depend on the other texts. It
    gets at most _BATCH texts. A caller with more texts waits again for each batch, so
    a few texts never wait for all of a large request. If `work` raises an error, each
    call with a text in the batch raises it.
    """

    def __init__(
        self, thread: ModelThread, work: Callable[[list[str]], list[Any]]
    ) -> None:
        self._thread, self._work = thread, work
        self._line: deque[WaitingTexts] = deque()
        self._task: asyncio.Task[None] | None = None

    async def answers(
        self, texts: Sequence[str], gone: Gone | None = None
    ) -> list[Any]:
        """The answer to each text, in order.

        Raises ClientLeft, without starting more work, once the client is `gone`.
        """
        results: list[Any] = []
        for start in range(0, len(texts), _BATCH):
            if gone is not None and await gone():
                raise ClientLeft
            results += await self._wait(texts[start : start + _BATCH])
        return results

    async def _wait(self, texts: Sequence[str]) -> list[Any]:
        asked = WaitingTexts(texts, asyncio.get_running_loop().create_future())
        self._line.append(asked)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._empty())
        return await asked.answers

    async def _empty(self) -> None:
        while self._line:
            batch = self._next()
            texts = [text for asked in batch for text in asked.texts]
            job = self._thread.begin(self._work, texts)
            await asyncio.wait([asyncio.wrap_future(job)])
            _hand_out(job, batch)

    def _next(self) -> list[WaitingTexts]:
        """The first in line, and those behind it while the batch has room."""
        batch = [self._line.popleft()]
        n = len(batch[0].texts)
        while self._line and n + len(self._line[0].texts) <= _BATCH:
            batch.append(self._line.popleft())
            n += len(batch[-1].texts)
        return batch


def _hand_out(job: Future[list[Any]], batch: Sequence[WaitingTexts]) -> None:
    """Give each caller its answers, or the error; a caller that has left gets none."""
    error, start = job.exception(), 0
    for texts, answers in batch:
        stop = start + len(texts)
        if answers.done():
            pass
        elif error is not None:
            answers.set_exception(error)
        else:
            answers.set_result(job.result()[start:stop])
        start = stop
