"""Between the exchange desk and the exchange: one thread with private stream, trade stream and REST, and nothing decided.

    agent loop                                link thread (asyncio)                            exchange
      desk.drain() -> Send --deque--> link_queue -> order_entry  ------ trade WebSocket ------>
                                                 -> link_rest  -------- REST (a few threads) ->
      desk.on_event <- Event --deque-- link_answers <- private_stream <-- private WebSocket --

Orders go over the trade WebSocket while it is up, else over REST; what the WebSocket does not have, and everything on an
exchange without one (demo), goes over REST. A request waits in the queue while the rate limit is used up, and not beyond
its deadline. The deques are the only things both threads touch. `events` holds every byte that came and left beside the
events (`link_words.py`): they go into the journal.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, NamedTuple

from core.consumption import Kind
from core.orders.budget import Budget
from core.orders.exchange_words import Send, Stream
from core.orders.send_queue import Waiting
from gateway.bybit.session import ConnectBudget, Timing
from gateway.bybit.sign import Credentials
from gateway.bybit.wire_units import Grids
from gateway.link_answers import LinkAnswers, LinkNote, Sent
from gateway.link_queue import LinkQueue, MayLeave
from gateway.link_rest import LinkRest
from gateway.link_words import NO_CONTEXT, Context, Heard
from gateway.order_entry import OrderEntry
from gateway.private_stream import PrivateStream
from gateway.signed_rest import SignedRest
from gateway.venue_clock import VenueClock

BEAT_S = 0.05
CLOSE_S = 1.0  # at the end, for a connection that is just being made
CONNECTIONS = 60  # new ones per five minutes


class LinkAddress(NamedTuple):
    """Addresses of an exchange. `ws_trade` "" = orders go over REST (demo)."""

    rest: str
    ws_private: str
    ws_trade: str = ""


class LinkOptions(NamedTuple):
    """How patient the link is."""

    timing: Timing
    recv_window_ms: int = 1500
    rest_timeout_s: float = 2.0


class OrderLink:
    """`send` from the agent's thread; `events`, `notes`, `sent` are read (popleft) by it. `wake` is called after every
    event. `may_leave` is asked before the first byte of every request, in the link's threads. `error` is set when the
    link's thread failed: the process must end then."""

    def __init__(
        self, address: LinkAddress, keys: Credentials, grids: Grids, options: LinkOptions, wake: Callable[[], None],
        rng: random.Random, may_leave: MayLeave,
    ) -> None:
        self.error: BaseException | None = None
        self.clock = VenueClock()
        self.budget = Budget()
        self._address = address
        self._keys = keys
        self._grids = grids
        self._options = options
        self._wake = wake
        self._rng = rng
        self._may_leave = may_leave
        self._answers = LinkAnswers(self.clock, self.budget, wake)
        self._rest = LinkRest(
            SignedRest(address.rest, keys, self.clock, options.recv_window_ms, options.rest_timeout_s), self._answers,
            self.clock, self.budget, grids, options.rest_timeout_s,
        )
        self._inbox: deque[Waiting] = deque()
        self._queue: LinkQueue | None = None
        self._private: PrivateStream | None = None
        self._entry: OrderEntry | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="order-link", daemon=True)

    # --- the agent's side --------------------------------------------------------------------------------------------
    @property
    def events(self) -> deque[Heard]:
        return self._answers.events

    @property
    def notes(self) -> deque[LinkNote]:
        return self._answers.notes

    @property
    def sent(self) -> deque[Sent]:
        return self._answers.sent

    def start(self) -> None:
        """Start the thread; returns once it takes requests."""
        self._thread.start()
        self._ready.wait()

    def send(self, send: Send) -> None:
        """Hand over one request. It leaves, or an event says why not."""
        self._inbox.append(Waiting(send, time.monotonic_ns()))
        self._in_loop(self._drain)

    def stop(self) -> None:
        """Close everything and wait for the thread."""
        if self._stopping is not None:
            self._in_loop(self._stopping.set)
        if self._thread.ident is not None:
            self._thread.join(10.0)

    def _in_loop(self, do: Callable[[], None]) -> None:
        """Nothing where the loop has ended: then `error` says why, and the agent comes to read it."""
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(do)

    # --- the thread --------------------------------------------------------------------------------------------------
    def _main(self) -> None:
        try:
            asyncio.run(self._life())
        except BaseException as error:  # whatever it is, the agent must end the process over it
            self.error = error
        finally:
            self._ready.set()
            self._rest.close()
            self._wake()

    async def _life(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._loop.set_exception_handler(self._on_exception)
        sockets = self._sockets()
        self._queue = LinkQueue(self._answers, self._rest, self.budget, self._grids, self._entry, self._spawn,
                                self._may_leave)
        self._ready.set()
        clock_due_s = await self._rest.first_clock()
        self._spawn(self._rest.keep_clock(clock_due_s))
        lives = [self._spawn(each.run()) for each in sockets]
        while not self._stopping.is_set():
            now_ns = time.monotonic_ns()
            for each in sockets:
                each.beat(now_ns)
            try:
                await asyncio.wait_for(self._stopping.wait(), BEAT_S)
            except TimeoutError:
                continue
        for each in sockets:
            each.stop()
        await asyncio.wait(lives, timeout=CLOSE_S)  # a handshake that is cut off leaves its socket open
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.error is not None:
            raise self.error

    def _sockets(self) -> list[PrivateStream | OrderEntry]:
        """The private stream, and the trade stream where the exchange has one."""
        address, answers, keys, timing = self._address, self._answers, self._keys, self._options.timing
        budget = ConnectBudget(CONNECTIONS, time.monotonic_ns())
        private = self._private = PrivateStream(
            address.ws_private, keys, self.clock, timing, budget, self._rng,
            lambda up, reason: answers.changed(Stream.PRIVATE, up, private.epoch, reason), self._grids,
            lambda frame, told: answers.frame(
                Kind.PRIVATE, frame, private.epoch, Context(strangers=told.strangers) if told.strangers else NO_CONTEXT,
                told.events,
            ), answers.note,
        )
        private.record = answers.frame
        if not address.ws_trade:
            return [private]
        entry = self._entry = OrderEntry(
            address.ws_trade, keys, self.clock, timing, budget, self._rng,
            lambda up, reason: answers.changed(Stream.TRADE, up, entry.epoch, reason),
            answers.on_answer, answers.on_late, answers.on_lost, answers.note, self._options.recv_window_ms,
        )
        entry.record = answers.frame
        return [private, entry]

    def _drain(self) -> None:
        assert self._queue is not None
        while self._inbox:
            self._queue.put(self._inbox.popleft())
        self._queue.pump()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self._fail(error if error is not None else RuntimeError(str(context.get("message"))))

    def _fail(self, error: BaseException) -> None:
        assert self._stopping is not None
        if not self._stopping.is_set():
            self.error = error
            self._stopping.set()
            self._wake()
