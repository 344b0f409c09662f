// Starting a backtest from the page: the form, how far the one that runs is, and what came of those started from here.
import { $, el, setClass, setText } from "./dom.js";
import { count, fixed, lower, plural, signed } from "./format.js";
import { date } from "./history_lists.js";
import { get, post } from "./net.js";

const RUNNING_MS = 500;
const IDLE_MS = 15_000;
const SHOWN = 3;
const FIELDS = ["source", "from", "to", "symbols", "name", "settings"];
const HINTS = {
  from: "Empty: the beginning. Enters nothing before; what is before warms up.", to: "Empty: the end.",
  settings: "Everything else is as in the files of this system. Values as JSON: 3, [60, 60, 60], true.",
  name: "Empty: the time and a number.",
};
const form = $("start");
const fields = form?.elements;
const said = new Map(); // text under a field
let sources = null;
let running = null; // session that runs, as last told
let seen = new Set(); // sessions known to be over
let timer = 0;
let isShown = false;
let onEnd = () => {};

/** `ended` is called when a backtest has come to its end. */
export function watchStart(ended) {
  if (!form) return; // a replay starts nothing
  onEnd = ended;
  for (const field of FIELDS) said.set(field, $(`said-${field}`));
  form.addEventListener("submit", (event) => { event.preventDefault(); start(); });
  fields.source.addEventListener("change", chosen);
  form.addEventListener("input", (event) => hint(event.target.name));
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
}

/** Show the form, or not; looks again at what there is to run on. */
export function showStart(show) {
  if (!form) return;
  isShown = show;
  $("view-start").hidden = !show;
  if (!show) return;
  list();
  look();
}

// --- the form
async function list() {
  try {
    sources = await get("/api/backtests/sources");
  } catch (error) {
    trouble("source", error);
    return;
  }
  const before = fields.source.value;
  const group = (label, options) => {
    const box = el("optgroup");
    box.label = label;
    box.append(...options);
    return box;
  };
  const option = (value, text, disabled = false) => {
    const one = el("option", "", text);
    one.value = value;
    one.disabled = disabled;
    return one;
  };
  const runs = sources.runs.map((r) => option(`run:${r.run_id}`, `${r.is_running ? "this run, up to now" : `${r.run_id}, ${lower(r.mode)}`} · ${r.source}${r.trouble ? ` · ${r.trouble}` : ""}`, Boolean(r.trouble)));
  const tapes = sources.tapes.map((t) => option(`tape:${t.name}`, `${t.name} · ${count(t.bytes)}B`));
  if (sources.tapes.length > 1) tapes.push(option("tapes", `all ${sources.tapes.length} tapes together, by time`));
  fields.source.replaceChildren(...(runs.length ? [group("Recorded runs, newest first", runs)] : []), ...(tapes.length ? [group("Tapes", tapes)] : []));
  if ([...fields.source.options].some((o) => o.value === before && !o.disabled)) fields.source.value = before;
  chosen();
}

function chosen() {
  const run = theRun();
  fields.symbols.disabled = Boolean(run && !run.tapes.length);
  for (const field of FIELDS) hint(field);
  for (const field of [fields.from, fields.to]) { // what the picker offers first
    field.min = run?.from_ts ? stamp(run.from_ts) : "";
    field.max = run?.to_ts ? stamp(run.to_ts + 1000) : "";
  }
}

const theRun = () => sources?.runs.find((r) => `run:${r.run_id}` === fields.source.value);
const stamp = (ms) => new Date(ms).toISOString().slice(0, 19);

function hint(field) {
  if (!said.has(field)) return;
  const run = theRun();
  let text = HINTS[field] ?? "";
  if (field === "source") {
    if (sources && !fields.source.options.length) text = `Nothing is recorded yet. Let the system run for a while, or put a tape into ${sources.tape_dir}.`;
    else if (run?.from_ts) text = `${date(run.from_ts)} to ${date(run.to_ts)} UTC, ${fixed((run.to_ts - run.from_ts) / 60_000, 1)} min`;
  }
  if (field === "symbols") text = fields.symbols.disabled ? "A recorded run brings its own." : "Empty: all. Else BTCUSDT, ETHUSDT.";
  setText(said.get(field), text);
  setClass(said.get(field), "dim");
  fields[field].removeAttribute("aria-invalid");
}

/** Say what is wrong beside its field, else beside the button. */
function trouble(field, error) {
  const text = [error.cause, error.fix].filter(Boolean).join(". ");
  const place = said.get(field);
  if (!place) {
    setText($("start-said"), text);
    setClass($("start-said"), "bad");
    return;
  }
  setText(place, text);
  setClass(place, "bad");
  fields[field].setAttribute("aria-invalid", "true");
  fields[field].focus();
  setText($("start-said"), `Not started: see ${{ source: "recording" }[field] ?? field}.`);
  setClass($("start-said"), "bad");
}

/** What the form asks for; throws {field, cause, fix}. */
function wish() {
  const config = {};
  const source = fields.source.value;
  if (!source) throw { field: "source", cause: "nothing is chosen", fix: "" };
  if (source === "tapes") config.tapes = sources.tapes.map((t) => t.name);
  else if (source.startsWith("tape:")) config.tapes = [source.slice(5)];
  else config.run = source.slice(4);
  for (const field of ["from", "to"]) {
    if (fields[field].validity.badInput) throw { field, cause: "the time is not whole", fix: "give day and time, or empty the field" };
    if (fields[field].value) config[field] = Date.parse(`${fields[field].value}Z`);
  }
  const settings = fields.settings.value.split("\n").map((line) => line.trim()).filter(Boolean);
  if (settings.length) config.settings = settings;
  if (fields.name.value.trim()) config.name = fields.name.value.trim();
  const symbols = fields.symbols.disabled ? [] : fields.symbols.value.split(/[\s,]+/).filter(Boolean);
  return { session_type: "backtest", strategy_config: config, ...(symbols.length ? { symbols } : {}) };
}

async function start() {
  for (const field of FIELDS) hint(field);
  setText($("start-said"), "");
  try {
    const content = wish();
    $("start-go").disabled = true;
    await post("/api/sessions/start", content);
    look();
  } catch (error) {
    trouble(error.field, error);
  } finally {
    $("start-go").disabled = Boolean(running);
  }
}

// --- those started from here
async function look() {
  clearTimeout(timer);
  if (!isShown || document.hidden) return;
  try {
    const found = await get("/api/sessions/current");
    const rows = found.backtests;
    running = rows.find((row) => row.status === "RUNNING") ?? null;
    const over = rows.filter((row) => row.status !== "RUNNING").map((row) => row.session_id);
    if (over.some((id) => !seen.has(id))) onEnd();
    seen = new Set(over);
    paint(rows.slice(0, SHOWN));
  } catch (error) {
    trouble("", error);
  }
  clearTimeout(timer);
  timer = setTimeout(look, running ? RUNNING_MS : IDLE_MS);
}

function paint(rows) {
  $("start-go").disabled = Boolean(running);
  $("start-go").title = running ? "one at a time" : "";
  const box = $("started");
  while (box.children.length > rows.length) box.lastElementChild.remove();
  while (box.children.length < rows.length) box.append(makeRow());
  rows.forEach((row, k) => paintRow(box.children[k], row));
}

function makeRow() {
  const li = el("li");
  const stop = el("button", "button quiet", "Stop");
  stop.type = "button";
  stop.addEventListener("click", () => post("/api/sessions/stop", { session_id: li.session }).then(look, (error) => trouble("", error)));
  const bar = el("progress");
  bar.max = 1;
  const text = el("span");
  text.setAttribute("role", "status");
  li.append(el("b"), bar, text, el("a", "link"), stop);
  return li;
}

function paintRow(li, row) {
  const [name, bar, text, link, stop] = li.children;
  li.session = row.session_id;
  setText(name, row.strategy_config.name || row.session_id);
  const runs = row.status === "RUNNING";
  bar.hidden = stop.hidden = !runs;
  stop.setAttribute("aria-label", `stop ${name.shown}`);
  bar.setAttribute("aria-label", `how far ${name.shown} is`);
  if (row.progress) bar.value = row.progress.share;
  else bar.removeAttribute("value");
  const [words, kind] = verdict(row);
  setText(text, words);
  setClass(text, kind);
  link.hidden = !row.result?.id;
  if (row.result?.id) {
    setText(link, "Open ›");
    link.href = `#backtests/${row.result.id}`;
  }
}

/** What is said of a backtest: [text, class]. */
function verdict(row) {
  if (row.status === "ERROR") return [`failed: ${row.error}`, "bad"];
  if (row.was_stopped) return ["stopped, nothing is kept", "dim"];
  if (row.status === "STOPPED") {
    const r = row.result;
    if (!r) return ["done, but it said nothing", "warn"];
    return [`${plural(r.trades, "trade")}, net ${signed(r.net_usdt, 4)} USDT in ${fixed(r.wall_s, 1)} s${r.id ? "" : `; kept in ${r.folder}, but not in the database`}`, r.id ? "" : "warn"];
  }
  if (!row.progress) return ["preparing: compiling what is new, reading the order of events", "dim"];
  if (row.progress.share >= 1) return ["writing the report", "dim"];
  const left = row.progress.left_s;
  return [`${Math.floor(100 * row.progress.share)} %${left === null ? "" : `, ${fixed(left, 0)} s left`}`, ""];
}
