"""The engine of many machines: Ray's actors hold the model once and do shards.

Ray restarts an actor whose process or machine is gone and gives it its shard again.
Ours is how many shards are on the way, and what is done about a slow or lost worker.
"""

import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from stc_core.engine.settings import EngineConfig
from stc_core.engine.shard_store import ShardStore
from stc_core.engine.shard_worker import ShardWorker, WorkerFacts
from stc_core.engine.shards import DoShards, FinishedShard, Shard, ShardWork
from stc_core.errors import StcError
from stc_core.installation.extras import require_extra
from stc_core.runs.environment import versions_of

ON_THE_WAY = 2
"""The shards that a worker has at a time: the one it does, and the next."""
TRIES_OF_A_SHARD = 3
"""So often is a shard begun again after it lost its worker."""
ANSWER_S = 5.0
"""How long an address may take to answer."""
BEGIN_S = 900.0
"""How long the first worker may take to begin: clusters add machines in minutes."""


def fill_on_ray(
    work: ShardWork, shards: Iterable[Shard], store: ShardStore, config: EngineConfig
) -> Iterator[FinishedShard]:
    """Do the shards on Ray, and yield each that is finished, in any order.

    Memory does not grow with their number: a shard is read when a worker has room for
    it. Workers that find no place in the cluster are not waited for. StcError if
    workers cannot do the work, or if none begins in BEGIN_S.
    """
    with workers_on_ray(work, store, config) as do:
        yield from do(shards)


@contextmanager
def workers_on_ray(
    work: ShardWork, store: ShardStore, config: EngineConfig
) -> Iterator[DoShards]:
    """Inside, workers on Ray do the shards of one call after another."""
    with connected(config.address), _probed(store) as probe:
        with _workers(work, store, config) as workers:
            yield _Flights(workers, probe, store.url).all


@contextmanager
def _probed(store: ShardStore) -> Iterator[str]:
    """Inside, the storage has a file by which workers find that they see it."""
    probe = store.put_probe()
    try:
        yield probe
    finally:
        store.remove_probe(probe)


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Inside, this process is connected to Ray.

    A Ray that this program has started already is used, else that at the address, else
    one is started here. StcError if Ray is not installed, or does not answer.
    """
    require_extra("ray")
    import ray

    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        options["include_dashboard"] = False
    else:
        _check_answer(address)
    try:
        ray.init(address or "local", **options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise _no_cluster(address, str(error)) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_answer(address: str) -> None:
    """StcError if nothing listens at `address`; `auto` is left to Ray."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdecimal():
        raise StcError(
            f"option --address {address}",
            expected="HOST:PORT, such as 10.0.0.5:6379, or auto",
        )
    try:
        socket.create_connection((host, int(port)), ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, str(error)) from error


def _no_cluster(address: str | None, got: str) -> StcError:
    return StcError(
        "Ray on this machine" if address is None else f"Ray at {address}",
        expected="a cluster that answers",
        got=" ".join(got.split())[:300],
        remedy="Start one with `ray start --head`, and check the address, the network "
        "and that both sides have the same version of Ray and of Python.",
    )


@contextmanager
def _workers(
    work: ShardWork, store: ShardStore, config: EngineConfig
) -> Iterator[list[Any]]:
    """Inside, there are as many actors as are asked for, or as have room."""
    import ray

    there = ray.cluster_resources()
    room = int(there.get("CPU", 0) // config.cpus)
    if config.gpus:
        room = min(room, int(there.get("GPU", 0) / config.gpus))
    wanted = config.workers or max(room, 1)
    if wanted > room:
        each = f"{config.cpus} CPUs and {config.gpus:g} GPUs each"
        raise StcError(
            f"{wanted} workers on Ray with {each}",
            expected=f"at most {room} in a cluster with {there.get('CPU', 0):g} CPUs "
            f"and {there.get('GPU', 0):g} GPUs",
            remedy="Lower --workers, --cpus or --gpus, or add machines.",
        )
    kind = ray.remote(ShardWorker).options(  # pyright: ignore[reportAttributeAccessIssue]
        num_cpus=config.cpus,
        num_gpus=config.gpus,
        max_restarts=-1,
        max_task_retries=TRIES_OF_A_SHARD,
        scheduling_strategy="SPREAD",
    )
    workers: list[Any] = [kind.remote(work, store) for _ in range(wanted)]
    try:
        yield workers
    finally:
        for worker in workers:
            ray.kill(worker)


def _no_place() -> StcError:
    """The error for a cluster in which no worker begins."""
    import ray

    free, there = ray.available_resources(), ray.cluster_resources()
    return StcError(
        "the workers on Ray",
        expected=f"one that begins within {BEGIN_S:g} seconds",
        got=" and ".join(
            f"{free.get(kind, 0):g} of {there.get(kind, 0):g} {kind}s free"
            for kind in ("CPU", "GPU")
        ),
        remedy="Wait until other jobs of the cluster end, add machines, or lower "
        "--cpus or --gpus.",
    )


def check_facts(facts: WorkerFacts, here: dict[str, str], url: str) -> None:
    """StcError if a worker would give other numbers, or nothing at all."""
    differing = [name for name in here if facts.versions.get(name) != here[name]]
    if differing:
        raise StcError(
            f"the worker on {facts.host}",
            expected=", ".join(f"{name} {here[name]}" for name in differing),
            got=", ".join(f"{one} {facts.versions.get(one)}" for one in differing),
            remedy="Install the same versions on all machines.",
        )
    if not facts.sees_storage:
        raise StcError(
            f"storage {url!r}",
            expected="a place that all workers see",
            got=f"another place on {facts.host}",
            remedy="Name a shared folder or a URL with --shard-store.",
        )


def _result(reference: Any) -> Any:
    """What a task gives; StcError for what a user can mend."""
    import ray
    from ray.exceptions import RayActorError, RayTaskError

    try:
        return ray.get(reference)
    except RayTaskError as error:
        if isinstance(error.cause, StcError):
            raise error.cause from error
        if isinstance(error.cause, ImportError):
            raise StcError(
                "a worker",
                expected="STC Studio on every machine of the cluster",
                got=str(error.cause),
                remedy="Install the same version of it there.",
            ) from error
        raise
    except RayActorError as error:
        raise StcError(
            "a worker on Ray",
            expected="a process that lives until its shard is done",
            got=" ".join(str(error).split())[:300],
            remedy="Most often the memory is too small: use fewer --workers with more "
            "--cpus each. Finished shards are kept.",
        ) from error


def is_out_of_reach(reference: Any) -> bool:
    """Whether a task is lost as its worker could not be reached for a moment.

    Ray does not begin such a task again, unlike that of a worker that died.
    """
    import ray
    from ray.exceptions import ActorUnavailableError, RayError

    try:
        ray.get(reference)
    except ActorUnavailableError:
        return True
    except RayError:  # `_result` says what is wrong
        return False
    return False


class _Flights:
    """The shards that are on the way to workers and back.

    A worker gets shards as soon as it has begun and is found to fit. Others may begin
    later, or never: a cluster can have less room than it says, as a machine that is
    gone counts for a while, and other jobs take places.
    """

    def __init__(self, workers: list[Any], probe: str, url: str) -> None:
        self._workers, self._probe, self._url = workers, probe, url
        self._coming: dict[Any, int] = {}
        for worker in range(len(workers)):
            self._ask(worker)
        self._there: list[int] = []
        self._begun: dict[Any, tuple[Shard, int]] = {}
        self._loads = Counter[int]()
        self._unreached = Counter[object]()

    def all(self, shards: Iterable[Shard]) -> Iterator[FinishedShard]:
        """Yield every shard that is finished, once.

        It may be called again; no number of a shard may come a second time.
        """
        remaining, undone = iter(shards), dict[int, Shard]()
        exhausted = False
        while True:
            while not exhausted and (worker := self._free(ON_THE_WAY)) is not None:
                if (shard := next(remaining, None)) is None:
                    exhausted = True
                    break
                undone[shard.number] = shard
                self._begin(shard, worker)
            if exhausted and not undone:
                return
            if exhausted:
                self._begin_again(undone)
            reference = self._next_answer()
            if reference in self._coming:
                self._let_in(reference)
                continue
            shard, worker = self._begun.pop(reference)
            self._loads[worker] -= 1
            if shard.number not in undone or self._sent_again(reference, shard):
                continue
            del undone[shard.number]
            yield _result(reference)

    def _next_answer(self) -> Any:
        """Wait for a shard, or for a worker that begins."""
        import ray

        wait_s = None if self._there else BEGIN_S
        asked = [*self._begun, *self._coming]
        answered, _ = ray.wait(asked, num_returns=1, timeout=wait_s)
        if not answered:
            raise _no_place()
        return answered[0]

    def _ask(self, worker: int) -> None:
        self._coming[self._workers[worker].facts.remote(self._probe)] = worker

    def _let_in(self, reference: Any) -> None:
        """Give shards to a worker from now on; StcError if it does not fit."""
        worker = self._coming.pop(reference)
        if self._was_out_of_reach(reference, ("worker", worker)):
            self._ask(worker)
            return
        check_facts(_result(reference), versions_of(), self._url)
        self._there.append(worker)

    def _begin(self, shard: Shard, worker: int) -> None:
        self._begun[self._workers[worker].do.remote(shard)] = shard, worker
        self._loads[worker] += 1

    def _sent_again(self, reference: Any, shard: Shard) -> bool:
        """Whether the worker of a shard was out of reach, so that it is begun again."""
        if not self._was_out_of_reach(reference, ("shard", shard.number)):
            return False
        self._begin(shard, min(self._there, key=lambda one: self._loads[one]))
        return True

    def _was_out_of_reach(self, reference: Any, whose: object) -> bool:
        """Whether to try a task again, after a pause, as its worker was out of reach.

        After TRIES_OF_A_SHARD it is not, and its error counts.
        """
        tries = self._unreached[whose]
        if tries == TRIES_OF_A_SHARD or not is_out_of_reach(reference):
            return False
        self._unreached[whose] += 1
        time.sleep(2**tries)
        return True

    def _begin_again(self, undone: dict[int, Shard]) -> None:
        """Give each idle worker a shard that another one has not finished yet.

        That one may be slow, or its machine may be gone without another place for it.
        Both give the same result, so the first one counts.
        """
        while (worker := self._free(1)) is not None:
            copies = Counter(shard.number for shard, _ in self._begun.values())
            once = [shard for number, shard in undone.items() if copies[number] == 1]
            if not once:
                return
            self._begin(once[0], worker)

    def _free(self, most: int) -> int | None:
        """The worker with the fewest shards, if these are fewer than `most`."""
        worker = min(self._there, key=lambda one: self._loads[one], default=None)
        return worker if worker is not None and self._loads[worker] < most else None
