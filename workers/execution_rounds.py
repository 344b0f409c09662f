"""What execution looks at four times a second, beside the messages: lost shards, kill triggers, the riskiest position, the
exchange's wallet, evidence of LIVE trades, churn, new settings."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from config.load import ConfigError
from config.reload import loosened
from core.constants import NS_PER_MS
from core.enums import Cause, Gate, LogKind, ReportKind, Severity
from core.orders.broker import Note
from core.orders.wire import Message, Report
from workers.run_settings import load_settings

if TYPE_CHECKING:
    from workers.execution import Execution

SHARD_LOST_NS = 30_000_000_000  # a shard silent this long does not manage its positions any more
CLOSE_RISKIEST_NS = 5_000_000_000
WALLET_AFTER_NS = 2_000_000_000  # a wallet read this long after the last fill has seen it


class Rounds:
    """Works for one Execution."""

    def __init__(self, host: Execution) -> None:
        self._host = host
        self.lost: set[int] = set()  # shards whose positions were closed
        self._riskiest_ns = 0
        self._config_version = host.control.get("config_version")

    def turn(self, now: int) -> None:
        """One round."""
        host = self._host
        host.account_dirty = True  # control words change what may be entered
        host.check_account()
        if host.paced:
            return
        for symbol in host.plant.symbols().changed_since():
            known = host.broker.instruments.pop(int(symbol), None)
            if known is not None or host.live is not None:  # LIVE hears of positions in any symbol
                host.know(int(symbol))
        self.close_lost_shards(now)
        self.watch_limits(now)
        self.close_riskiest(now)
        if host.evidence is not None:
            host.evidence.check.turn(now)
        self.keep_rollout()
        self.see_wallet()
        for name in host.churn.turn(host.broker.instruments):
            host.note(Note(LogKind.RISK, -1, time.time_ns(), 0, int(Gate.CHURN), severity=Severity.WARNING,
                           text=f"{name} {'latched off: churn' if name in host.churn.stands else 'enabled again'}"))
        version = host.control.get("config_version")
        if version != self._config_version:
            self._config_version = version
            self.reload(version)

    def keep_rollout(self) -> None:
        """LIVE on a real exchange: a daily loss costs a tier, incidents are taken up, the file is written."""
        host = self._host
        if host.rollout is None:
            return
        off = host.broker.risk_off(host.watch.event_ns(host.clock()), host.controls)
        if off == Gate.DAILY_LOSS and host.rollout.daily_loss():
            host.note(Note(LogKind.RISK, -1, time.time_ns(), 0, int(Gate.TIER), severity=Severity.CRITICAL,
                           text=f"daily loss: tier now {host.rollout.allowed.name}"))
        if host.rollout.turn():
            host.note(Note(LogKind.RISK, -1, time.time_ns(), 0, int(Gate.TIER), severity=Severity.CRITICAL,
                           text=f"incident: tier now {host.rollout.allowed.name}"))

    def see_wallet(self) -> None:
        """LIVE: deposits and withdrawals are told from results while nothing is open and the wallet is newer than the
        last fill."""
        host = self._host
        account = host.broker.account
        wallet = host.live.desk.wallet if host.live is not None else None
        if wallet is None or not host.broker.flat:
            return
        last_fill_ns = max((position.updated_ns for position in account.closed.values()), default=0)
        if wallet.updated_ms * NS_PER_MS < last_fill_ns + WALLET_AFTER_NS:
            return
        moved = host.broker.see_wallet(wallet.balance_e8)
        if moved:
            host.records.roll(Message(ts_event_ns=account.updated_ns))
            host.note(Note(LogKind.RISK, -1, time.time_ns(), 0, x=moved / 1e8, severity=Severity.WARNING,
                           text="cash moved beside our trades"))

    def note_fill(self, message: Message) -> None:
        """A fill of a LIVE account, booked: what it says about the next tier."""
        host = self._host
        position = host.broker.account.positions.get(message.symbol) or host.broker.account.closed.get(message.symbol)
        found = host.instrument_of(message.symbol)
        if host.evidence is None or host.live is None or position is None or found is None:
            return
        rows, row = host.plant.symbol_rows(), host.symbol_row
        pump = int(row[0]["pump"]) if rows.read_into(message.symbol, row) > 0 else 0
        trade = host.evidence.watch.fill(
            message, position, found.name, host.settings.trading.capital_tier, pump, host.broker.policy.fee_of(found), 0,
            host.live.desk.counters,
        )
        if trade is not None:
            host.evidence.closed(trade, host.clock())

    def close_riskiest(self, now: int) -> None:
        """At a risk limit, where the setting says so: the position with the most at risk goes, one after the other."""
        host = self._host
        if not host.broker.policy.close_riskiest or now - self._riskiest_ns < CLOSE_RISKIEST_NS:
            return
        symbol = host.broker.riskiest(host.controls)
        if symbol is not None:
            self._riskiest_ns = now
            host.note(Note(LogKind.RISK, symbol, time.time_ns(), 0, int(Gate.HEAT), severity=Severity.WARNING,
                           text="RISK_OFF: closing the riskiest"))
            host.send(host.broker.stand_down(int(Cause.GLOBAL), {symbol}))

    def watch_limits(self, now: int) -> None:
        """Kill where a trigger has tripped."""
        host = self._host
        if host.kill.killed:
            return
        trip = host.watch.look(now, host.controls, host.settings)
        if trip is not None:
            host.note(Note(LogKind.RISK, -1, time.time_ns(), 0, int(Gate.KILLED), severity=Severity.CRITICAL,
                           text=f"KILL trigger {trip.trigger}"))
            host.kill.trip(trip.reason)

    def reload(self, version: int) -> None:
        host = self._host
        try:
            settings = load_settings(host.plant)
        except ConfigError as error:
            host.error(error)
            host.note(Note(LogKind.CONFIG, -1, time.time_ns(), 0, a=version, severity=Severity.ERROR,
                           text="execution keeps the old settings"))
            return
        loose = loosened(host.settings, settings) if host.live is not None else []
        if loose:  # tightening takes effect at once; allowing more takes the confirmations of a start
            host.note(Note(LogKind.CONFIG, -1, time.time_ns(), 0, a=version, severity=Severity.WARNING,
                           text=f"LIVE keeps old limits: {', '.join(loose)}"))
            return
        host.settings = settings
        host.broker.policy = host.make_policy()
        host.cnc.config_seen = version

    def close_lost_shards(self, now: int) -> None:
        """Positions of a shard that does not come back are closed at their last mark."""
        host = self._host
        for shard in range(host.plant.spec.shards):
            cnc = host.plant.cnc("shard", shard)
            silent = cnc.heartbeat_ns > 0 and now - cnc.heartbeat_ns > SHARD_LOST_NS
            if not silent and not cnc.supervisor_get("given_up"):
                self.lost.discard(shard)
                continue
            symbols = host.broker.symbols_of(shard)
            if shard in self.lost or not symbols:
                continue
            self.lost.add(shard)
            if host.live is None:
                notes = host.book_own(shard, host.broker.end_working(symbols) + host.broker.close_at_mark(symbols))
            else:
                host.broker.stand_down(int(Cause.CONTROL), symbols)  # at the exchange, for real
                notes = []
            notes.append(Note(LogKind.RISK, -1, host.broker.account.updated_ns, 0, b=shard, severity=Severity.CRITICAL,
                              text=f"shard {shard} lost: closed {'at last mark' if host.live is None else 'at market'}"))
            # should it wake up after all, it must not go on with what is gone
            host.records.hand(shard, [Report(symbol=s, kind=int(ReportKind.POSITION)) for s in sorted(symbols)])
            host.account_dirty = True
            for note in notes:
                host.note(note)
