"""Which symbol's topics live on which connection, and what to do when a topic stays silent.

    book of a symbol                                then
    no snapshot for FIRST_DATA_NS                   resubscribe
    silent longer than its category allows          STALE, resubscribe
    three resubscriptions without an answer         its symbols move to a new connection; when they are the greater
                                                    part of a connection, that connection is replaced instead
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from gateway.bybit import topics
from gateway.bybit.session import args_chars, plan
from gateway.connection import Connection

FIRST_DATA_NS = 5_000_000_000
TRIES = 3
MOVE_PAUSE_NS = 60_000_000_000  # a symbol changes its connection at most this often


def symbol_topics(name: str, depth: int) -> list[str]:
    """Topics of one symbol; the book's comes first."""
    return [
        topics.orderbook(depth, name), topics.public_trade(name), topics.tickers(name),
        topics.all_liquidation(name), topics.kline("1", name),
    ]


class Subscriptions:
    """Topics of symbols over connections; `connect()` makes a further Connection (not opened yet)."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self.connections: list[Connection] = []
        self.home: dict[int, Connection] = {}
        self._topics: dict[int, list[str]] = {}
        self._tries: dict[int, int] = {}
        self._tried_ns: dict[int, int] = {}
        self._moved_ns: dict[int, int] = {}

    def add(self, symbols: Sequence[int], names: Sequence[str], depths: Sequence[int]) -> None:
        """Subscribe to these symbols: into free room first, then over new connections."""
        left: list[int] = []
        for symbol, name, depth in zip(symbols, names, depths, strict=True):
            self._topics[symbol] = symbol_topics(name, depth)
            if not self._place(symbol):
                left.append(symbol)
        for group in plan([self._topics[symbol] for symbol in left]):
            connection = self._new()
            for index in group:
                self._put(left[index], connection)

    def remove(self, symbols: Iterable[int]) -> None:
        """Unsubscribe."""
        for symbol in symbols:
            connection = self.home.pop(symbol, None)
            if connection is not None:
                connection.session.drop(self._topics.pop(symbol))

    def symbols_of(self, connection: Connection) -> list[int]:
        return sorted(symbol for symbol, home in self.home.items() if home is connection)

    def is_open(self, symbol: int) -> bool:
        connection = self.home.get(symbol)
        return connection is not None and connection.is_open

    def resubscribe(self, symbol: int) -> None:
        """Fresh snapshot of the book, please (the session limits the rate)."""
        connection = self.home.get(symbol)
        if connection is not None:
            connection.session.resubscribe(self._topics[symbol][0])

    def answered(self, symbol: int) -> None:
        """The book of the symbol is alive."""
        self._tries.pop(symbol, None)
        self._tried_ns.pop(symbol, None)

    def waiting_since_ns(self, symbol: int, opened_ns: int) -> int:
        """When we last did something about the symbol's book."""
        return max(self._tried_ns.get(symbol, 0), opened_ns)

    def silent(self, symbols: Sequence[int], now_ns: int) -> list[int]:
        """These books do not answer: resubscribe, or move them. Returns the symbols that moved."""
        hopeless: list[int] = []
        for symbol in symbols:
            tries = self._tries[symbol] = self._tries.get(symbol, 0) + 1
            self._tried_ns[symbol] = now_ns
            if tries <= TRIES:
                self.resubscribe(symbol)
            elif now_ns - self._moved_ns.get(symbol, -MOVE_PAUSE_NS) >= MOVE_PAUSE_NS:
                hopeless.append(symbol)
            else:
                self.resubscribe(symbol)
        return self._replace(hopeless, now_ns) if hopeless else []

    def _replace(self, hopeless: list[int], now_ns: int) -> list[int]:
        moving: list[int] = []
        for connection in list(self.connections):
            ours = [symbol for symbol in hopeless if self.home[symbol] is connection]
            for symbol in ours:
                self._moved_ns[symbol] = now_ns
                self._tries.pop(symbol, None)
            if ours and 2 * len(ours) > len(self.symbols_of(connection)):
                connection.drop("topics silent")
            else:
                moving += ours
        for symbol in moving:
            self.home.pop(symbol).session.drop(self._topics[symbol])
        for group in plan([self._topics[symbol] for symbol in moving]):
            connection = self._new()
            for index in group:
                self._put(moving[index], connection)
        return moving

    def prune(self) -> list[Connection]:
        """Connections that carry nothing any more; they are no longer ours."""
        used = set(map(id, self.home.values()))
        empty = [connection for connection in self.connections if id(connection) not in used]
        self.connections = [connection for connection in self.connections if id(connection) in used]
        return empty

    def _place(self, symbol: int) -> bool:
        size = args_chars(self._topics[symbol])
        for connection in self.connections:
            if connection.session.room() >= size:
                self._put(symbol, connection)
                return True
        return False

    def _new(self) -> Connection:
        connection = self._connect()
        self.connections.append(connection)
        return connection

    def _put(self, symbol: int, connection: Connection) -> None:
        self.home[symbol] = connection
        connection.session.want(self._topics[symbol])
