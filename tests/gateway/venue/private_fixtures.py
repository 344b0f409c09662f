"""The private fixtures of the shared folder, found by what they hold."""

from __future__ import annotations

import json
from typing import Any

from gateway.venue.instruments import Instrument, instrument_of, invent
from tests.shared_data import fixture

Row = dict[str, Any]


def frames(name: str) -> list[Row]:
    """Lines of private/<name>."""
    return [json.loads(line) for line in fixture(f"private/{name}").read_text().splitlines()]


def adapter(name: str) -> Any:
    """A payload of nautilus/."""
    return json.loads(fixture(f"nautilus/{name}").read_text())


def adapter_rows(name: str) -> list[Row]:
    """The rows of a nautilus payload: result.list of an answer, data of a frame, or the row itself."""
    found = adapter(name)
    if "result" in found:
        return list(found["result"]["list"])
    return list(found["data"]) if "data" in found else [found]


def docs(page: str) -> list[Any]:
    """All JSON examples of a documentation page, e.g. "order/open-order.mdx"."""
    lines = fixture("docs_examples/bybit_docs_json_examples.jsonl").read_text().splitlines()
    return [row["json"] for row in map(json.loads, lines) if row["page"].endswith("/v5/" + page)]


def docs_rows(page: str) -> list[Row]:
    """Rows of the answers (or the frames) of a documentation page."""
    found: list[Row] = []
    for example in docs(page):
        if "result" in example:
            found += example["result"].get("list", [])
        elif "data" in example:
            found += example["data"]
    return found


def contract(base: str, tick: str, step: str) -> Instrument:
    """A contract with this grid."""
    return instrument_of({**invent(base, 100.0, tick, step, "100.00", 480, 0).answer}, 100.0)


BTC = contract("BTC", "0.10", "0.001")
ETH = contract("ETH", "0.01", "0.01")
