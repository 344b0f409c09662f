// Rows of orders, as /api/orders/* tell them: every table of orders names the columns it shows.
import { cells, el, fillTable, setClass, setText } from "./dom.js";
import { clock, DASH, fixed, lower, micros, money, signed } from "./format.js";

const STATE_TAG = { FILLED: "up", PARTIALLY_FILLED: "up", LIVE: "", INTENT: "", SENT: "warn", ACKED: "", UNKNOWN: "down", REJECTED: "down", CANCELLED: "", VOID: "" };

/** A price or quantity as the ledger tells it: a number without dust. */
const plain = (v) => (v === null || v === undefined ? DASH : String(v));

export function paintState(cell, row) {
  if (!cell.firstElementChild) cell.append(el("span", "tag"));
  const dry = row.link_id === "DRY-RUN";
  setText(cell.firstElementChild, dry ? "DRY RUN" : lower(row.state));
  setClass(cell.firstElementChild, `tag ${dry ? "warn" : STATE_TAG[row.state] ?? ""}`);
}

function paintSide(cell, side) {
  const buy = side === "Buy";
  setText(cell, buy ? "▲ Buy" : "▼ Sell");
  setClass(cell, buy ? "up" : "down");
}

/** Why an order did not (fully) happen, in words; "" where it did. */
function whyNot(row) {
  if (row.gate !== "NONE") return `${row.reason}${row.limit ? ` (${fixed(row.value, 2)} / ${fixed(row.limit, 2)})` : ""}`;
  if (row.ret_code) return `the exchange refused it: ${row.ret_code}`;
  return row.state === "CANCELLED" ? `ended: ${lower(row.cause)}` : "";
}

function paintSlip(cell, row) {
  setText(cell, row.slippage_bps === null ? DASH : signed(row.slippage_bps, 1));
  setClass(cell, row.slippage_bps > 0 ? "down" : row.slippage_bps < 0 ? "up" : "");
  cell.title = row.slippage_bps === null ? "" : "against the limit price of the order; positive = worse for us";
}

function paintWhy(cell, row) {
  setClass(cell, "why");
  setText(cell, whyNot(row));
  cell.title = whyNot(row);
}

export const timeOf = (row) => clock(row.ts);
const stage = (name) => (cell, row) => setText(cell, micros(row.stages_us[name]));

const PAINT = {
  time: (c, r) => setText(c, timeOf(r)), symbol: (c, r) => setText(c, r.symbol), side: (c, r) => paintSide(c, r.side), state: paintState,
  qty: (c, r) => setText(c, plain(r.qty)), filled: (c, r) => setText(c, plain(r.filled_qty)), price: (c, r) => setText(c, plain(r.price)),
  average: (c, r) => setText(c, plain(r.average)), stop: (c, r) => setText(c, plain(r.stop)), slip: paintSlip,
  fee: (c, r) => setText(c, r.fee_usdt ? money(r.fee_usdt) : DASH), id: (c, r) => setText(c, r.link_id || r.order_id), by: (c, r) => setText(c, r.by),
  why: paintWhy, durable: stage("taken_to_durable"), wire: stage("durable_to_wire"), ack: stage("wire_to_ack"), fill: stage("recv_to_fill"),
};

/** Fill `body` with orders; `columns` are names of PAINT, as the head of the table has them. */
export function fillOrders(body, rows, columns) {
  fillTable(body, rows, cells(columns.length), (tr, row) => columns.forEach((name, k) => PAINT[name](tr.children[k], row)));
}
