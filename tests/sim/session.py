"""One session from a seed: the whole order path in virtual time, from its start to its settled end, with the verdict.

    faults: [start ..... weathers, happenings, crashes, perhaps a kill ..... calm] -> settled within 30 s -> all closed
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from core.orders.desk_journal import Executed, Intent, decode
from core.orders.exchange_desk_core import DESK_SEQ
from core.orders.exchange_words import Event, Lost, Persist, RecordKind, Request, Send, Stream
from core.orders.guard_duty import Seen
from core.orders.journal_compact import compact
from core.orders.wire import Message, Report
from core.sim.desk_link import DeskLink
from core.sim.link_faults import Dice
from core.sim.link_rows import quote_of
from core.sim.margin_types import AccountSpec
from core.sim.scheduler import Scheduler
from gateway.venue.venue_exchange import VenueExchange
from tests.sim.disk import Disk
from tests.sim.guardian import TURN_NS, SimGuardian
from tests.sim.happenings import ACTIONS, restore
from tests.sim.host import Crash, Host
from tests.sim.judge import AFTER_LINK_NS, AFTER_START_NS, Judge
from tests.sim.market import NAMES, STEP_NS, Market
from tests.sim.sender import Sender
from tests.sim.strategy import Strategy, Targets
from tests.sim.swarm import MatchingFaults, Plan, draw

MS = 1_000_000
SECOND = 1000 * MS
BOOT_NS = 1_000 * SECOND  # our monotonic clock
VENUE_EPOCH_NS = 1_780_000_000 * SECOND - BOOT_NS
UID = 4711
DEPOSIT_E8 = 20_000 * 10**8
TIMER_NS = 25 * MS
INTENTS = 60
SETTLE_NS = 30 * SECOND
LONGEST_NS = 150 * SECOND

KEEP_MS = 20_000  # of the journal, at a compaction: more than any list of executions lags behind here

LATCHED = frozenset({"LIQUIDATION", "KEY", "LEDGER"})  # troubles that wait for a person

MakeHost = Callable[["Session"], Host]


@dataclass
class Outcome:
    """What is left of a session."""

    seed: int
    violations: list[str]
    intents: int = 0
    orders: int = 0
    fills: int = 0
    crashes: list[str] = field(default_factory=list)
    hits: Counter[str] = field(default_factory=Counter)
    counters: Counter[str] = field(default_factory=Counter)
    settle_ms: int = 0
    kill_ms: int = 0
    naked_ms: int = 0
    compared: int = 0
    open_compared: int = 0
    reordered: int = 0
    adopted: int = 0
    virtual_s: float = 0.0
    digest: str = ""
    trace: list[str] = field(default_factory=list)
    plan: str = ""
    mutant: str = ""

    @property
    def command(self) -> str:
        """What reproduces it."""
        words = [f"python -m tests.sim --seed {self.seed} --trace"]
        words += [f"--plan {self.plan}"] if self.plan else []
        words += [f"--mutant {self.mutant}"] if self.mutant else []
        return " ".join(words)


class Session:
    """`run` gives the outcome. `trace`: keep every event and effect as text; `digest`: fold them into one hash."""

    def __init__(self, seed: int, make_host: MakeHost, plan: Plan | None = None, trace: bool = False,
                 digest: bool = False) -> None:
        self.plan = plan or draw(seed)
        self.make_host = make_host
        self.scheduler = Scheduler(BOOT_NS)
        self.rules = MatchingFaults(seed)
        self.exchange = VenueExchange(self.rules, seed)  # type: ignore[arg-type]
        self.uid = UID
        self.market = Market(self.exchange, random.Random(f"market {seed}"), self.plan.symbols, self.plan.jump)
        self.names = list(NAMES[: self.plan.symbols])
        self.exchange.add_account(UID, AccountSpec(deposit_e8=DEPOSIT_E8))
        self.exchange.book_of = self._book_of
        self.exchange.look_again = self._look_again
        self.link = DeskLink(self.scheduler, self.exchange, UID, seed, VENUE_EPOCH_NS, self._deliver)
        self.link.sent = self._sent
        self.disk = Disk(self.scheduler, Dice(seed ^ 0xD15C), self.plan.sync_ns)
        self.judge = Judge(self.exchange, UID, self.names, self.link.born, BOOT_NS, DEPOSIT_E8)
        self.strategy = Strategy(
            self.scheduler, self.market, random.Random(f"strategy {seed}"), self.plan.pace_ns, self._to_host,
            self._protect, lambda: self.link.venue_ns,
        )
        self.rng = random.Random(f"session {seed}")
        self.guard_dice = Dice(seed ^ 0x9A2D)
        self.guardian = SimGuardian(self)
        self._beat_ns = 0  # the heartbeat of execution, as shared memory keeps it
        self._exec_back = 0
        self.host: Host | None = None
        self.delisted: set[str] = set()
        self.crashes: list[str] = []
        self.counters: Counter[str] = Counter()
        self.killed_ns = 0
        self.settle_ms = 0
        self.calm_ns = 0
        self.synced = False
        self._compact_dice = Dice(seed ^ 0xC0DE)
        self._forgotten: list[Executed] = []
        self._resume: tuple[Any, dict[str, float]] | None = None  # in a pause: the weather after it
        self._armed = list(self.plan.crashes)
        self._deadline = 0
        self.sender: Sender | None = None
        self._hash = hashlib.blake2b(digest_size=16) if digest else None
        self._trace: list[str] | None = [] if trace else None
        self.link.faults = self.plan.weathers[0][1] if self.plan.weathers else self.link.faults

    # --- notes -----------------------------------------------------------------------------------------------------
    def note(self, kind: str, what: object) -> None:
        """One line of the session's log."""
        if self._hash is None and self._trace is None:
            return
        line = f"{(self.scheduler.now_ns - BOOT_NS) / MS:.3f} {kind} {what}"
        if self._hash is not None:
            self._hash.update(line.encode())
        if self._trace is not None:
            self._trace.append(line)

    def noted(self, kind: str, effect: object) -> None:
        self.note(kind, effect)
        if isinstance(effect, Persist) and effect.kind == RecordKind.INTENT:
            record = decode(int(effect.kind), effect.payload)
            assert isinstance(record, Intent)
            self.judge.intents[record.link_id] = record
            self.judge.journalled_ns[record.link_id] = self.scheduler.now_ns

    def later(self, delay_ns: int, action: Callable[[], Any]) -> None:
        self.scheduler.after(delay_ns, action)

    # --- the process, alive or not -----------------------------------------------------------------------------------
    def _alive(self, action: Callable[[Host], None]) -> None:
        """Let the process do something; it may die over it."""
        host = self.host
        if host is None:
            return
        try:
            action(host)
        except Crash as crash:
            self.crash(str(crash))

    def crash(self, where: str, away_ns: int = 0) -> None:
        """The process is gone, for so long (0: as long as a restart takes)."""
        self.note("crash", where)
        self.crashes.append(where)
        assert self.host is not None
        self._collect(self.host)
        self.host = None
        self._drop_sender()
        self.link.hang_up()
        self.disk.crash()
        self.judge.able_ns = 0
        self.scheduler.after(away_ns or self.rng.randint(100, 2_500) * MS, self._start)

    def _drop_sender(self) -> None:
        if self.sender is not None:
            self.link.hits.update(self.sender.hits)
            self.sender.alive = False
            self.sender = None

    def _collect(self, host: Host) -> None:
        self.counters.update(host.desk.counters)
        self.counters.update(host.counters)

    def _compact(self) -> None:
        """Now and then a restart makes the journal short, as `workers.journal_compaction` does."""
        records = self.disk.records
        booked = max((r[1].seq for r in records if r[0] == "broker" and r[1].seq >= DESK_SEQ), default=0)
        whole = [(r[1], r[2]) for r in records if r[0] == "desk"]
        kept = Counter(compact(whole, booked, KEEP_MS))
        if kept == Counter(whole):
            return
        fresh = [("desk", *raw) for raw in kept if raw not in whole]
        for record in records:
            raw = record[1:] if record[0] == "desk" else None
            if raw is None or kept[raw] > 0:
                kept[raw] -= raw is not None
                fresh.append(record)
            elif raw[0] == RecordKind.EXECUTION:
                executed = decode(*raw)
                assert isinstance(executed, Executed)
                self._forgotten.append(executed)
        self.note("compacted", f"{len(records)} -> {len(fresh)}")
        self.counters["compacted"] += 1
        self.disk.records, self.disk.durable = fresh, len(fresh)

    def _start(self) -> None:
        if self.crashes and self._compact_dice.below(2):
            self._compact()
        self.note("start", len(self.disk.records))
        host = self.host = self.make_host(self)
        self.sender = Sender(self.scheduler, self.link, lambda now, request: host.desk.may_leave(now, request),
                             self._leaves, self._turned)
        self.disk.flushed = lambda: self._alive(Host.flush)
        self.host.killed = self.killed_ns > 0
        again = bool(self.crashes)
        if again and self._armed and self._armed[0] == "recovering":
            self.arm_crash(self.rng.randint(0, 10))

        def first(host: Host) -> None:
            host.start()
            if host.killed:
                host.kill()

        self._alive(first)
        if self.host is not None:
            self.link.connect()
            self.judge.slack_ns = AFTER_START_NS if again else AFTER_LINK_NS
            self.scheduler.after(0, self._timer, self.host)
            self.strategy.restarted()

    def arm_crash(self, skip: int) -> None:
        """The next planned crash happens at its place, after `skip` passings."""
        if self.host is not None and self._armed:
            self.host.crash_at[self._armed.pop(0)] = skip

    def _timer(self, host: Host) -> None:
        if host is self.host:
            self._beat_ns = self.scheduler.now_ns
            self._guarded(host)
            self._alive(Host.timer)
            self.scheduler.after(TIMER_NS, self._timer, host)

    def _guarded(self, host: Host) -> None:
        """As `workers.execution` does: entries wait for the guardian to leave, and it leaves when we have looked."""
        duty = self.guardian.duty.takeover
        if duty and self._exec_back != duty and host.desk.recon.reconciled_after(duty):
            self._exec_back = duty
        host.paused = duty > 0

    def _guard(self) -> None:
        alive = self.host is not None
        self.guardian.turn(Seen(alive, alive, self._beat_ns, self._exec_back))
        self.judge.guarded_ns = self.guardian.since_ns
        self.scheduler.after(TURN_NS, self._guard)

    def refuse(self, code: int, ns: int) -> None:
        self.link.refuse[code] = self.scheduler.now_ns + ns
        self._storm(ns)

    def _storm(self, ns: int) -> None:
        self.judge.storm_until_ns = max(self.judge.storm_until_ns, self.scheduler.now_ns + ns)

    # --- wires ---------------------------------------------------------------------------------------------------------
    def _deliver(self, event: Event) -> None:
        self.note("event", event)
        if self.sender is not None:
            self.sender.heard(event)
        self._alive(lambda host: host.event(event))

    def _to_host(self, message: Message) -> None:
        self.note("intent", message)
        self.scheduler.after(0, self._message, message)

    def _message(self, message: Message) -> None:
        self._alive(lambda host: host.message(message))

    def _protect(self, symbol: int, stop_ticks: int, targets: Targets) -> None:
        self._alive(lambda host: host.protect(symbol, stop_ticks, targets))

    def send(self, effect: Send) -> None:
        assert self.sender is not None
        self.sender.send(effect)

    def _leaves(self, effect: Send) -> None:
        self._deadline = effect.deadline_ns

    def _turned(self, lost: Lost) -> None:
        self.scheduler.after(0, self._deliver_to, self.host, lost)

    def _deliver_to(self, host: Host, event: Event) -> None:
        if host is self.host:
            self._deliver(event)

    def _sent(self, request: Request) -> None:
        self.note("sent", request)
        self.judge.leaves(self.scheduler.now_ns, request, self._deadline)

    def report(self, report: Report) -> None:
        self.note("report", report)
        self.scheduler.after(0, self.strategy.report, report)

    # --- the market ----------------------------------------------------------------------------------------------------
    def _market(self, symbol: int) -> None:
        now = self.scheduler.now_ns
        self.market.step(self.link.venue_ns, symbol)
        self.link.pump()
        contract = self.market.contracts[symbol]
        quote = quote_of(self.exchange, contract.spec.symbol, contract.best_bid, contract.best_ask, contract.mid_ticks)
        self.scheduler.after(10 * MS, self._deliver, quote)
        self._able(now)
        self.judge.look(now, self.names[symbol])
        self.judge.guarded(now, self.link.venue_ns, self.names[symbol])
        if self.host is not None:
            self.judge.unseen(now, self.names[symbol], symbol, self.host.broker)
        self.scheduler.after(STEP_NS, self._market, symbol)

    def _able(self, now: int) -> None:
        """Could we mend something now?"""
        link, judge = self.link, self.judge
        able = self.host is not None and link.up[Stream.REST] and link.up[Stream.PRIVATE] and now >= link.banned_until
        able = able or (self.host is None and self.guardian.since_ns > 0)
        if not able:
            if judge.able_ns:
                judge.slack_ns = max(AFTER_LINK_NS, judge.slack_ns if self.host is None else 0)
            judge.able_ns = 0
        elif not judge.able_ns:
            judge.able_ns = now
        faults = link.faults
        losing = (
            faults.vanish_ppm or faults.stall_ppm
            or faults.ack_lost_ppm or faults.reject_ppm or faults.frame_drop_ppm or faults.http_5xx_ppm
            or faults.ack_late_ppm or faults.cut_ppm or faults.clock_error_ms or faults.per_second < 10
            or link.refuse_stops_until > now or faults.cursor_repeats_ppm or faults.no_req_id_ppm or faults.page_rows < 50
            or faults.queries_per_second < 50
        )
        if losing:
            self._storm(5 * SECOND if faults.frame_drop_ppm else 2 * SECOND)

    def _book_of(self, name: str) -> tuple[Any, Any]:
        return self.market.book(self.names.index(name))

    def _look_again(self, name: str) -> None:
        self.exchange.on_book(self.link.venue_ns, name, *self._book_of(name), True)

    # --- the run -------------------------------------------------------------------------------------------------------
    def run(self) -> Outcome:
        """From the first connection to the verdict."""
        try:
            self._run()
        except Exception as error:  # the verdict names whatever broke
            self.judge.say(self.scheduler.now_ns, f"{type(error).__name__}: {error}")
            if self._trace is not None:
                raise
        return self._outcome()

    def _run(self) -> None:
        plan, scheduler = self.plan, self.scheduler
        self.market.start(self.link.venue_ns)
        for symbol in range(plan.symbols):
            scheduler.after(symbol * STEP_NS // plan.symbols, self._market, symbol)
        self._start()
        scheduler.after(TURN_NS, self._guard)
        begin = scheduler.now_ns
        for at, faults, matching in plan.weathers:
            scheduler.at(begin + at, self._weather, faults, matching)
        for item in plan.happenings:
            scheduler.at(begin + item.at_ns, self._happen, item.kind, item.seed)
        if plan.kill_at_ns:
            scheduler.at(begin + plan.kill_at_ns, self.kill)
        scheduler.after(500 * MS, self.strategy.start)
        if plan.pause:
            scheduler.run_until(begin + plan.active_ns // 2)
            self._pause()
        scheduler.run_until(begin + plan.active_ns)
        while self.strategy.intents < INTENTS and not self.killed_ns and scheduler.now_ns < begin + LONGEST_NS:
            scheduler.run_until(scheduler.now_ns + SECOND)
        self._calm()
        self._settle("after the faults")
        if plan.kill_at_end and not self.killed_ns:
            self.kill()
            self._settle("after the kill", flat=True)
        self.judge.history(scheduler.now_ns)

    def _pause(self) -> None:
        """A calm in the middle, with whatever positions are open: the books are compared, then it goes on."""
        self.note("pause", "")
        self._resume = self.link.faults, self.rules.armed
        self.strategy.active = False
        self.link.calm()
        self.rules.armed = {}
        restore(self)
        self._settle("in the middle")
        self.note("on", "")
        (self.link.faults, self.rules.armed), self._resume = self._resume, None
        self.strategy.active = True

    def _weather(self, faults: Any, matching: dict[str, float]) -> None:
        if self._resume is not None:
            self._resume = faults, matching
        elif not self.calm_ns:
            self.note("weather", faults)
            self.link.faults = faults
            self.rules.armed = matching

    def _happen(self, kind: str, seed: int) -> None:
        if self.calm_ns:
            return
        self.synced |= self.host is not None and self.host.desk.ready
        # what is there before our first look is adopted, and its costs are not ours
        if not self.synced or self._resume is not None:
            self.scheduler.after(500 * MS, self._happen, kind, seed)
        else:
            self.note("happening", kind)
            self.link.hits[f"do {kind}"] += 1
            ACTIONS[kind](self, random.Random(seed))

    def kill(self) -> None:
        """The command."""
        self.note("kill", "")
        self.killed_ns = self.judge.killed_ns = self.scheduler.now_ns
        self.judge.killed_venue_ns = self.link.venue_ns
        self.arm_crash(0)
        self._alive(Host.kill)

    def _calm(self) -> None:
        self.note("calm", "")
        self.calm_ns = self.scheduler.now_ns
        self.strategy.active = False
        self.link.calm()
        self.rules.armed = {}
        restore(self)
        if self.host is not None:
            self.host.crash_at.clear()
        self._armed.clear()

    def _settle(self, when: str, flat: bool = False) -> None:
        """Run until at rest; more than 30 s is a violation."""
        start = self.scheduler.now_ns
        while self.scheduler.now_ns - start < SETTLE_NS:
            self.scheduler.run_until(self.scheduler.now_ns + 250 * MS)
            if not self._unsettled(flat or self.killed_ns > 0):
                break
        else:
            for text in self._unsettled(flat or self.killed_ns > 0):
                self.judge.say(self.scheduler.now_ns, f"not settled {when}: {text}")
        if not flat:
            self.settle_ms = (self.scheduler.now_ns - start) // MS

    def _unsettled(self, flat: bool) -> list[str]:
        host = self.host
        if host is None:
            return ["execution is down"]
        if self.guardian.duty.takeover:
            return ["the guardian is on duty"]
        found = [] if self._ready(host) else [f"not ready: {host.desk.trouble}"]
        found += [f"{name} has no stop" for name in self.judge.protected()]
        found += self.judge.differences(host.broker, self._booked())
        if flat:
            found += [f"{n} is not flat: {self.judge.lots(n)}" for n in self.names if self.judge.lots(n)]
        ours = [o for o in self.judge.working() if o.order_link_id in self.judge.intents and not o.reduce_only]
        found += [f"{o.order_link_id} works on" for o in ours]
        return found

    def _booked(self) -> Iterator[Executed]:
        """The executions in our journal, in its order, those a compaction dropped included."""
        yield from self._forgotten
        for record in self.disk.records:
            if record[0] == "desk" and record[1] == RecordKind.EXECUTION:
                executed = decode(record[1], record[2])
                assert isinstance(executed, Executed)
                yield executed

    def _ready(self, host: Host) -> bool:
        """Entries are allowed, or kept away by what only a person may clear, with the books reconciled."""
        desk = host.desk
        if host.killed:
            return desk.flat
        return desk.ready or (any(t.code in LATCHED for t in desk.trouble) and desk.recon.synced)

    def _outcome(self) -> Outcome:
        if self.host is not None:
            self._collect(self.host)
        self._drop_sender()
        judge = self.judge
        hits = self.link.hits + Counter(self.rules.hits) + Counter({f"crash {c}": n for c, n in Counter(self.crashes).items()})
        return Outcome(
            seed=self.plan.seed, violations=judge.violations, intents=self.strategy.intents, orders=len(judge.orders()),
            fills=len(self.exchange.executions(UID)), crashes=self.crashes, hits=hits, counters=self.counters,
            settle_ms=self.settle_ms,
            compared=judge.compared, open_compared=judge.open_compared, reordered=judge.reordered, adopted=judge.adopted,
            kill_ms=(judge.flat_ns - judge.killed_ns) // MS if judge.flat_ns else 0, naked_ms=judge.longest_naked_ns // MS,
            virtual_s=(self.scheduler.now_ns - BOOT_NS) / SECOND,
            digest=self._hash.hexdigest() if self._hash is not None else "", trace=self._trace or [],
        )
