"""Public REST answers about contracts rather than the moving market: risk limits, funding history, open interest.

Pure like `rest_answers`: parameters in, result out, ApiError for bad ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from core.sim.exchange_types import InstrumentSpec
from core.units import format_fixed
from gateway.venue.history import lattice
from gateway.venue.instrument_specs import spec_of
from gateway.venue.instruments import Instrument
from gateway.venue.market import name_seed
from gateway.venue.rest_answers import ApiError, Params, check_category, cursor_position, number
from gateway.venue.row_texts import blank, e8, trimmed

RISK_SYMBOLS_PER_PAGE = 15
FUNDING_ROWS = 200
OI_INTERVALS_MS = {
    "5min": 300_000, "15min": 900_000, "30min": 1_800_000, "1h": 3_600_000, "4h": 14_400_000, "1d": 86_400_000,
}
BASE_FUNDING_E8 = 10_000  # 0.01 % per interval, the interest part
FUNDING_SPREAD_E8 = 15_000
OI_SPREAD = 0.08


class ContractAnswers:
    """Answers from the contracts.

    settled: symbol -> what the market really settled since the start, [(instant ms, rate 1e-8)]; open_lots: symbol ->
    open interest of one side now. Both are None for a tape, which knows no past: its lists are empty.
    """

    def __init__(self, instruments: Callable[[], Mapping[str, Instrument]], now_ms: Callable[[], int],
                 settled: Callable[[str], list[tuple[int, int]]] | None = None,
                 open_lots: Callable[[str], int] | None = None) -> None:
        self._instruments = instruments
        self._now_ms = now_ms
        self._settled = settled
        self._open_lots = open_lots
        self._specs: dict[str, InstrumentSpec] = {}

    def _instrument(self, params: Params) -> Instrument:
        return named(self._instruments(), params)

    def _spec(self, instrument: Instrument) -> InstrumentSpec:
        return self._specs.setdefault(instrument.symbol, spec_of(instrument))

    def risk_limit(self, params: Params) -> dict[str, Any]:
        """Tiers of one symbol, or of 15 symbols a page by name."""
        check_category(params)
        if params.get("symbol"):
            chosen, cursor = [self._instrument(params)], ""
        else:
            first = cursor_position(params.get("cursor") or "")
            every = sorted(self._instruments().values(), key=lambda i: i.symbol)
            chosen = every[first:first + RISK_SYMBOLS_PER_PAGE]
            end = first + len(chosen)
            cursor = f"page_token%3D{end}%26" if end < len(every) else ""
        rows = [
            {
                "id": tier.id, "symbol": instrument.symbol, "riskLimitValue": e8(tier.limit_value_e8),
                "maintenanceMargin": e8(tier.mm_rate_e8), "initialMargin": e8(tier.im_rate_e8),
                "isLowestRisk": int(place == 0), "maxLeverage": format_fixed(tier.max_leverage_e2, 2),
                "mmDeduction": blank(tier.mm_deduction_e8, e8(tier.mm_deduction_e8)),
            }
            for instrument in chosen for place, tier in enumerate(self._spec(instrument).tiers)
        ]
        return {"category": "linear", "list": rows, "nextPageCursor": cursor}

    def funding_history(self, params: Params) -> dict[str, Any]:
        """Settled rates, newest first; a start without an end is an error."""
        check_category(params)
        i = self._instrument(params)
        limit = number(params, "limit", FUNDING_ROWS, FUNDING_ROWS)
        if params.get("startTime") and not params.get("endTime"):
            raise ApiError(10001, "params error: endTime is required when startTime is given")
        start = number(params, "startTime", 1, 2**62)
        end = min(number(params, "endTime", self._now_ms(), 2**62), self._now_ms())
        return {"category": "linear", "list": [] if self._settled is None else [
            {"symbol": i.symbol, "fundingRate": e8(rate), "fundingRateTimestamp": str(at)}
            for at, rate in self._rates(i, max(start, int(i.answer["launchTime"])), end, limit, self._settled(i.symbol))
        ]}

    @staticmethod
    def _rates(i: Instrument, start_ms: int, end_ms: int, limit: int, settled: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """(instant, rate) in [start, end], newest first: what was settled, before that a made-up past."""
        span_ms = int(i.answer.get("fundingInterval") or 480) * 60_000
        known, cap_e8 = dict(settled), round(float(i.answer.get("upperFundingRate") or 0.005) * 1e8)
        found: list[tuple[int, int]] = []
        at = end_ms // span_ms * span_ms
        while at >= start_ms and len(found) < limit:
            chance = float(lattice(np.array([at // span_ms], np.int64), name_seed(i.symbol, 11))[0])
            made_up = BASE_FUNDING_E8 + round(FUNDING_SPREAD_E8 * chance**3)
            found.append((at, known.get(at, max(-cap_e8, min(cap_e8, made_up)))))
            at -= span_ms
        return found

    def open_interest(self, params: Params) -> dict[str, Any]:
        """Both sides and one side together, newest first; the past is the present with a made-up swing."""
        check_category(params)
        i = self._instrument(params)
        step = OI_INTERVALS_MS.get(params.get("intervalTime") or "")
        if step is None:
            raise ApiError(10001, "params error: intervalTime invalid")
        limit = number(params, "limit", 50, 200)
        end = min(number(params, "endTime", self._now_ms(), 2**62), self._now_ms())
        start = max(number(params, "startTime", 1, 2**62), int(i.answer["launchTime"]))
        after = cursor_position(params.get("cursor") or "")
        newest = min(end, after - 1) if after else end
        rows: list[dict[str, str]] = []
        at = newest // step * step
        while self._open_lots is not None and at >= start and len(rows) < limit:
            chance = float(lattice(np.array([at // step], np.int64), name_seed(i.symbol, 12))[0])
            lots = max(1, round(self._open_lots(i.symbol) * (1.0 + OI_SPREAD * chance)))
            rows.append({
                "openInterest": trimmed(2 * lots * i.lot_mant, i.qty_exp),
                "singleOpenInterest": trimmed(lots * i.lot_mant, i.qty_exp), "timestamp": str(at),
            })
            at -= step
        cursor = f"page_token%3D{rows[-1]['timestamp']}%26" if rows and at >= start else ""
        return {"symbol": i.symbol, "category": "linear", "list": rows, "nextPageCursor": cursor}

    def answers(self) -> dict[str, Callable[[Params], dict[str, Any]]]:
        """By path below /v5/market/."""
        return {
            "risk-limit": self.risk_limit, "funding/history": self.funding_history, "open-interest": self.open_interest,
        }


def named(instruments: Mapping[str, Instrument], params: Params) -> Instrument:
    """The contract that `symbol` names. Raises ApiError 10001."""
    symbol = params.get("symbol")
    if not symbol:
        raise ApiError(10001, "params error: Missing some parameters that must be filled in, symbol")
    found = instruments.get(symbol)
    if found is None:
        raise ApiError(10001, f"params error: symbol invalid {symbol[:40]}")
    return found
