// Rows of orders, as /api/orders/* tell them: shared by the trades and the orders page.
import { cells, el, fillTable, setClass, setText } from "./dom.js";
import { clock, DASH, fixed, lower, signed } from "./format.js";

const STATE_TAG = { FILLED: "up", PARTIALLY_FILLED: "up", LIVE: "", INTENT: "", SENT: "warn", ACKED: "", UNKNOWN: "down", REJECTED: "down", CANCELLED: "", VOID: "" };

/** A price or quantity as the ledger tells it: a number without dust. */
export const plain = (v) => (v === null || v === undefined ? DASH : String(v));

export function paintState(cell, row) {
  if (!cell.firstElementChild) cell.append(el("span", "tag"));
  const dry = row.link_id === "DRY-RUN";
  setText(cell.firstElementChild, dry ? "DRY RUN" : lower(row.state));
  setClass(cell.firstElementChild, `tag ${dry ? "warn" : STATE_TAG[row.state] ?? ""}`);
}

export function paintSide(cell, side) {
  const buy = side === "Buy";
  setText(cell, buy ? "▲ Buy" : "▼ Sell");
  setClass(cell, buy ? "up" : "down");
}

/** Why an order did not (fully) happen, in words; "" where it did. */
export function whyNot(row) {
  if (row.gate !== "NONE") return `${row.reason}${row.limit ? ` (${fixed(row.value, 2)} / ${fixed(row.limit, 2)})` : ""}`;
  if (row.ret_code) return `the exchange refused it: ${row.ret_code}`;
  return row.state === "CANCELLED" ? `ended: ${lower(row.cause)}` : "";
}

export function paintSlip(cell, row) {
  setText(cell, row.slippage_bps === null ? DASH : signed(row.slippage_bps, 1));
  setClass(cell, row.slippage_bps > 0 ? "down" : row.slippage_bps < 0 ? "up" : "");
  cell.title = row.slippage_bps === null ? "" : "against the limit price of the order; positive = worse for us";
}

/** Fill `body` with rows; `columns` are [n cells, paint(children, row)]. */
export function fillOrders(body, rows, count, paint) {
  fillTable(body, rows, cells(count), (tr, row) => paint([...tr.children], row));
}

export const timeOf = (row) => clock(row.ts);
