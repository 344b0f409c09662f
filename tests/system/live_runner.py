"""LIVE on the embedded exchange for tests: a plant that trades eagerly, and its exchange as the judge.

Run as a program (`python -m tests.system.live_runner run --mode LIVE ...`) it is launch.py with two bounds of a real
account taken off: a killed process may come back any number of times, and the capital tier allows any number of trades.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from config.paths import DataPaths
from gateway.bybit.sign import credentials
from gateway.signed_rest import SignedRest
from gateway.venue_clock import VenueClock
from shm.run_spec import RunSpec
from shm.topology import Plant
from tests.system.plant_runner import ROOT, Running, environment, eventually

EAGER = """
[trading]
capital_tier = "NORMAL"
[trading.account]
max_positions = {positions}
[safety.limits]
max_heat_pct = 50.0
max_unrealised_loss_pct = 50.0
daily_loss_pct = 5.0
max_orders_per_minute = 10000
churn_orders = 10000
churn_round_trips = 10000
[thresholds.score]
watch = [20.0, 20.0, 20.0]
arm = [30.0, 30.0, 30.0]
max_spread_bps = [50.0, 50.0, 50.0]
[thresholds.signal]
cooldown_s = 1.0
rest_s = 1.0
"""


def main() -> None:
    """See the module."""
    import core.risk.tiers as tiers
    from workers import processes
    from workers.cli import main as cli

    tiers.TIERS["NORMAL"] = tiers.TIERS["NORMAL"]._replace(trades_a_day=10**9, concurrent=50)
    processes.LOOP_DEATHS = 10**9
    processes.BACKOFF_MAX_S = processes.BACKOFF_MIN_S
    cli()


TOO_MANY = 10006
RATE_TRIES = 20


def _since(ms: int) -> str:
    """Long runs would otherwise page through all they did, at the expense of the account's rate limit."""
    return f"&startTime={ms}" if ms else ""


class Judge:
    """What the exchange itself says of the account."""

    def __init__(self, spec: RunSpec) -> None:
        venue: Any = spec.venue
        self.base = str(venue["rest"])
        self._grids: dict[str, tuple[float, int, int]] = {}  # quantity step, decimals of quantity and price
        self.rest = SignedRest(
            venue["rest"], credentials(venue["api_key"], venue["api_secret"]), VenueClock(), recv_window_ms=5000, timeout_s=10.0
        )

    def ask(self, path: str, query: str) -> dict[str, Any]:
        """Asked again when the account's rate limit, which is the system's too, is used up for the moment."""
        for _ in range(RATE_TRIES):
            answer = self.rest.call("GET", path, query.encode(), time.monotonic_ns() + 10**10)
            body: dict[str, Any] = msgspec.json.decode(answer.body)
            if body["retCode"] != TOO_MANY:
                break
            time.sleep(1.0 / RATE_TRIES)
        assert body["retCode"] == 0, body
        result: dict[str, Any] = body["result"]
        return result

    def listed(self, path: str, query: str) -> list[dict[str, Any]]:
        """All pages."""
        rows: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self.ask(path, f"category=linear&{query}" + (f"&cursor={cursor}" if cursor else ""))
            rows += page["list"]
            if not page["list"] or not page["nextPageCursor"]:
                return rows
            cursor = page["nextPageCursor"]

    def post(self, path: str, body: dict[str, Any]) -> int:
        """A request by somebody else with the same key; its retCode, -1 where the answer was lost."""
        answer = self.rest.call("POST", path, msgspec.json.encode(body), time.monotonic_ns() + 10**10)
        try:
            return int(msgspec.json.decode(answer.body)["retCode"])
        except msgspec.DecodeError:  # a fault ate it
            return -1

    def tickers(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.ask("/v5/market/tickers", "category=linear")["list"]
        return sorted(rows, key=lambda row: str(row["symbol"]))

    def _grid(self, symbol: str) -> tuple[float, int, int]:
        if symbol not in self._grids:
            row = self.ask("/v5/market/instruments-info", f"category=linear&symbol={symbol}")["list"][0]
            step, tick = row["lotSizeFilter"]["qtyStep"], row["priceFilter"]["tickSize"]
            self._grids[symbol] = float(step), len(step.partition(".")[2]), len(tick.rstrip("0").partition(".")[2])
        return self._grids[symbol]

    def quantity(self, symbol: str, wanted: float) -> str:
        """A quantity on the grid, at least one step."""
        step, digits, _ = self._grid(symbol)
        return f"{max(round(wanted / step), 1) * step:.{digits}f}"

    def price(self, symbol: str, wanted: float) -> str:
        """A price with the decimals of the tick (right where the tick is a power of ten)."""
        return f"{wanted:.{max(self._grid(symbol)[2] - 1, 0)}f}"

    def positions(self) -> dict[str, dict[str, Any]]:
        """Open ones by symbol."""
        return {row["symbol"]: row for row in self.listed("/v5/position/list", "settleCoin=USDT&limit=200")}

    def open_orders(self) -> list[dict[str, Any]]:
        return self.listed("/v5/order/realtime", "settleCoin=USDT&limit=50")

    def closed_orders(self, since_ms: int = 0) -> list[dict[str, Any]]:
        """Created at `since_ms` or later; 0: of the last seven days."""
        return self.listed("/v5/order/history", f"settleCoin=USDT&limit=50{_since(since_ms)}")

    def executions(self, since_ms: int = 0) -> list[dict[str, Any]]:
        return self.listed("/v5/execution/list", f"settleCoin=USDT&limit=100{_since(since_ms)}")

    def balance_e8(self) -> int:
        coin = self.ask("/v5/account/wallet-balance", "accountType=UNIFIED")["list"][0]["coin"][0]
        whole, _, fraction = coin["walletBalance"].partition(".")
        return int(whole) * 10**8 + int((fraction + "00000000")[:8])

    def close(self) -> None:
        self.rest.close_all()


@contextlib.contextmanager
def live_plant(
    data_dir: Path, *arguments: str, positions: int = 3, more: str = ""
) -> Iterator[tuple[Running, Plant, Judge]]:
    """A LIVE plant on the embedded exchange whose desk has reconciled. `more`: settings, as TOML."""
    data_dir.mkdir(parents=True, exist_ok=True)
    config = data_dir / "eager.toml"
    config.write_text(EAGER.format(positions=positions) + more)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.system.live_runner", "run", "--mode", "LIVE", "--data-dir", str(data_dir), "--json",
         "-c", str(config), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), cwd=ROOT,
    )
    run = Running(process, data_dir)
    run.paths = DataPaths(data_dir, "LIVE")
    judge: Judge | None = None
    try:
        plant = eventually(lambda: joined(run), "the plant exists", 240.0)
        eventually(lambda: plant.cnc("gateway").ready and settled(plant), "reconciled with the exchange", 400.0)
        judge = Judge(RunSpec.load(run.paths.run_file))  # the addresses came after the plant
        yield run, plant, judge
    finally:
        if judge is not None:
            judge.close()
        if process.poll() is None:
            process.terminate()
        try:
            process.communicate(timeout=240)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def joined(run: Running) -> Plant | None:
    assert run.process.poll() is None, f"ended:\n{run.process.stderr.read()[-3000:] if run.process.stderr else ''}"
    with contextlib.suppress(Exception):
        plant = Plant.join(run.paths.run_file, "supervisor")
        return plant if plant.spec.created_ns > run.started_ns else None
    return None


def settled(plant: Plant) -> bool:
    """Does execution believe that its books and the exchange's agree?"""
    return account(plant)["settled"] == 1


def account(plant: Plant) -> dict[str, int]:
    """The account board as numbers; `settled` from the gate that keeps entries away."""
    from core.enums import Gate

    row = plant.account().read(0)[0]
    found = {name: int(row[name]) for name in row.dtype.names}
    cnc = plant.cnc("execution")
    found["settled"] = int(cnc.ready and found["mode"] == 2 and found["risk_off"] not in (int(Gate.INTEGRITY), int(Gate.FEED)))
    return found


if __name__ == "__main__":
    from config.fingerprint import use_cache

    use_cache()
    main()
