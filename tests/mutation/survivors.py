"""Mutants that survive, each with the reason why no test can, or need, tell it from the module."""

from __future__ import annotations

FLAGS = "frozen and slots of a dataclass: how it is kept, not what it says"
REBASED = "the first look, and the one behind a person's word, find the wallet at its base and set the count to 0"
NO_ZERO = "guards a division; what is divided by is in 1e-8 USDT or ticks and a row above refuses less than 1"
FIRST = "written before it is read for the first time"
DUE = "due at any time in the past, or now: at once"
KIND = "an answer holds rows of the kind that was asked for; the question is the type checker's"
EQUAL = "never equal here: what is equal went another way a line above"
FAR = "a bound far away: one more or less is the same"

AT_ZERO = "at 0 the formula behind it gives the same 0"

SURVIVORS: dict[str, dict[str, str]] = {
    "core/risk/gate.py": {
        "Limits: True -> False": FLAGS,
        "Limits: True -> False #2": FLAGS,
        "Facts: True -> False": FLAGS,
        "Facts: True -> False #2": FLAGS,
        "loss_pct: max(limits.capital_e8(start_e8), 1) -> max(limits.capital_e8(start_e8), 2)": NO_ZERO,
        "heat_pct: max(limits.capital_e8(f.equity_e8), 1) -> max(limits.capital_e8(f.equity_e8), 2)": NO_ZERO,
        "correlated_pct: max(f.equity_e8, 1) -> max(f.equity_e8, 2)": NO_ZERO,
        "margin_ratio_pct: max(f.equity_e8, 1) -> max(f.equity_e8, 2)": NO_ZERO,
        "unrealised_loss_pct: max(f.balance_e8, 1) -> max(f.balance_e8, 2)": NO_ZERO,
        "stop_bps: max(f.price_ticks, 1) -> max(f.price_ticks, 2)": NO_ZERO,
        "stop_bps: max(f.price_ticks, 1) -> max(f.price_ticks, 0)": NO_ZERO,
        "trades_limit: f.trades_day + 1 -> f.trades_day + 2": "without a tier: any number above the trades of the day",
    },
    "core/orders/exchange_desk_kill.py": {
        "KillSequence.__init__: False -> True": FIRST,
        **dict.fromkeys((f"KillSequence.__init__: 0 -> {n}{nth}" for n in (1, -1) for nth in ("", " #3", " #4", " #5")), FIRST),
        "KillSequence.begin: (False, 0) -> (False, 1)": DUE, "KillSequence.begin: (False, 0) -> (False, -1)": DUE,
    },
    "core/orders/reconcile.py": {
        "Suspicion: True -> False": FLAGS, "Reconciler.__init__: False -> True #3": FIRST,
        **dict.fromkeys((f"Reconciler.__init__: 0 -> {n}{nth}" for n in (1, -1) for nth in (" #2", " #3", " #8")), FIRST),
        **dict.fromkeys((f"Reconciler.__init__: 0 -> {n}{nth}" for n in (1, -1) for nth in (" #4", " #5", " #6")), DUE),
        "Reconciler.link: 0 -> 1": DUE, "Reconciler.link: 0 -> -1": DUE, "Reconciler.ask_now: 0 -> -1": DUE,
        **{f"Reconciler.{where}: if isinstance(row, {row}):\n    {a}\n    {b} -> if True:\n    {a}\n    {b}": KIND
           for where, row, a, b in (
               ("_base", "PositionRow", "self.apply_position(row)", "h"),
               ("_orders", "OrderRow", "seen.add(row.link_id)", "open"),
               ("_positions", "PositionRow", "seen.add(row.symbol)", "self."),
               ("_wallet", "WalletRow", "self.wallet = row", "if self."))},
    },
    "core/orders/reconcile_pages.py": {
        "MAX_PAGES: 1000 -> 1001": FAR, "MAX_PAGES: 1000 -> 999": FAR,
        "Listing: True -> False": FLAGS,
        "PagedQuery: False -> True #2": FLAGS, "PagedQuery: False -> True #3": FLAGS,
    },
    "core/orders/protection.py": {
        "Guard: True -> False": FLAGS, "Guard: 0 -> 1 #5": DUE, "Guard: 0 -> -1 #5": DUE,
        "Protection._stands: de * (stands - holding.stop_ticks) > 0 -> de * (stands - holding.stop_ticks) >= 0": EQUAL,
        "Protection._stands: e * (stands - holding.stop_ticks) > 0 -> e * (stands - holding.stop_ticks) > -1": EQUAL,
        "Protection.entry_stop: r.stop_ticks - holding.stop_ticks) > 0 -> r.stop_ticks - holding.stop_ticks) >= 0": EQUAL,
        "Protection.entry_stop: .stop_ticks - holding.stop_ticks) > 0 -> .stop_ticks - holding.stop_ticks) > -1": EQUAL,
    },
    "core/orders/reconcile_cash.py": {
        "CashCheck.__init__: 0 -> 1": REBASED, "CashCheck.__init__: 0 -> -1": REBASED,
        "CashCheck.compare: (row.balance_e8 - core.realised_e8, 0) -> (row.balance_e8 - core.realised_e8, 1)": REBASED,
        "CashCheck.compare: (row.balance_e8 - core.realised_e8, 0) -> (row.balance_e8 - core.realised_e8, -1)": REBASED,
    },
    "core/orders/guard_duty.py": {
        "stop_price: -(-mark_ticks * distance_e4 // E4), 1) -> -(-mark_ticks * distance_e4 // E4), 0)":
            "rounded up, so at least one for every mark and distance above zero",
    },
    "core/orders/kill_triggers.py": {
        "KillLimits: True -> False": FLAGS,
        "KillLimits: True -> False #2": FLAGS,
        "KillFacts: True -> False #3": FLAGS,
        "KillFacts: True -> False #4": FLAGS,
        "_at_once: 0.0 -> -1.0": "held for zero seconds or less than that: the first look",
    },
    "core/orders/exposure.py": {
        "Working: True -> False": FLAGS,
        "gather: instrument is not None and message is not None -> instrument is not None or message is not None":
            "there are both (an entry) or neither (the account board)",
    },
    "core/risk/ledger.py": {
        "ChurnLimits: True -> False": FLAGS,
        "ChurnLimits: True -> False #2": FLAGS,
        "RiskLedger.__init__: -1 -> -2": "any day before the first one, 0",
        "RiskLedger.observe: before + message.side * message.qty_lots -> before - message.side * message.qty_lots":
            "only asked whether it is flat: the same with every sign turned",
    },
    "core/performance/promotion.py": {},
    "core/risk/permit.py": {},
    "core/risk/sizing.py": {
        "size_lots: margin_e8 <= 0 -> margin_e8 < 0": AT_ZERO,
        "size_lots: margin_e8 <= 0 -> margin_e8 <= -1": AT_ZERO,
        "order_risk_e8: lots <= 0 -> lots < 0": AT_ZERO,
        "order_risk_e8: lots <= 0 -> lots <= -1": AT_ZERO,
        "size_lots: max(risk_cap_e8, 0) -> max(risk_cap_e8, -1)": "a share under 0 is cut to 0 lots one line below",
    },
    "core/risk/tiers.py": {},
    "core/risk/policy.py": {
        "Instrument: True -> False": FLAGS,
        "Instrument: True -> False #2": FLAGS,
        "Policy: True -> False": FLAGS,
        "Policy: True -> False #2": FLAGS,
        "Policy.risk_cap_e8: (self.limits.capital_e8(equity_e8), 0) -> (self.limits.capital_e8(equity_e8), 1)":
            "a share of one unit of 1e-8 USDT is 0",
        "Policy.risk_cap_e8: (self.limits.capital_e8(equity_e8), 0) -> (self.limits.capital_e8(equity_e8), -1)":
            "a share of one unit of 1e-8 USDT is 0",
    },
}
