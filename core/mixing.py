"""splitmix64's finaliser (Steele, Lea, Flood 2014): the mixing function of every digest."""

from __future__ import annotations

import numpy as np

from core.jit import kernel

_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)
MASK = (1 << 64) - 1


@kernel
def mix64(x):  # type: ignore[no-untyped-def]
    """Scramble a uint64: bijective, every input bit reaches every output bit."""
    x = (x ^ (x >> _S30)) * _M1
    x = (x ^ (x >> _S27)) * _M2
    return x ^ (x >> _S31)


def mix64_int(x: int) -> int:
    """`mix64` on plain Python integers."""
    x = ((x ^ (x >> 30)) * int(_M1)) & MASK
    x = ((x ^ (x >> 27)) * int(_M2)) & MASK
    return x ^ (x >> 31)
