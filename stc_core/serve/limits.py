"""How many requests a client may send in a minute."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

_MOST_CLIENTS = 10_000
"""The most clients that are remembered; the one that was quiet longest is forgotten."""


class RateLimit:
    """Allows each client `per_minute` requests a minute, evenly refilled.

    A client that was quiet for a minute may send all of them at once (a token bucket).
    """

    def __init__(
        self, per_minute: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.per_minute, self._clock = per_minute, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str) -> int:
        """Count a request of this client: 0 if it may pass, else seconds to wait."""
        now, rate = self._clock(), self.per_minute / 60
        left, then = self._left.pop(client, (float(self.per_minute), now))
        left = min(float(self.per_minute), left + (now - then) * rate)
        passes = left >= 1
        self._left[client] = (left - passes, now)
        if len(self._left) > _MOST_CLIENTS:
            self._left.popitem(last=False)
        return 0 if passes else math.ceil((1 - left) / rate)
