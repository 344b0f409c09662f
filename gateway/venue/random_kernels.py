"""Random numbers for kernels: splitmix64, one state word per symbol, so that a seed fixes the whole market."""

from __future__ import annotations

import math

import numpy as np

from core.jit import kernel


@kernel
def next_word(random, i):
    """Advance generator i of the uint64 array `random`; a uint64."""
    random[i] += np.uint64(0x9E3779B97F4A7C15)
    x = random[i]
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@kernel
def uniform(random, i):
    """A float in (0, 1)."""
    return (float(next_word(random, i) >> np.uint64(12)) + 0.5) / 4503599627370496.0


@kernel
def gauss(random, i):
    """A standard normal (Box-Muller; the second of the pair is thrown away to keep no state)."""
    return math.sqrt(-2.0 * math.log(uniform(random, i))) * math.cos(6.283185307179586 * uniform(random, i))


@kernel
def heavy(random, i):
    """A heavy-tailed, symmetric number of about unit scale (normal over the root of an exponential, clipped at 12)."""
    x = gauss(random, i) / math.sqrt(0.35 - 1.3 * math.log(uniform(random, i)))
    return min(12.0, max(-12.0, x))


@kernel
def poisson(random, i, mean):
    """How many arrivals in a step of expectation `mean` (Knuth; at most 400)."""
    if mean <= 0.0:
        return 0
    floor = math.exp(-min(mean, 200.0))
    product = uniform(random, i)
    count = 0
    while product > floor and count < 400:
        product *= uniform(random, i)
        count += 1
    return count
