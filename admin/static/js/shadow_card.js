// A second configuration beside the run, and what own fills say about paper: one cell each, only where there is something.
import { el } from "./dom.js";
import { DASH, fixed, signed, tone } from "./format.js";
import { get } from "./net.js";

const usdt = (e8, digits = 4) => (e8 === null || e8 === undefined ? DASH : signed(e8 / 1e8, digits));
const value = (v) => (v === null || v === undefined ? DASH : fixed(v, 4));

function cell(title, head, rows, remark) {
  const box = el("div", "cell");
  const table = el("table", "list");
  const line = el("tr");
  line.append(...head.map((name) => el("th", "", name)));
  const body = el("tbody");
  for (const row of rows) {
    const tr = el("tr");
    tr.append(...row.map(([text, kind]) => el("td", kind, text)));
    body.append(tr);
  }
  const top = el("thead");
  top.append(line);
  table.append(top, body);
  const scroll = el("div", "scroll");
  scroll.append(table);
  box.append(el("h3", "", title), scroll, el("p", "dim note", remark));
  return box;
}

function shadowCell({ status, comparison }) {
  const where = status.over ? "ended" : `${fixed(status.lag_s, 1)} s behind`;
  const title = `Shadow · ${status.config_files.map((name) => name.split("/").at(-1)).join(", ") || "same settings"} · ${where}`;
  const rows = [["Net", "", usdt(status.net_e8), ""], ["Trades", "", String(status.trades), ""]].map(([name, a, b, d]) => [[name, ""], [a, ""], [b, ""], [d, ""]]);
  if (comparison?.figures) {
    rows.length = 0;
    for (const f of comparison.figures) rows.push([[f.figure.replaceAll("_", " "), ""], [value(f.a), ""], [value(f.b), ""], [f.difference === null ? DASH : signed(f.difference, 4), ""]]);
    const s = comparison.shortfall;
    for (const [name, e8] of [["prices", s.prices_e8], ["fees and funding", s.costs_e8], ["only shadow", s.missed_e8], ["only the run", s.extra_e8], ["together", s.total_e8]]) {
      rows.push([[`difference: ${name}`, ""], ["", ""], ["", ""], [usdt(e8), tone(e8)]]);
    }
  }
  const said = comparison?.figures ? `${comparison.matched} trades in both, ${comparison.only_a} only in the run, ${comparison.only_b} only in shadow.` : "Nothing to compare yet.";
  return cell(title, ["", "Run", "Shadow", "Shadow − run"], rows, `${said} On paper, on the same events; it sends nothing.`);
}

function calibrationCell(c) {
  const estimate = (name, e, now) => [[name, ""], [value(e.value), ""], [`${value(e.low)} … ${value(e.high)}`, ""], [`${e.n}${e.n < c.minimum ? " (too few)" : ""}`, ""], [now, ""]];
  const apart = c.divergence;
  return cell(`Paper against own fills · run ${c.run_id}`, ["", "Found", "95 %", "Of", "Paper assumes"], [
    estimate("Latency ms", c.latency_ms, fixed(c.config_latency_ms, 2)), estimate("Share of the queue that traded", c.queue_share, "1.00"),
    [["Account less than paper, bps", ""], [value(apart.bps), apart.bps === null ? "" : tone(-apart.bps)], ["", ""], [String(apart.trades), ""], ["0", ""]],
  ], "A suggestion: launch.py calibrate wrote it, nothing applies it.");
}

/** Cells for the performance view. */
export async function shadowCells() {
  const found = await get("/api/shadow");
  const cells = [];
  if (found.status) cells.push(shadowCell(found));
  if (found.calibration) cells.push(calibrationCell(found.calibration));
  return cells;
}
