"""Warming runs the gateway's own kernels, each with one signature. (That nothing compiles later: tests/system.)"""

from __future__ import annotations

from core.jit import KERNELS
from gateway import warm

OURS = (
    "gateway.routing", "gateway.intake", "gateway.connection", "shm.tap", "gateway.tape", "gateway.tape_scan",
    "gateway.bybit.book_sync",
)  # fmt: skip


def test_no_kernel_has_a_second_signature() -> None:
    """A second signature would be compiled while the market moves."""
    for name, function in warm.steps():
        if "venue" not in name:
            function()
    ours = [kernel for kernel in KERNELS if kernel.__module__ in OURS]
    assert len(ours) > 20
    # none at all: it is only called by kernels that came out of the cache whole
    assert {k.__name__: len(k.signatures) for k in ours if len(k.signatures) > 1} == {}
