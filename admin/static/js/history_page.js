// The past: lists with filters and pages, performance, storage. Everything by REST from the database; only the frame moves.
import { $, cells, color, el, fillTable, MONO, setClass, setText, sized, waiting } from "./dom.js";
import { clock, count, DASH, fixed, lower, signed, tone } from "./format.js";
import { startFrame } from "./frame.js";
import { get } from "./net.js";
import { shadowCells } from "./shadow_card.js";

const LIMIT = 100;
const DAY_MS = 86_400_000;
const date = (ms) => (ms ? `${new Date(ms).toISOString().slice(5, 10)} ${clock(ms)}` : DASH);
const text = (v) => (v === null || v === undefined || v === "" ? DASH : String(v));
const words = (v) => (v ? lower(v) : DASH);
const usdt = (v, digits = 4) => (v === null || v === undefined ? DASH : signed(Number(v), digits));
const plain = (v) => (v === null || v === undefined ? DASH : String(v).includes(".") ? String(v).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "") : String(v));
const average = (v) => (v ? String(Number(Number(v).toPrecision(9))) : DASH);
const percent = (v, digits = 1) => (v === null || v === undefined ? DASH : `${fixed(100 * v, digits)} %`);
const held = (row) => (row.closed_ts ? `${((row.closed_ts - row.opened_ts) / 1000).toFixed(1)} s` : DASH);
const explain = (row) => (row.decision_id ? { text: row.decision_id, href: `/explain/${encodeURIComponent(row.decision_id)}` } : DASH);
const symbolLink = (row) => ({ text: row.symbol, href: `/symbol/${encodeURIComponent(row.symbol)}` });

// a column: [title, value of a row (text, or {text, href}), class of the cell]
const LISTS = {
  orders: {
    title: "Orders, newest first", choice: ["status", ["FILLED", "PARTIALLY_FILLED", "CANCELED", "PARTIALLY_FILLED_CANCELED", "REJECTED", "DRY_RUN", "NEW"]],
    columns: [
      ["Time (UTC)", (r) => date(r.created_ts), () => "text"], ["Symbol", symbolLink, () => "text"],
      ["Action", (r) => words(r.action), (r) => (r.side === "Buy" ? "up text" : "down text")], ["Role", (r) => words(r.role), () => "text"],
      ["Type", (r) => words(r.order_type), () => "text"], ["Quantity", (r) => plain(r.requested_quantity)],
      ["Filled", (r) => plain(r.filled_quantity)], ["Price", (r) => plain(r.requested_price)], ["Got", (r) => average(r.execution_price)],
      ["Slippage %", (r) => (r.slippage_pct === null ? DASH : signed(r.slippage_pct, 4)), (r) => (r.slippage_pct > 0 ? "down" : r.slippage_pct < 0 ? "up" : "")],
      ["Fees", (r) => usdt(-Number(r.commission_usdt ?? 0)).replace("+", "")], ["Realised", (r) => usdt(r.realised_pnl_usdt), (r) => tone(Number(r.realised_pnl_usdt))],
      ["Status", (r) => words(r.status), () => "text"],
      ["Reason", (r) => r.rejection_text ?? words(r.done_reason), () => "text wide"], ["Decision", explain, () => "text"],
    ],
  },
  trades: {
    title: "Trades, newest first", choice: ["status", ["OPEN", "CLOSED", "LIQUIDATED"]],
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
    ],
  },
  audit: {
    title: "What people did, newest first", choice: null,
    columns: [
      ["Time (UTC)", (r) => date(r.ts), () => "text"], ["Who", (r) => text(r.actor), () => "text"],
      ["What", (r) => text(r.action), () => "text"], ["Why", (r) => text(r.reason), () => "text wide"],
    ],
  },
};
const VIEWS = ["performance", "orders", "trades", "signals", "incidents", "audit", "storage"];
const state = { view: "", rows: [], cursor: "", asked: 0, period: "session" };

function trouble(error) {
  $("missing").hidden = !error;
  if (error) setText($("missing"), [error.cause, error.fix].filter(Boolean).join(". "));
}

// --- lists
function question(list, withPaging) {
  const form = new FormData($("filters"));
  const params = new URLSearchParams();
  const symbol = String(form.get("symbol") ?? "").trim();
  if (symbol && list !== "incidents" && list !== "audit") params.set("symbol", symbol);
  if (LISTS[list].choice && form.get("choice")) params.set(LISTS[list].choice[0], form.get("choice"));
  if (form.get("from")) params.set("from", Date.parse(form.get("from")));
  if (form.get("to")) params.set("to", Date.parse(form.get("to")) + DAY_MS); // the last day whole
  if (withPaging) {
    params.set("limit", LIMIT);
    if (state.cursor) params.set("cursor", state.cursor);
  }
  return params;
}

function paintCell(node, [, value, name], row) {
  const shown = value(row);
  setClass(node, name ? name(row) : "");
  if (typeof shown === "object") {
    if (node.linked !== shown.href) {
      const link = el("a", "", shown.text);
      link.href = shown.href;
      node.replaceChildren(link);
      node.linked = shown.href;
      node.shown = undefined;
    }
    return;
  }
  node.linked = undefined;
  setText(node, shown);
}

function paintList() {
  const { columns } = LISTS[state.view];
  fillTable($("list-body"), state.rows, cells(columns.length), (tr, row) => columns.forEach((column, k) => paintCell(tr.children[k], column, row)));
  $("older").hidden = !state.cursor;
  setText($("list-note"), state.rows.length ? `${state.rows.length} shown${state.cursor ? "" : ", that is all"}` : "Nothing yet.");
}

async function load(more) {
  const list = state.view;
  const asked = (state.asked += 1);
  if (!more) state.cursor = "";
  try {
    const result = await get(`/api/${list}/history?${question(list, true)}`);
    if (asked !== state.asked || list !== state.view) return; // another question was asked meanwhile
    state.rows = more ? [...state.rows, ...result.list] : result.list;
    state.cursor = result.nextPageCursor;
    trouble(null);
    paintList();
  } catch (error) {
    trouble(error);
  }
  $("csv").href = `/api/${list}/history.csv?${question(list, false)}`;
}

function openList(list) {
  const { title, choice, columns } = LISTS[list];
  setText($("list-title"), title);
  $("list-head").replaceChildren(...columns.map(([name, , kind]) => el("th", kind && kind({}).includes("text") ? "text" : "", name)));
  $("list-body").replaceChildren();
  const label = $("choice-label");
  label.hidden = !choice;
  if (choice) {
    setText(label.firstElementChild, choice[0][0].toUpperCase() + choice[0].slice(1));
    const every = el("option", "", "any");
    every.value = "";
    label.lastElementChild.replaceChildren(every, ...choice[1].map((value) => { const o = el("option", "", lower(value)); o.value = value; return o; }));
  }
  $("filters").symbol.parentElement.hidden = list === "incidents" || list === "audit";
  state.rows = [];
  load(false);
}

// --- performance
function card(name, value, remark, kind = "") {
  const box = el("div");
  box.append(el("dt", "", name), el("dd", kind, value), el("dd", "small", remark));
  return box;
}

function paintFigures(f) {
  const pair = (a, b) => `${usdt(a, 2)} / ${usdt(b, 2)}`;
  $("cards").replaceChildren(
    card("Net USDT", usdt(f.net_usdt, 2), `gross ${usdt(f.gross_usdt, 2)}, fees ${fixed(f.fees_usdt, 2)}`, tone(f.net_usdt)),
    card("Return", f.total_return_pct === null ? DASH : `${signed(f.total_return_pct)} %`, `unrealised ${usdt(f.unrealised_usdt, 2)}`, tone(f.total_return_pct)),
    card("Trades", String(f.trades), `${f.wins} won, ${f.losses} lost`),
    card("Win rate", percent(f.win_rate), `last ${f.live.last}: ${percent(f.live.win_rate_last)}`),
    card("Profit factor", fixed(f.profit_factor, 2), `average ${pair(f.average_win_usdt, f.average_loss_usdt)}`),
    card("Expectancy", f.expectancy_r === null ? DASH : `${signed(f.expectancy_r)} R`, `MFE ${fixed(f.mean_mfe_r, 2)} R, MAE ${fixed(f.mean_mae_r, 2)} R`),
    card("Drawdown", f.max_drawdown_pct === null ? DASH : `${fixed(f.max_drawdown_pct, 2)} %`, `${fixed(f.max_drawdown_usdt, 2)} USDT`),
    card("Sharpe", fixed(f.sharpe, 2), f.sharpe === null ? "needs two days" : `95 %: ${fixed(f.sharpe_low, 2)} to ${fixed(f.sharpe_high, 2)}, ${f.days} days`),
    card("Sortino · Calmar", `${fixed(f.sortino, 2)} · ${fixed(f.calmar, 2)}`, `slippage ${fixed(f.slippage_bps, 2)} bps`),
    card("Hold", f.average_hold_s === null ? DASH : `${fixed(f.average_hold_s, 1)} s`, "average"),
    card("7 days", usdt(f.live.week_usdt, 2), `${f.live.week_trades} trades`, tone(f.live.week_usdt)),
    card("All time", usdt(f.live.total_usdt, 2), `${f.live.trades} trades`, tone(f.live.total_usdt)),
  );
  const titles = { move_type: "Kind of move", exit_reason: "Exit reason", symbol: "Symbol", side: "Side", hour: "Hour of entry (UTC)", weekday: "Weekday of entry (UTC)" };
  const costs = table("From gross to net", ["Step", "USDT"], f.costs.map((c) => [[c.name, ""], [usdt(c.usdt, 4), c.name === "net" ? tone(c.usdt) : ""]]));
  const head = ["", "Trades", "Win rate", "Net USDT", "Profit factor", "Exp. R"];
  const groups = Object.entries(titles).filter(([by]) => f.groups[by].length).map(([by, title]) => table(title, head, f.groups[by].map((g) => [
    [by === "hour" ? `${String(g.key).padStart(2, "0")}:00` : by === "exit_reason" ? lower(g.key) : String(g.key), ""], [String(g.trades), ""],
    [percent(g.win_rate), ""], [usdt(g.net_usdt, 2), tone(g.net_usdt)], [fixed(g.profit_factor, 2), ""], [fixed(g.expectancy_r, 2), ""]])));
  $("groups").replaceChildren(costs, ...groups);
  setText($("stamp"), `${f.session || f.period} · ${clock(f.made_ts)} UTC`);
  paintCurve(f.equity);
}

function table(title, head, rows) {
  const box = el("div", "cell");
  const t = el("table", "list");
  const line = el("tr");
  line.append(...head.map((name) => el("th", "", name)));
  const top = el("thead");
  top.append(line);
  const body = el("tbody");
  for (const row of rows) {
    const tr = el("tr");
    tr.append(...row.map(([value, kind]) => el("td", kind, value)));
    body.append(tr);
  }
  t.append(top, body);
  const scroll = el("div", "scroll");
  scroll.append(t);
  box.append(el("h3", "", title), scroll);
  return box;
}

function paintCurve(points) {
  const [c, w, h] = sized($("curve"));
  if (points.length < 2) {
    waiting(c, w, h, "no trades yet");
    return;
  }
  const [left, fall] = [64, 50];
  const top = h - fall - 16;
  const values = points.map((p) => p[1]);
  const low = Math.min(...values);
  const high = Math.max(...values, low + 1e-9);
  const t0 = points[0][0];
  const span = Math.max(points.at(-1)[0] - t0, 1);
  const x = (ms) => left + ((w - left - 6) * (ms - t0)) / span;
  const y = (v) => 8 + ((top - 16) * (high - v)) / (high - low);
  c.font = MONO;
  c.fillStyle = color("dim");
  c.textAlign = "right";
  c.strokeStyle = color("line");
  for (const v of [low, (low + high) / 2, high]) {
    c.fillText(v.toFixed(2), left - 6, y(v) + 4);
    c.beginPath();
    c.moveTo(left, y(v));
    c.lineTo(w, y(v));
    c.stroke();
  }
  c.strokeStyle = color("info");
  c.lineWidth = 1.6;
  c.beginPath();
  points.forEach(([ms, v], k) => (k ? c.lineTo(x(ms), y(v)) : c.moveTo(x(ms), y(v))));
  c.stroke();
  let peak = -Infinity;
  const falls = values.map((v) => { peak = Math.max(peak, v); return peak > 0 ? (peak - v) / peak : 0; });
  const deepest = Math.max(...falls);
  c.fillStyle = color("down-bg");
  c.strokeStyle = color("down");
  c.lineWidth = 1;
  c.beginPath();
  c.moveTo(x(t0), top + 4);
  falls.forEach((f, k) => c.lineTo(x(points[k][0]), top + 4 + (deepest ? (f / deepest) * fall : 0)));
  c.lineTo(x(points.at(-1)[0]), top + 4);
  c.fill();
  c.stroke();
  c.fillStyle = color("dim");
  c.fillText(`${(-100 * deepest).toFixed(2)} %`.replace("-", "−"), left - 6, top + 4 + fall);
  c.textAlign = "left";
  c.fillText(date(t0), left, h - 2);
  c.textAlign = "right";
  c.fillText(date(points.at(-1)[0]), w - 6, h - 2);
  $("curve").setAttribute("aria-label", `equity from ${values[0].toFixed(2)} to ${values.at(-1).toFixed(2)} USDT, largest fall ${(100 * deepest).toFixed(2)} %`);
}

async function openPerformance() {
  for (const button of $("periods").children) button.setAttribute("aria-pressed", String(button.dataset.period === state.period));
  try {
    paintFigures(await get(`/api/performance?period=${state.period}`));
    $("groups").prepend(...await shadowCells());
    trouble(null);
  } catch (error) {
    trouble(error);
  }
}

// --- storage
const bytes = (v) => (v === null || v === undefined ? DASH : `${count(v)}B`);
async function openStorage() {
  try {
    const s = await get("/api/storage/status");
    trouble(null);
    const d = s.database;
    $("disk").replaceChildren(
      card("Free", bytes(s.disk_free_bytes), `${fixed(100 - s.disk_used_pct, 1)} % of ${bytes(s.disk_total_bytes)}`, s.disk_used_pct > 95 ? "bad" : ""),
      card("Days left", s.days_left === null ? DASH : fixed(s.days_left, 1), s.bytes_per_day === null ? "known after the first retention run" : `${bytes(s.bytes_per_day)} a day`, s.days_left !== null && s.days_left < 3 ? "warn" : ""),
      card("Database", bytes(d.file_bytes), d.url),
      card("Rows written", count(d.rows_written), `${d.errors} refused`, d.errors ? "warn" : ""),
      card("Behind", `${(d.lag_ms / 1000).toFixed(1)} s`, "waiting for the database", d.lag_ms > 10_000 ? "warn" : ""),
    );
    fillTable($("folders"), s.folders, cells(4), (tr, f) => [f.name, String(f.files), bytes(f.bytes), date(f.newest_ts)].forEach((v, k) => setText(tr.children[k], v)));
    const r = s.retention;
    const removed = Object.entries(r?.removed ?? {});
    fillTable($("retention"), removed, cells(3), (tr, [name, what]) => [name, String(what.files), bytes(what.bytes)].forEach((v, k) => setText(tr.children[k], v)));
    setText($("retention-note"), r ? `${date(r.ts)} UTC · ${bytes(r.freed_bytes)} freed in ${r.took_ms} ms · ${r.compressed.files ?? 0} files compressed${r.errors.length ? ` · ${r.errors.join("; ")}` : ""}` : "No run yet: the first comes a minute after the start.");
    setText($("stamp"), `${s.data_dir}`);
  } catch (error) {
    trouble(error);
  }
}

// --- which one
function show() {
  const wanted = location.hash.slice(1);
  state.view = VIEWS.includes(wanted) ? wanted : "performance";
  for (const link of $("tabs").children) {
    if (link.hash === `#${state.view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  $("view-list").hidden = !(state.view in LISTS);
  $("view-performance").hidden = state.view !== "performance";
  $("view-storage").hidden = state.view !== "storage";
  setText($("stamp"), "");
  if (state.view in LISTS) openList(state.view);
  else if (state.view === "performance") openPerformance();
  else openStorage();
}

$("filters").addEventListener("submit", (event) => event.preventDefault());
$("filters").addEventListener("change", () => load(false));
$("older").addEventListener("click", () => load(true));
$("periods").addEventListener("click", (event) => {
  if (event.target.dataset.period) {
    state.period = event.target.dataset.period;
    openPerformance();
  }
});
addEventListener("hashchange", show);
addEventListener("keydown", (event) => {
  const place = Number(event.key);
  if (place >= 1 && place <= VIEWS.length && !event.ctrlKey && !event.altKey && !event.metaKey && !/INPUT|SELECT/.test(event.target.tagName)) location.hash = VIEWS[place - 1];
});
setInterval(() => { // what is on the screen stays true without being asked for; an older page stays as it is
  if (document.hidden || !state.view) return;
  if (state.view === "performance") openPerformance();
  else if (state.view === "storage") openStorage();
  else if (state.rows.length <= LIMIT) load(false);
}, 15_000);
show();
startFrame({ hello() {}, title: () => "history · ", escape: () => location.assign("/") }).connect();
