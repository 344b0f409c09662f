"""Cases the desk's tests begin with: a rig, an exchange that refuses, books that do not agree."""

from __future__ import annotations

from core.orders.exchange_desk import DeskConfig
from core.orders.exchange_words import (
    Create,
)
from core.orders.lifecycle import OrderState
from tests.core.orders.naive_exchange import TAG, Rig

A = "AUSDT"


def rig(**config) -> Rig:
    return Rig(DeskConfig(run_tag=TAG, **config)).start()


def refusing(code: int, text: str = "", kind: type = Create, times: int = 1 << 30):
    left = [times]

    def refuse(request):
        if isinstance(request, kind) and left[0]:
            left[0] -= 1
            return code, text
        return None

    return refuse


def state(r: Rig, link_id: str) -> OrderState:
    return r.desk.core.store.by_link[link_id].state


def break_books(r: Rig) -> None:
    """The venue's position changes without any execution."""
    held = r.venue.position(A)
    r.venue.put_position(held._replace(lots=70))
