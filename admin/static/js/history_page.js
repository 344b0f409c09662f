// The past: lists with filters and pages, performance, storage. Everything by REST from the database; only the frame moves.
import { $, cells, el, fillTable, setClass, setText } from "./dom.js";
import { openBacktests, pickBox, watchBacktests } from "./backtests.js";
import { showStart, watchStart } from "./backtest_form.js";
import { besideRun, card, paintCurve, paintFigures } from "./figures.js";
import { clock, count, DASH, fixed, lower, plural } from "./format.js";
import { startFrame } from "./frame.js";
import { date, LISTS } from "./history_lists.js";
import { get } from "./net.js";

const LIMIT = 100;
const DAY_MS = 86_400_000;
const VIEWS = ["performance", "orders", "trades", "signals", "incidents", "audit", "storage", "backtests", "sessions"];
const NO_SYMBOL = new Set(["incidents", "audit", "backtests", "sessions"]);
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
  if (symbol && !NO_SYMBOL.has(list)) params.set("symbol", symbol);
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
  if (typeof shown === "object" && "pick" in shown) {
    pickBox(node, shown.pick);
    return;
  }
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
  for (const kind of ["csv", "parquet"]) $(kind).href = `/api/${list}/history.${kind}?${question(list, false)}`;
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
  $("filters").symbol.parentElement.hidden = NO_SYMBOL.has(list);
  state.rows = [];
  load(false);
}

// --- performance
async function openPerformance() {
  for (const button of $("periods").children) button.setAttribute("aria-pressed", String(button.dataset.period === state.period));
  try {
    const f = await get(`/api/performance?period=${state.period}`);
    paintFigures(f, $("cards"), $("groups"));
    paintCurve(f.equity, $("curve"));
    $("beside").replaceChildren(...besideRun(await get("/api/comparisons")));
    setText($("stamp"), `${f.session || f.period} · ${clock(f.made_ts)} UTC`);
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
      card("Days left", s.days_left === null ? DASH : fixed(s.days_left, 1), s.bytes_per_day === null ? "known when retention has run over an hour of files" : `${bytes(s.bytes_per_day)} a day`, s.days_left !== null && s.days_left < 3 ? "warn" : ""),
      card("Database", bytes(d.file_bytes), d.url),
      card("Rows written", count(d.rows_written), `${d.errors} refused`, d.errors ? "warn" : ""),
      card("Behind", `${(d.lag_ms / 1000).toFixed(1)} s`, d.lag_ms && d.last_error ? d.last_error : "waiting for the database", d.lag_ms > 10_000 ? "warn" : ""),
    );
    fillTable($("folders"), s.folders, cells(4), (tr, f) => [f.name, String(f.files), bytes(f.bytes), date(f.newest_ts)].forEach((v, k) => setText(tr.children[k], v)));
    const r = s.retention;
    const removed = Object.entries(r?.removed ?? {});
    fillTable($("retention"), removed, cells(3), (tr, [name, what]) => [name, String(what.files), bytes(what.bytes)].forEach((v, k) => setText(tr.children[k], v)));
    setText($("retention-note"), r ? `${date(r.ts)} UTC · ${bytes(r.freed_bytes)} freed in ${r.took_ms} ms · ${plural(r.compressed.files ?? 0, "file")} compressed${r.errors.length ? ` · ${r.errors.join("; ")}` : ""}` : "No run yet: the first comes a minute after the start.");
    setText($("stamp"), `${s.data_dir}`);
  } catch (error) {
    trouble(error);
  }
}

// --- which one
function show() {
  const [wanted, number] = location.hash.slice(1).split("/");
  state.view = VIEWS.includes(wanted) ? wanted : "performance";
  const isOne = state.view === "backtests" && Boolean(number);
  for (const link of $("tabs").children) {
    if (link.hash === `#${state.view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  $("view-list").hidden = !(state.view in LISTS) || isOne;
  $("view-backtest").hidden = !isOne;
  $("compare").hidden = state.view !== "backtests";
  showStart(state.view === "backtests" && !isOne);
  $("view-performance").hidden = state.view !== "performance";
  $("view-storage").hidden = state.view !== "storage";
  setText($("stamp"), "");
  if (isOne) openBacktests(number, trouble);
  else if (state.view in LISTS) openList(state.view);
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
document.addEventListener("replay-moved", show);
addEventListener("keydown", (event) => {
  const place = Number(event.key);
  if (place >= 1 && place <= VIEWS.length && !event.ctrlKey && !event.altKey && !event.metaKey && !event.target.matches("input, select, textarea")) location.hash = VIEWS[place - 1];
});
setInterval(() => { // what is on the screen stays true without being asked for; an older page stays as it is
  if (document.hidden || !state.view) return;
  if (state.view === "performance") openPerformance();
  else if (state.view === "storage") openStorage();
  else if (state.rows.length <= LIMIT && $("view-backtest").hidden) load(false);
}, 15_000);
watchBacktests();
watchStart(() => { if (state.view === "backtests" && state.rows.length <= LIMIT) load(false); });
show();
startFrame({ hello() {}, title: () => "history · ", escape: () => location.assign("/") }).connect();
