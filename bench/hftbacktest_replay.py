"""Run by the Python of a separate environment that has hftbacktest; started and asked by `bench_replay.py`.

    {"do": "load", "rows": [FILE.npy, ..]}     one file per symbol: int64[n, 5] = time ns, kind (1 bid level, 2 ask level,
                                               3 buy print, 4 sell print), price ticks, lots, frame; ticks and lots are 1
    {"do": "books", "depth": "hashmap" | "roivector", "feed": "both" | "local", "books": bool}
    {"do": "quotes", "depth": .., "rows": bool}   quotes at the touch every 100 ms, latency, queue model, fees; "rows" adds
                                               [side, price ticks, sent ns, fill ns, fill ticks] of every order, per symbol
    {"do": "convert", "file": TAPE.gz, "depth": 50, "events": N}     the second of two conversions; at most N events

`ns` is CPU time of this process from the first event to the last, building excluded; "books" adds the final levels.
"feed" local: events are not shown to its exchange, so one depth is kept instead of two; no order could be filled then.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from hftbacktest import (
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    FILLED,
    GTC,
    LIMIT,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
    ROIVectorMarketDepthBacktest,
    event_dtype,
)
from hftbacktest.data.utils import bybit
from numba import njit

EV = np.array(
    [0, DEPTH_EVENT | BUY_EVENT, DEPTH_EVENT | SELL_EVENT, TRADE_EVENT | BUY_EVENT, TRADE_EVENT | SELL_EVENT], np.uint64
)
LATENCY_NS = 1_000_000
STEP_NS = 100_000_000
WHOLE_NS = 1 << 60


@njit
def quotes(hbt, step_ns, lots, rows):
    """A bid and an ask at the touch, moved when the touch has moved; returns orders sent. `rows` int64[n, 5], as above,
    is filled where it has room (it costs time, so timed runs give none)."""
    sent = 0
    bid_id = ask_id = -1
    bid_tick = ask_tick = 0
    while hbt.elapse(step_ns) == 0:
        note(hbt, rows)
        hbt.clear_inactive_orders(0)
        depth = hbt.depth(0)
        best_bid, best_ask = depth.best_bid_tick, depth.best_ask_tick
        if best_bid <= 0 or best_ask <= best_bid:
            continue
        orders = hbt.orders(0)
        if best_bid != bid_tick or bid_id not in orders:
            if bid_id in orders and orders.get(bid_id).cancellable:
                hbt.cancel(0, bid_id, False)
            bid_id, bid_tick = sent, best_bid
            sent += 1
            hbt.submit_buy_order(0, bid_id, float(best_bid), lots, GTC, LIMIT, False)
            send(rows, bid_id, 1, best_bid, hbt.current_timestamp)
        if best_ask != ask_tick or ask_id not in orders:
            if ask_id in orders and orders.get(ask_id).cancellable:
                hbt.cancel(0, ask_id, False)
            ask_id, ask_tick = sent, best_ask
            sent += 1
            hbt.submit_sell_order(0, ask_id, float(best_ask), lots, GTC, LIMIT, False)
            send(rows, ask_id, -1, best_ask, hbt.current_timestamp)
    note(hbt, rows)
    return sent


@njit
def send(rows, number, side, tick, now):
    if number < len(rows):
        rows[number] = side, tick, now, 0, 0


@njit
def note(hbt, rows):
    """The fills that are known by now."""
    if len(rows) == 0:
        return
    values = hbt.orders(0).values()
    while values.has_next():
        order = values.get()
        if order.status == FILLED and order.order_id < len(rows):
            rows[order.order_id, 3] = order.exch_timestamp
            rows[order.order_id, 4] = order.exec_price_tick


class Replay:
    def __init__(self):
        self.rows = []

    def load(self, rows):
        self.rows = [np.load(path) for path in rows]
        return {"events": [len(r) for r in self.rows]}

    def _backtest(self, rows, depth, feed, prints, latency_ns=0):
        if not prints:
            rows = rows[rows[:, 1] < 3]
        data = np.zeros(len(rows), event_dtype)
        data["ev"] = EV[rows[:, 1]] | np.uint64(LOCAL_EVENT | (EXCH_EVENT if feed == "both" else 0))
        data["exch_ts"] = data["local_ts"] = rows[:, 0]
        data["px"], data["qty"] = rows[:, 2], rows[:, 3]
        asset = (
            BacktestAsset().data(data).linear_asset(1.0).constant_order_latency(latency_ns, latency_ns)
            .risk_adverse_queue_model().no_partial_fill_exchange().trading_value_fee_model(0.0002, 0.0007)
            .tick_size(1.0).lot_size(1.0)
        )
        if depth == "roivector":  # it must be told the prices of the day beforehand
            prices = rows[:, 2]
            return ROIVectorMarketDepthBacktest([asset.roi_lb(float(prices.min())).roi_ub(float(prices.max()))]), data
        return HashMapMarketDepthBacktest([asset]), data

    def books(self, depth, feed, books):
        spent, found = 0, []
        for rows in self.rows:
            hbt, _data = self._backtest(rows, depth, feed, prints=False)
            begin = time.process_time_ns()
            while hbt.elapse(WHOLE_NS) == 0:
                pass
            spent += time.process_time_ns() - begin
            if books:
                shown = hbt.depth(0)
                ticks = np.unique(rows[:, 2]).tolist()
                found.append([[side, tick, int(lots)] for tick in ticks for side, lots in
                              ((1, shown.bid_qty_at_tick(tick)), (2, shown.ask_qty_at_tick(tick))) if lots > 0])
            hbt.close()
        return {"ns": spent, "books": found}

    def quotes(self, depth, rows):
        spent = 0
        found = []
        for own in self.rows:
            hbt, _data = self._backtest(own, depth, "both", prints=True, latency_ns=LATENCY_NS)
            noted = np.zeros((len(own) if rows else 0, 5), np.int64)
            begin = time.process_time_ns()
            sent = quotes(hbt, STEP_NS, 1.0, noted)
            spent += time.process_time_ns() - begin
            found.append(noted[:sent].tolist())
            hbt.close()
        return {"ns": spent, "rows": found}

    def convert(self, file, depth, events):
        for _ in range(2):  # the first one compiles
            begin = time.process_time_ns()
            data = bybit.convert_depth(file, buffer_size=events, single_depth_level=bybit.BybitDepthLevel(depth))
            spent = time.process_time_ns() - begin
        return {"ns": spent, "events": len(data)}


def main():
    replay = Replay()
    answers, sys.stdout = sys.stdout, sys.stderr  # the converter prints
    for line in sys.stdin:
        what = json.loads(line)
        answer = getattr(replay, what.pop("do"))(**what)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
