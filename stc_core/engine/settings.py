"""Where shards are computed: an engine, its workers and their storage."""

from typing import Literal

from stc_core.frozen import Frozen, Words
from stc_core.setting import setting

EngineName = Literal["local", "ray"]


class EngineConfig(Frozen):
    """How many workers compute shards, on what, and where finished shards are kept."""

    engine: EngineName | None = setting(
        None,
        "Compute shard by shard, so that an interrupted command goes on where it "
        "stopped: `local` on this machine, `ray` on Ray.",
    )
    workers: int | None = setting(
        None,
        "The number of workers. Without a number one for `local`, and for `ray` as "
        "many as the cluster has room for.",
        ge=1,
    )
    address: Words | None = setting(
        None,
        "The address of a Ray cluster, such as `10.0.0.5:6379`, or `auto`. Without one "
        "Ray is started on this machine.",
    )
    cpus: int = setting(1, "The processor cores of each worker.", ge=1)
    gpus: float = setting(
        0.0,
        "The GPUs of each worker on Ray. With less than one, workers share a GPU.",
        ge=0,
    )
    shard_store: Words | None = setting(
        None,
        "The folder or URL, such as `s3://bucket/shards`, of finished shards. All "
        "workers must see it. Without one it is in the home, and shards are removed "
        "once the result is written.",
    )

    @property
    def device(self) -> str:
        """The device of a worker, which must be the same for all of them."""
        return "cuda" if self.gpus else "cpu"
