// What the lists of the past show: their titles, filters and columns.
import { clock, DASH, fixed, lower, signed, tone } from "./format.js";

export const date = (ms) => (ms ? `${new Date(ms).toISOString().slice(5, 10)} ${clock(ms)}` : DASH);
const text = (v) => (v === null || v === undefined || v === "" ? DASH : String(v));
const words = (v) => (v ? lower(v) : DASH);
export const usdt = (v, digits = 4) => (v === null || v === undefined ? DASH : signed(Number(v), digits));
const plain = (v) => (v === null || v === undefined ? DASH : String(v).includes(".") ? String(v).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "") : String(v));
const average = (v) => (v ? String(Number(Number(v).toPrecision(9))) : DASH);
export const percent = (v, digits = 1) => (v === null || v === undefined ? DASH : `${fixed(100 * v, digits)} %`);
const held = (row) => (row.closed_ts ? `${((row.closed_ts - row.opened_ts) / 1000).toFixed(1)} s` : DASH);
// a later run may have used the id again: the decision is none after what it led to
const explain = (row) => (row.decision_id ? { text: row.decision_id, href: `/explain/${encodeURIComponent(row.decision_id)}?at=${row.opened_ts ?? row.created_ts ?? row.ts}` } : DASH);
const symbolLink = (row) => ({ text: row.symbol, href: `/symbol/${encodeURIComponent(row.symbol)}` });

// a column: [title, value of a row (text, or {text, href}), class of the cell]
export const LISTS = {
  orders: {
    title: "Orders, newest first", choice: ["status", ["FILLED", "PARTIALLY_FILLED", "CANCELED", "PARTIALLY_FILLED_CANCELED", "REJECTED", "DRY_RUN", "NEW"]],
    columns: [
      ["Time (UTC)", (r) => date(r.created_ts), () => "text"], ["Symbol", symbolLink, () => "text"],
      ["Action", (r) => words(r.action), (r) => (r.side === "Buy" ? "up text" : "down text")], ["Role", (r) => words(r.role), () => "text"],
      ["Type", (r) => words(r.order_type), () => "text"], ["Quantity", (r) => plain(r.requested_quantity)],
      ["Filled", (r) => plain(r.filled_quantity)], ["Price", (r) => plain(r.requested_price)], ["Got", (r) => average(r.execution_price)],
      ["Slippage %", (r) => (r.slippage_pct === null ? DASH : signed(r.slippage_pct, 4)), (r) => (r.slippage_pct > 0 ? "down" : r.slippage_pct < 0 ? "up" : "")],
      ["Fees", (r) => usdt(r.commission_usdt ?? 0).replace("+", "")], ["Realised", (r) => usdt(r.realised_pnl_usdt), (r) => tone(Number(r.realised_pnl_usdt))],
      ["Status", (r) => words(r.status), () => "text"],
      ["Reason", (r) => r.rejection_text ?? words(r.done_reason), () => "text wide"], ["Decision", explain, () => "text"],
    ],
  },
  trades: {
    title: "Trades, newest first", choice: ["status", ["OPEN", "CLOSED", "LIQUIDATED", "LEFT_OPEN"]],
    columns: [
      ["Opened (UTC)", (r) => date(r.opened_ts), () => "text"], ["Symbol", symbolLink, () => "text"],
      ["Side", (r) => (r.position_side === "LONG" ? "▲ long" : "▼ short"), (r) => (r.position_side === "LONG" ? "up text" : "down text")],
      ["Status", (r) => words(r.status), () => "text"], ["Quantity", (r) => plain(r.max_quantity)], ["In", (r) => average(r.entry_price)],
      ["Out", (r) => average(r.exit_price)], ["Best", (r) => average(r.best_price)], ["Worst", (r) => average(r.worst_price)],
      ["Gross", (r) => usdt(r.gross_pnl_usdt), (r) => tone(Number(r.gross_pnl_usdt))], ["Fees", (r) => usdt(r.fees_usdt).replace("+", "")],
      ["Net USDT", (r) => usdt(r.realised_pnl_usdt), (r) => tone(Number(r.realised_pnl_usdt))],
      ["R", (r) => (Number(r.risk_usdt) > 0 ? signed(Number(r.realised_pnl_usdt) / Number(r.risk_usdt), 2) : DASH)],
      ["Held", held], ["Closed by", (r) => words(r.close_reason), () => "text"], ["Decision", explain, () => "text"],
    ],
  },
  signals: {
    title: "Signals, newest first", choice: ["phase", ["READY", "EXECUTING", "EXECUTED", "FAILED", "COOLDOWN_ACTIVE", "MAX_ATTEMPTS", "ZONE_MOVED"]],
    columns: [
      ["Time (UTC)", (r) => date(r.ts), () => "text"], ["Symbol", symbolLink, () => "text"],
      ["Side", (r) => (r.side === "Buy" ? "▲ long" : r.side === "Sell" ? "▼ short" : DASH), (r) => (r.side === "Buy" ? "up text" : "down text")],
      ["Phase", (r) => words(r.phase), () => "text"], ["Score", (r) => fixed(r.score, 1)], ["Price", (r) => plain(r.price)],
      ["Stop", (r) => plain(r.stop_price)], ["Target", (r) => plain(r.target_price)], ["Attempts", (r) => text(r.attempts)],
      ["Refused by", (r) => words(r.refused_by), () => "text"], ["Decision", explain, () => "text"],
    ],
  },
  incidents: {
    title: "Incidents, newest first", choice: ["kind", ["technical", "market", "safety"]],
    columns: [
      ["Time (UTC)", (r) => date(r.ts), () => "text"], ["Severity", (r) => text(r.severity), (r) => (r.severity === "CRITICAL" ? "bad text" : "warn text")],
      ["Kind", (r) => text(r.kind), () => "text"], ["Event", (r) => text(r.event), () => "text"], ["Process", (r) => text(r.process), () => "text"],
      ["Symbol", (r) => text(r.symbol), () => "text"], ["What", (r) => text(r.text), () => "text wide"],
      ["Cause", (r) => text(r.cause), () => "text wide"], ["Fix", (r) => text(r.fix), () => "text wide"],
      ["Over (UTC)", (r) => date(r.resolved_ts), () => "text"],
    ],
  },
  audit: {
    title: "What people did, newest first", choice: null,
    columns: [
      ["Time (UTC)", (r) => date(r.ts), () => "text"], ["Who", (r) => text(r.actor), () => "text"],
      ["What", (r) => text(r.action), () => "text"], ["Why", (r) => text(r.reason), () => "text wide"],
    ],
  },
  sessions: {
    title: "Sessions, newest first", choice: ["status", ["RUNNING", "PAUSED", "STOPPED", "ERROR"]],
    columns: [
      ["Started (UTC)", (r) => date(r.started_ts), () => "text"], ["Session", (r) => text(r.session_id), () => "text"],
      ["Type", (r) => words(r.session_type), () => "text"], ["Mode", (r) => text(r.mode), () => "text"],
      ["Status", (r) => words(r.status), (r) => (r.status === "ERROR" ? "bad text" : "text")], ["Ended", (r) => date(r.ended_ts), () => "text"],
      ["Source", (r) => text(r.source), () => "text wide"], ["Symbols", (r) => String(r.symbols?.length ?? DASH)],
      ["Shards", (r) => text(r.shards)], ["Trades", (r) => text(r.trades)], ["Won", (r) => text(r.wins)],
      ["Net USDT", (r) => usdt(r.realised_pnl_usdt), (r) => tone(Number(r.realised_pnl_usdt))], ["Fees", (r) => usdt(r.fees_usdt).replace("+", "")],
      ["Error", (r) => text(r.error), () => "text wide"],
    ],
  },
  backtests: {
    title: "Backtests, newest first", choice: null,
    columns: [
      ["", (r) => ({ pick: r.id }), () => "text"], ["Made (UTC)", (r) => date(r.created_ts), () => "text"],
      ["Name", (r) => ({ text: r.name, href: `#backtests/${r.id}` }), () => "text wide"], ["Recording", (r) => text(r.input), () => "text wide"],
      ["From", (r) => date(r.from_ts), () => "text"], ["To", (r) => date(r.to_ts), () => "text"],
      ["Changed settings", (r) => Object.entries(r.parameters ?? {}).map(([k, v]) => `${k} = ${v}`).join(", ") || DASH, () => "text wide"],
      ["Trades", (r) => text(r.trade_count)], ["Win rate", (r) => percent(r.win_rate)],
      ["Net USDT", (r) => usdt(r.net_pnl_usdt), (r) => tone(Number(r.net_pnl_usdt))], ["Profit factor", (r) => fixed(r.profit_factor, 2)],
      ["Drawdown %", (r) => fixed(r.max_drawdown_pct, 2)], ["Sharpe", (r) => fixed(r.sharpe, 2)],
    ],
  },
};
