"""A run's files as the processes leave them, made without processes: run file, execution journal, event lines, decisions,
account samples, audit. What was booked is booked by the real Broker, so its account is the judge of what is read back."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import numpy as np

from config.load import digest
from config.paths import DataPaths
from config.schema import Account, Limits, Safety, Settings, Trading
from core.decision import DECISION
from core.enums import Cause, LogKind, MessageKind, Mode, OrderRole, Pump, ReportKind, SignalPhase, State
from core.explain import Naming, plain
from core.journal import DECISIONS, EXECUTION, encode_record
from core.orders.broker import ANSWERED, Broker, Controls, Note
from core.orders.router import ExecutionRouter
from core.orders.wire import Message, write_messages, write_reports
from core.risk.policy import instrument, policy
from tests.core.engine.streams import symbol_record
from workers.database_sources import ENTRY_RECORD
from workers.decision_files import DECISION_FRAME, PREFIX
from workers.event_files import EventFiles
from workers.event_lines import Instrument, day, line
from workers.journal_files import DurableLog, SegmentWriter
from workers.run_files import instrument_line

S = 1_000_000_000
NAMES = ("BTCUSDT", "ETHUSDT", "DOGEUSDT", "1000PEPEUSDT")
SETTINGS = Settings(
    trading=Trading(account=Account(max_positions=10)),
    safety=Safety(limits=Limits(max_heat_pct=100.0, daily_loss_pct=5.0, max_unrealised_loss_pct=100.0)),
)


class MadeRun:
    """`step` makes one attempt to trade; everything is on disk when it returns."""

    def __init__(self, folder: Path, run_id: str, start_ns: int, seed: int = 0, mode: str = "SIM", names=NAMES) -> None:
        self.paths = DataPaths(folder, mode)
        self.run_id, self.now_ns, self.start_ns = run_id, start_ns, start_ns
        self.random = random.Random(seed)
        self.broker = Broker(policy(SETTINGS), ExecutionRouter(Mode[mode]))
        self.seq = 0
        self.numbers: dict[str, int] = {}
        self.signals = 0
        self.kept: set[str] = set()
        self.rows = []
        self._desk: dict[int, int] = {}  # lots to close, by symbol
        self.prices = {}
        for k, name in enumerate(names):
            row = symbol_record(k, name, tick_mant=1 + k, price_exp=2 + k, qty_exp=3, lot_mant=1)
            row["tick_size"] = (1 + k) / 10 ** (2 + k)
            self.rows.append(row[0])
            self.broker.instruments[k] = instrument(row[0])
            self.prices[k] = 10_000 * (k + 1)
        self._write_run_file()
        self.paths.mode_dir.mkdir(parents=True, exist_ok=True)
        old = self.paths.execution_journal
        if old.exists():  # as execution does it at the start of another run
            old.replace(old.with_name(f"execution-{start_ns}.journal"))
        self.journal = DurableLog(self.paths.execution_journal, EXECUTION, run_id, start_ns)
        self.events = EventFiles(self.paths.events_dir)
        self.decisions: SegmentWriter | None = None
        self._day = ""
        self._closed = False
        self.log(Note(LogKind.PROCESS, -1, start_ns, 0, text="recorder"), "recorder")

    def _write_run_file(self) -> None:
        head = {"t": "run", "run_id": self.run_id, "mode": self.paths.mode, "ts_ns": self.start_ns, "seed": 1, "shards": 1,
                "paced": False, "source": "made", "symbols": "", "code_hash": "c", "settings_digest": digest(SETTINGS),
                "start_balance_e8": self.broker.account.start_balance_e8, "settings": msgspec.to_builtins(SETTINGS)}
        self.paths.runs_dir.mkdir(parents=True, exist_ok=True)
        lines = [head, *(instrument_line(row) for row in self.rows)]
        self.run_file = self.paths.runs_dir / f"{self.run_id}.jsonl"
        self.run_file.write_bytes(b"".join(msgspec.json.encode(x) + b"\n" for x in lines))

    # --- what processes do -------------------------------------------------------------------------------------------
    def log(self, note: Note, process: str = "execution") -> None:
        """One line, as the recorder writes it."""
        known = self.broker.instruments.get(note.symbol)
        shown = Instrument(known.name, known.tick_size, known.lot_size) if known else Instrument("", 0.0, 0.0)
        record = note._asdict() | {"severity": int(note.severity), "kind": int(note.kind)}
        stream, fields = line(record, process, self.run_id, shown)
        fields["n"] = self.numbers[process] = self.numbers.get(process, -1) + 1
        self.events.add(day(note.ts_ns), stream, msgspec.json.encode(fields))

    def handle(self, **fields):
        message = Message(seq=self.seq, ts_event_ns=self.now_ns, **fields)
        report, notes = self.broker.handle(message, Controls())
        if message.kind in ANSWERED:
            data = write_messages([message]).tobytes() + (write_reports([report]).tobytes() if report else b"")
            self.journal.write([encode_record(message.ts_event_ns, 0, 0, ENTRY_RECORD, data)], self.now_ns, False)
        for note in notes:
            self.log(note)
        return report

    def decision(self, symbol: int, side: int, accepted: bool, pump: Pump = Pump.NONE, to: State = State.ORDER_PLACED) -> None:
        record = np.zeros(1, DECISION.dtype)[0]
        for name, value in (("seq", self.seq), ("ts_ns", self.now_ns), ("symbol", symbol), ("side", side),
                            ("verdict", int(accepted)), ("state_from", int(State.ARMED_LONG)), ("state_to", int(to)),
                            ("pump", int(pump)), ("price_ticks", self.prices[symbol]), ("score_long", 61.5),
                            ("score_short", 58.5), ("cause", int(Cause.ORDER_SENT))):
            record[name] = value
        row = self.rows[symbol]
        naming = Naming(self.broker.instruments[symbol].name, int(row["tick_mant"]), int(row["price_exp"]))
        data = plain(record, naming)
        if accepted:
            self.kept.add(data["id"])
        if self.decisions is None or day(self.now_ns) != self._day:
            self._day = day(self.now_ns)
            if self.decisions is not None:
                self.decisions.close()
            self.decisions = SegmentWriter(self.paths.decisions_dir / self._day, self.run_id, segment_bytes=10**6,
                                           prefix=PREFIX, kind=DECISIONS)
        self.decisions.append(self.now_ns, self.seq, symbol, DECISION_FRAME, msgspec.json.encode(data))

    def step(self, apart_s: float = 40.0) -> None:
        """One attempt: signal, decision, order, fills (or none), and a way out."""
        r = self.random
        self.now_ns += int(r.uniform(0.5, 1.5) * apart_s * S)
        self.seq += r.randint(1, 900)
        symbol = r.randrange(len(self.rows))
        side = r.choice((1, -1))
        price = self.prices[symbol] = max(self.prices[symbol] + r.randint(-30, 30), 1000)
        stop, target = price - side * 40, price + side * 64
        if symbol in self.broker.account.positions or symbol in self.broker.working:
            return
        self.signals += 1
        self.log(Note(LogKind.SIGNAL, symbol, self.now_ns, self.seq, side, price, stop, target, 6150, int(SignalPhase.READY)),
                 "shard-0")
        self.log(Note(LogKind.STATE, symbol, self.now_ns, self.seq, int(State.ARMED_LONG), int(State.ORDER_PLACED),
                      int(Cause.ORDER_SENT), 6150, 2000, price), "shard-0")
        self.decision(symbol, side, True, r.choice((Pump.NONE, Pump.PUMPING, Pump.DUMP)))
        report = self.handle(symbol=symbol, kind=int(MessageKind.ENTER), side=side, price_ticks=price, stop_ticks=stop,
                             target_ticks=target, decision_id=self.seq)
        if report.kind == ReportKind.ACCEPTED:
            self._work(symbol, side, price, stop, target, report.order_id, report.qty_lots)
        self.events.flush()
        if self.decisions is not None:
            self.decisions.sync()

    def _fill(self, symbol: int, side: int, price: int, lots: int, leaves: int, role: OrderRole, order_id: int) -> None:
        self.seq += 1
        self.now_ns += int(self.random.uniform(0.1, 20) * S)
        value = self.broker.instruments[symbol].grid.value_e8(price, lots, round_up=True)
        self.handle(symbol=symbol, kind=int(MessageKind.FILL), side=side, price_ticks=price, qty_lots=lots,
                    leaves_lots=leaves, role=int(role), order_id=order_id, fee_e8=-(-value * 55 // 100_000),
                    is_maker=int(self.random.random() < 0.5))

    def _work(self, symbol: int, side: int, price: int, stop: int, target: int, order_id: int, lots: int) -> None:
        r = self.random
        if r.random() < 0.15:
            self.seq += 1
            self.handle(symbol=symbol, kind=int(MessageKind.DONE), order_id=order_id, leaves_lots=lots, reason=int(Cause.EXPIRED))
            return
        first = r.randint(1, lots)
        self._fill(symbol, side, price + side * r.randint(0, 2), first, lots - first, OrderRole.ENTRY, order_id)
        if first < lots:
            if r.random() < 0.5:
                self._fill(symbol, side, price + side * r.randint(0, 4), lots - first, 0, OrderRole.ENTRY, order_id)
            else:
                self.seq += 1
                self.handle(symbol=symbol, kind=int(MessageKind.DONE), order_id=order_id, leaves_lots=lots - first)
                lots = first
        if r.random() < 0.05:
            return  # stays open
        self.handle(symbol=symbol, kind=int(MessageKind.MARK), price_ticks=2 * (price + side * r.randint(-30, 50)))
        ways = ((OrderRole.STOP, stop), (OrderRole.TAKE_PROFIT, target), (OrderRole.EXIT, price + r.randint(-20, 20)))
        role, at = r.choice(ways)
        if role == OrderRole.EXIT:
            self.handle(symbol=symbol, kind=int(MessageKind.EXIT), reason=int(Cause.TIME_STOP))
        part = r.randint(0, lots - 1)
        for size in filter(None, (part, lots - part)):
            self._fill(symbol, -side, at, size, 0, role, order_id)

    def end(self) -> None:
        """The run is over in order."""
        with self.run_file.open("ab") as file:
            file.write(msgspec.json.encode({"t": "end", "ts_ns": self.now_ns}) + b"\n")
        self.close()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.journal.close()
            self.events.close()
            if self.decisions is not None:
                self.decisions.close()
