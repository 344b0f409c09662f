"""Commands and answers keep every field over the ring; texts are cut at a character."""

from __future__ import annotations

import numpy as np

from core.orders.command_words import (
    Answer,
    Command,
    position_id,
    read_answers,
    read_commands,
    write_answer,
    write_command,
)


def test_every_field_comes_back() -> None:
    command = Command(*range(1, 15), text="why")
    assert read_commands(write_command(command), 1) == [command]
    answer = Answer(1, 2, 3, 4, -5, 6, 7, 8.5, 9.5, 10, 11, 12, True, -1, True, "s-1-BTCUSDT-b")
    assert read_answers(write_answer(answer), 1) == [answer]


def test_long_texts_are_cut_at_a_character() -> None:
    (back,) = read_commands(write_command(Command(1, 2, 3, text="x" * 47 + "é" * 9)), 1)
    assert back.text == "x" * 47


def test_position_ids_fit_whatever_the_order_id() -> None:
    for order_id in (0, 1, 2**31, 2**62 + 5):
        value = position_id(order_id)
        assert np.int32(value) == value and value >= 0
