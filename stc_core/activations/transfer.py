"""Pooled activations on the way from the device to the host, as they are stored."""

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from stc_core.types import PooledSite

Blocks = dict[PooledSite, Tensor]


class HostCopy(NamedTuple):
    """A tensor on its way to the host; on CUDA the copy runs beside the computation."""

    host: Tensor
    ready: torch.cuda.Event | None

    @classmethod
    def start(cls, block: Tensor) -> "HostCopy":
        """Start the copy of a tensor."""
        if block.device.type != "cuda":
            return cls(block.cpu(), None)
        host = torch.empty(block.shape, dtype=block.dtype, pin_memory=True)
        copies, ready = _copy_stream(block.device), torch.cuda.Event()
        copies.wait_stream(torch.cuda.current_stream(block.device))
        with torch.cuda.stream(copies):
            host.copy_(block, non_blocking=True)
            ready.record(copies)
        block.record_stream(copies)  # its memory is not reused before the copy ends
        return cls(host, ready)

    def wait(self) -> Tensor:
        """The tensor on the host, once the copy has ended."""
        if self.ready is not None:
            self.ready.synchronize()
        return self.host


@cache
def _copy_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


class Packed(NamedTuple):
    """Pooled blocks, and the same values on the host in one row, with min and max."""

    blocks: Blocks
    values: HostCopy
    extremes: HostCopy


def pack(blocks: Blocks, dtype: torch.dtype = torch.float16) -> Packed:
    """The blocks' values in `dtype`, where a value that does not fit becomes inf."""
    values = torch.cat([block.to(dtype).flatten() for block in blocks.values()])
    extremes = torch.stack(torch.aminmax(values))
    return Packed(blocks, HostCopy.start(values), HostCopy.start(extremes))
