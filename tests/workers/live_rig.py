"""A LIVE execution in one process: real order link over sockets to a served exchange, real journal and recorder; the
shard is played by hand. What is thrown at it is what happens to orders: lost answers, cut connections, kill -9, kill."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from config.schema import Settings
from core.enums import DataState, FeedState, MessageKind, Regime
from core.orders.exchange_words import Stream
from core.orders.wire import Message, write_messages
from core.records import REPORT, SYMBOL, SYMBOL_ROW
from gateway.venue.instruments import Instrument
from shm.run_spec import VenueAddress
from shm.topology import Plant
from tests.gateway.venue.running import Running
from tests.workers.journal_rig import end_threads
from tests.workers.support import EAGER, make_plant
from workers.execution import Execution
from workers.recorder import Recorder

WAIT_S = 240.0
_LIMITS = msgspec.structs.replace(
    EAGER.safety.limits, max_orders_per_minute=10_000, churn_orders=10_000, churn_round_trips=10_000,
)
SETTINGS = msgspec.structs.replace(
    EAGER, trading=msgspec.structs.replace(EAGER.trading, capital_tier="NORMAL"),
    safety=msgspec.structs.replace(EAGER.safety, limits=_LIMITS),
)


def address(venue: Running, account: int = 0) -> VenueAddress:
    found, key = venue.addresses, venue.venue.announced()["accounts"][account]
    return {"rest": found["rest"], "ws_public": found["ws_public"], "ws_private": found["ws_private"],
            "ws_trade": found["ws_trade"], "api_key": key["api_key"], "api_secret": key["api_secret"]}


class LiveRig:
    """`changes` go to the run description."""

    def __init__(
        self, folder: Path, venue: Running, seed: int, settings: Settings = SETTINGS, account: int = 0, **changes: Any
    ) -> None:
        self.folder = folder
        self.venue = venue
        self.settings = settings
        self.rng = random.Random(seed)
        private = venue.venue.private
        assert private is not None
        self.instruments: list[Instrument] = list(private.venue.instruments.values())
        values: dict[str, Any] = {"mode": "LIVE", "venue": address(venue, account), "created_ns": time.time_ns(),
                                  "intent_slots": 1024, "report_slots": 1024, **changes}
        self.plant = make_plant(folder, **values)
        self.data_dir = folder / "data"
        self.join("gateway").control.set("feed_state", int(FeedState.CONNECTED))
        for number, instrument in enumerate(self.instruments):
            self.plant.symbols().write(number, symbol_record(number, instrument))
        self._rows: np.ndarray = np.zeros(1, SYMBOL_ROW.dtype)
        self._reports: np.ndarray = np.zeros(64, REPORT.dtype)
        shard = self.join("shard", 0)
        self._intents, self._answers = shard.intents(0).writer(), shard.reports(0).reader()
        self.seq = 0
        self.recorder = self._recorder()
        self.execution = self._execution()
        self.starts = 1

    def join(self, role: str, index: int = 0) -> Plant:
        return Plant.join(self.folder / "run.json", role, index)

    def _execution(self) -> Execution:
        plant = self.join("execution")
        execution = Execution(plant, self.settings)
        plant.cnc().start()
        execution.on_start()
        self.say(Message(kind=int(MessageKind.NONE)))  # the shard is there
        return execution

    def _recorder(self) -> Recorder:
        plant = self.join("recorder")
        recorder = Recorder(plant, self.settings)
        plant.cnc().start()
        recorder.on_start()
        return recorder

    # --- the shard -----------------------------------------------------------------------------------------------------
    def say(self, message: Message) -> None:
        rows = write_messages([message])
        assert self._intents.push(rows, 1)

    def touch(self, symbol: int) -> tuple[int, int]:
        """Best bid and ask of the exchange, and the board that says so."""
        private = self.venue.venue.private
        assert private is not None
        name = self.instruments[symbol].symbol
        book = self.venue.run(lambda: tuple(int(side[0, 0]) for side in private.link.market.book(name)))
        self._rows[0]["ts_recv_ns"] = time.time_ns()
        self._rows[0]["bid_ticks"], self._rows[0]["ask_ticks"] = book
        self._rows[0]["mark_ticks"] = sum(book) // 2
        self._rows[0]["regime"] = int(Regime.NORMAL)
        self._rows[0]["data_state"] = int(DataState.OK)
        self.plant.symbol_rows().write(symbol, self._rows)
        return book[0], book[1]

    def message(self, kind: MessageKind, symbol: int, **more: Any) -> None:
        self.seq += 1
        self.say(Message(
            seq=self.seq, ts_event_ns=time.time_ns(), mono_sent_ns=time.monotonic_ns(), decision_id=self.seq, symbol=symbol,
            kind=int(kind), **more,
        ))

    def enter(self, symbol: int, side: int = 1) -> None:
        bid, ask = self.touch(symbol)
        price = bid if side > 0 else ask
        self.message(MessageKind.ENTER, symbol, side=side, price_ticks=price, stop_ticks=int(price * (1 - side * 0.01)),
                     target_ticks=int(price * (1 + side * 0.01)), zone_min_ticks=bid, zone_max_ticks=ask, score_e2=9000)

    def leave(self, symbol: int) -> None:
        kind = MessageKind.CANCEL if symbol in self.execution.broker.working else MessageKind.EXIT
        self.message(kind, symbol, reason=3)

    # --- things that happen ----------------------------------------------------------------------------------------------
    def kill_minus_nine(self) -> None:
        """Execution is gone from one moment to the next: nothing of what was under way is taken any more."""
        dead = self.execution
        assert dead.live is not None
        dead.live.link.stop()
        dead.records.close()
        while self._answers.pop(self._reports):
            pass
        self.execution = self._execution()
        self.starts += 1

    # --- run -----------------------------------------------------------------------------------------------------------
    def turn(self) -> None:
        for symbol in range(len(self.instruments)):
            if self.rng.random() < 0.1:
                self.touch(symbol)
        if self.execution.do_work() == 0:
            time.sleep(0.001)
        self.recorder.do_work()
        self._answers.pop(self._reports)

    def until(self, look: Any, what: str = "") -> None:
        deadline = time.monotonic() + WAIT_S
        while not look():
            self.turn()
            assert time.monotonic() < deadline, f"did not happen: {what}"

    def ready(self) -> None:
        live = self.execution.live
        assert live is not None
        desk = live.desk
        self.until(lambda: desk.ready and desk.core.up(Stream.TRADE), f"ready: {desk.trouble}")

    def turns(self, count: int) -> None:
        for _ in range(count):
            self.turn()

    def close(self) -> None:
        self.execution.on_close()
        self.recorder.on_close()

    def destroy(self) -> None:
        if self.execution.live is not None:
            self.execution.live.link.stop()
        end_threads(self.recorder)
        self.plant.destroy()


def symbol_record(number: int, instrument: Instrument) -> np.ndarray:
    """The symbol as the gateway lists it."""
    record: np.ndarray = np.zeros(1, SYMBOL.dtype)
    lot = instrument.answer["lotSizeFilter"]
    step = instrument.lot_mant / 10**instrument.qty_exp
    for name, value in {
        "id": number, "name_hash": 1000 + number, "tick_mant": instrument.tick_mant, "price_exp": instrument.price_exp,
        "lot_mant": instrument.lot_mant, "qty_exp": instrument.qty_exp, "lot_size": step,
        "tick_size": instrument.tick_mant / 10**instrument.price_exp,
        "min_qty_lots": round(float(lot["minOrderQty"]) / step), "max_qty_lots": 10**9, "max_market_lots": 10**9,
        "status": 1, "max_leverage_e2": 5000, "taker_fee_e8": 55_000, "price_limit_x_e8": 5_000_000,
        "maintenance_e8": 1_000_000,
    }.items():
        record[name] = value
    record["name"] = np.frombuffer(instrument.symbol.encode().ljust(record["name"].shape[-1], b"\0"), np.uint8)
    return record
