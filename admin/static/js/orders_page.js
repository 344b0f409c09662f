// The order ledger: stages with percentiles, slowest orders, history with reasons: /orders.
import { $, cells, el, fillTable, setClass, setText } from "./dom.js";
import { age, DASH, latency, micros, plural } from "./format.js";
import { startFrame } from "./frame.js";
import { get } from "./net.js";
import { fillOrders, paintState, timeOf } from "./orders.js";

const LOOK_MS = 2000;
const STATES = ["INTENT", "SENT", "ACKED", "LIVE", "PARTIALLY_FILLED", "UNKNOWN", "FILLED", "CANCELLED", "REJECTED", "VOID"];
const PARTS = ["recv_to_decided", "decided_to_sent", "sent_to_taken", "taken_to_gated", "gated_to_durable", "durable_to_wire", "wire_to_ack", "ack_to_live"];
const COLUMNS = ["time", "symbol", "side", "state", "qty", "filled", "price", "average", "slip", "fee", "durable", "wire", "ack", "fill", "why", "id"];
let askedAt = 0;
let pages = 1; // how many pages of the history are shown

const page = { title: () => "orders · " };

async function look() {
  if (document.hidden) return;
  try {
    const [times, rows] = await Promise.all([get("/api/latency"), history()]);
    askedAt = performance.now();
    paintStages(times);
    paintSlowest(times);
    paintHistory(rows);
  } catch { /* the banner says that the server is away */ }
}

/** The newest pages of the history, as many as were asked for. */
async function history() {
  const rows = [];
  let cursor = "";
  const filter = `&state=${$("history-state").value}&symbol=${encodeURIComponent($("history-symbol").value.trim().toUpperCase())}`;
  for (let k = 0; k < pages; k += 1) {
    const found = await get(`/api/orders/recent?limit=100${filter}${cursor ? `&cursor=${cursor}` : ""}`);
    rows.push(...found.list);
    cursor = found.nextPageCursor;
    if (!cursor) break;
  }
  $("history-more").hidden = !cursor;
  return rows;
}

function paintStages({ orders, stages }) {
  setText($("stages-count"), plural(orders, "order"));
  const most = Math.max(1, ...stages.map((s) => Math.log10(Math.max(1, s.p99_us ?? 1))));
  fillTable($("stages-body"), stages, () => {
    const tr = cells(8)();
    const bar = el("span", "bar");
    bar.append(el("i"));
    tr.lastChild.append(bar);
    return tr;
  }, (tr, s) => {
    const [name, sentence, n, p50, p90, p99, max, bar] = tr.children;
    setClass(tr, s.n ? "" : "unmeasured");
    setText(name, s.stage.replaceAll("_", " "));
    setClass(sentence, "why");
    setText(sentence, s.sentence);
    sentence.title = s.sentence;
    setText(n, String(s.n));
    [[p50, s.p50_us], [p90, s.p90_us], [p99, s.p99_us], [max, s.max_us]].forEach(([cell, us]) => setText(cell, micros(us)));
    bar.firstChild.firstChild.style.transform = `scaleX(${s.n ? (Math.log10(Math.max(1, s.p99_us)) / most).toFixed(3) : 0})`;
    bar.title = "p99, logarithmic";
  });
}

function paintSlowest({ slowest, slowest_by: by }) {
  setText($("slowest-by"), slowest.length ? `by ${by.replaceAll("_", " ")}` : "");
  $("slowest-none").hidden = slowest.length > 0;
  fillTable($("slowest-body"), slowest, () => { const tr = cells(5)(); tr.lastChild.append(el("div", "parts")); return tr; }, (tr, row) => {
    const [time, symbol, state, whole, parts] = tr.children;
    setText(time, timeOf(row));
    setText(symbol, row.symbol);
    paintState(state, row);
    setText(whole, latency(row.stages_us[by]));
    const known = PARTS.map((name) => [name, row.stages_us[name]]).filter(([, us]) => us !== null);
    const sum = known.reduce((total, [, us]) => total + us, 0) || 1;
    fillTable(parts.firstChild, known, () => el("i"), (bar, [, us]) => { bar.style.flexGrow = String(us / sum); });
    parts.title = known.map(([name, us]) => `${name.replaceAll("_", " ")} ${micros(us)}`).join("\n");
  });
}

function paintHistory(rows) {
  setText($("history-count"), String(rows.length));
  $("history-none").hidden = rows.length > 0;
  fillOrders($("history-body"), rows, COLUMNS);
}

for (const state of STATES) {
  const option = el("option", "", state.toLowerCase().replaceAll("_", " "));
  option.value = state;
  $("history-state").append(option);
}
$("history-state").addEventListener("change", look);
$("history-symbol").addEventListener("input", look);
$("history-more").addEventListener("click", () => { pages += 1; look(); });
setInterval(() => setText($("orders-age"), askedAt ? age(performance.now() - askedAt) : DASH), 250);
setInterval(look, LOOK_MS);
look();
startFrame(page).connect();
