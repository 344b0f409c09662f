"""Run by the Python of a separate environment that has hftbacktest: the same tape and orders through its queue models.

    python bench/hftbacktest_peer.py INPUT.npz OUTPUT.json

INPUT: `events` int64[n, 6] = time ns, kind (0 clear, 1 bid level, 2 ask level, 3 buy print, 4 sell print), price, lots,
first of its frame (unused here), 0; `orders` int64[m, 5] = number, from ns, to ns, side, price. Ticks and lots are 1.
OUTPUT: {model: [[order, time of fill in ns], ...]}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from hftbacktest import (
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
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
    event_dtype,
)

EV = {
    0: DEPTH_CLEAR_EVENT | BUY_EVENT | SELL_EVENT,
    1: DEPTH_EVENT | BUY_EVENT,
    2: DEPTH_EVENT | SELL_EVENT,
    3: TRADE_EVENT | BUY_EVENT,
    4: TRADE_EVENT | SELL_EVENT,
}


def tape(events):
    data = np.zeros(len(events), event_dtype)
    data["ev"] = [EV[kind] | EXCH_EVENT | LOCAL_EVENT for kind in events[:, 1].tolist()]
    data["exch_ts"] = data["local_ts"] = events[:, 0]
    data["px"], data["qty"] = events[:, 2], events[:, 3]
    return data


def run(data, orders, model, power):
    asset = BacktestAsset().data([data]).linear_asset(1.0).constant_order_latency(0, 0)
    asset = {
        "RISK_AVERSE": asset.risk_adverse_queue_model,
        "POWER": lambda: asset.power_prob_queue_model(power),
        "LOG": asset.log_prob_queue_model,
    }[model]()
    asset = asset.no_partial_fill_exchange().trading_value_fee_model(0.0, 0.0).tick_size(1.0).lot_size(1.0)
    hbt = HashMapMarketDepthBacktest([asset])
    hbt.elapse(1)  # its clock has no time before the first event
    plan = sorted([(o[1], 0, o) for o in orders] + [(o[2], 1, o) for o in orders], key=lambda row: (row[0], row[1]))
    fills = {}
    working = set()
    for at, what, (number, _, _, side, price) in plan:
        if at > hbt.current_timestamp:
            hbt.elapse(at - hbt.current_timestamp)
        if what == 0:
            submit = hbt.submit_buy_order if side > 0 else hbt.submit_sell_order
            submit(0, number, float(price), 1.0, GTC, LIMIT, False)
            working.add(number)
        elif number in working:
            found = hbt.orders(0).get(number)
            if found is not None and found.status == FILLED:
                fills[number] = int(found.exch_timestamp)
            else:
                hbt.cancel(0, number, False)
            working.discard(number)
    hbt.close()
    return sorted(fills.items())


def main():
    with np.load(sys.argv[1]) as source:
        events, orders, power = source["events"], source["orders"].tolist(), float(source["power"])
    data = tape(events)
    result = {model: run(data, orders, model, power) for model in ("RISK_AVERSE", "POWER", "LOG")}
    Path(sys.argv[2]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
