"""`move_words` against slices, for every stretch and shift of a short array."""

from __future__ import annotations

import numpy as np

from core.jit import kernel
from core.move import move_words


@kernel
def move(array, start, stop, shift):
    move_words(array, start, stop, shift)


def test_every_stretch_and_shift() -> None:
    size = 9
    for start in range(size + 1):
        for stop in range(start, size + 1):
            for shift in range(-start, size - stop + 1):
                array = np.arange(100, 100 + size)
                expected = array.copy()
                expected[start + shift : stop + shift] = array[start:stop]
                move(array, start, stop, shift)
                assert array.tolist() == expected.tolist(), (start, stop, shift)
