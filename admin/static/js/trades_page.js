// Positions with one-click close, orders at work, a trade by hand, mode, blacklist: /trades.
import { ask, toast } from "./controls.js";
import { $, cells, el, fillTable, setClass, setText } from "./dom.js";
import { age, DASH, fixed, signed, tone } from "./format.js";
import { startFrame } from "./frame.js";
import { get, post } from "./net.js";
import { fillOrders } from "./orders.js";

const ARMED_MS = 3000;
const ORDERS_MS = 1500;
const WORKING = ["time", "symbol", "side", "state", "qty", "filled", "price", "stop", "id", "by"];
const RECENT = ["time", "symbol", "side", "state", "qty", "price", "average", "slip", "fee", "why"];
const armed = new Map(); // symbol -> until when a second click closes
let mode = document.body.dataset.mode;
let positions = [];
let askedAt = 0;

const page = {
  hello(m) {
    $("symbols").replaceChildren(...m.symbols.map((s) => { const o = el("option"); o.value = s.name; return o; }));
  },
  title: () => "trades · ",
  positions(rows) {
    positions = rows;
    frame.schedule();
  },
  head(m) {
    mode = m.control.mode;
    paintMode(m);
  },
  paint: paintPositions,
};

// --- positions
function paintPositions() {
  $("positions-none").hidden = positions.length > 0;
  const sum = positions.reduce((total, p) => total + p.unrealised_usdt, 0);
  setText($("positions-sum"), positions.length ? `${positions.length} open · ${signed(sum)} USDT` : "");
  setClass($("positions-sum"), `num ${tone(sum)}`);
  fillTable($("positions-body"), positions, makePosition, paintPosition);
}

function makePosition() {
  const tr = cells(15)();
  tr.children[0].append(el("a", "sym"));
  tr.children[1].append(el("span", "tag"));
  tr.lastChild.className = "act";
  const close = el("button", "button");
  const protect = el("button", "button quiet", "SL/TP…");
  for (const button of [protect, close]) button.type = "button";
  close.addEventListener("click", () => closePosition(tr.row));
  protect.addEventListener("click", () => protectPosition(tr.row));
  tr.lastChild.append(protect, close);
  return tr;
}

function paintPosition(tr, p) {
  tr.row = p;
  const [symbol, side, qty, lev, entry, mark, pnl, percent, r, stop, target, liq, distance, held, act] = tr.children;
  setText(symbol.firstChild, p.symbol);
  symbol.firstChild.href = `/symbol/${encodeURIComponent(p.symbol)}`;
  const long = p.side === "Buy";
  setText(side.firstChild, long ? "▲ LONG" : "▼ SHORT");
  setClass(side.firstChild, `tag ${long ? "up" : "down"}`);
  setText(qty, p.qty);
  setText(lev, `${p.leverage}×`);
  setText(entry, p.entry_price ?? DASH);
  setText(mark, p.mark_price ?? DASH);
  setText(pnl, signed(p.unrealised_usdt));
  setClass(pnl, `big ${tone(p.unrealised_usdt)}`);
  setText(percent, p.unrealised_pct === null ? DASH : `${signed(p.unrealised_pct)}%`);
  setClass(percent, tone(p.unrealised_pct));
  setText(r, p.r === null ? DASH : signed(p.r));
  setClass(r, tone(p.r));
  setText(stop, p.stop_price ?? "NONE");
  setClass(stop, p.stop_stands ? "" : "close");
  stop.title = p.stop_stands ? "stands" : "no stop stands";
  setText(target, p.target_price ?? DASH);
  setText(liq, p.liq_price_est ?? DASH);
  setText(distance, p.liq_distance_pct === null ? DASH : `${fixed(p.liq_distance_pct, 1)}%`);
  setClass(distance, p.liq_distance_pct === null || p.liq_distance_pct > 8 ? "" : p.liq_distance_pct > 4 ? "near" : "close");
  setText(held, p.age_s === null ? DASH : age(p.age_s * 1000));
  const close = act.lastChild;
  const sure = (armed.get(p.symbol) ?? 0) > performance.now();
  setText(close, p.closing ? "closing" : sure ? `Close ${p.qty} ✓` : "Close");
  setClass(close, `button${sure ? " armed" : ""}`);
  close.setAttribute("aria-label", sure ? `close ${p.symbol} now` : `close ${p.symbol}: press twice`);
}

/** The first press arms for three seconds, the second closes. */
async function closePosition(p) {
  if ((armed.get(p.symbol) ?? 0) < performance.now()) {
    armed.set(p.symbol, performance.now() + ARMED_MS);
    setTimeout(frame.schedule, ARMED_MS + 50);
    frame.schedule();
    return;
  }
  armed.delete(p.symbol);
  toast(`closing ${p.symbol}…`, "warn");
  try {
    const done = await post(`/api/positions/${encodeURIComponent(p.symbol)}/close`, { positionId: p.order_id });
    toast(`${p.symbol}: ${done.side} ${done.qty} reduce-only is on its way; the row goes when it is filled`);
  } catch (error) {
    toast(`${p.symbol} not closed: ${error.cause}. ${error.fix}`, "down");
  }
}

function protectPosition(p) {
  ask(`Stop and target of ${p.symbol}`, `Entry ${p.entry_price}, mark ${p.mark_price}. Stop now ${p.stop_price ?? "none"}, target ${p.target_price ?? "none"}.\nLeave empty what shall stay.`, "Set",
    [["sl", "Stop", "text"], ["tp", "Target", "text"]], async (values) => {
      try {
        const done = await post(`/api/positions/${encodeURIComponent(p.symbol)}/protect`, { positionId: p.order_id, sl: values.sl || null, tp: values.tp || null });
        toast(`${p.symbol}: stop ${done.sl ?? "none"}, target ${done.tp ?? "none"}`);
        return "";
      } catch (error) {
        return `${error.cause}. ${error.fix}`;
      }
    });
}

// --- orders
async function lookAtOrders() {
  if (document.hidden) return;
  try {
    const [working, recent] = await Promise.all([get("/api/orders/active"), get("/api/orders/recent?limit=50")]);
    askedAt = performance.now();
    $("working-none").hidden = working.count > 0;
    setText($("working-count"), working.count ? String(working.count) : "");
    fillOrders($("working-body"), working.list, WORKING);
    $("recent-none").hidden = recent.count > 0;
    fillOrders($("recent-body"), recent.list, RECENT);
  } catch (error) {
    toast(`orders: ${error.cause}`, "down");
  }
}

async function lookAtBlacklist() {
  const found = await get("/api/blacklist").catch(() => null);
  if (!found) return;
  $("black-none").hidden = found.count > 0;
  setText($("black-count"), found.count ? String(found.count) : "");
  fillTable($("black-body"), found.list, () => { const tr = cells(3)(); tr.lastChild.append(el("button", "link", "take back")); tr.lastChild.className = "act"; return tr; }, (tr, row) => {
    setText(tr.children[0], row.symbol);
    setText(tr.children[1], row.reason || DASH);
    setClass(tr.children[1], "why");
    const back = tr.lastChild.firstChild;
    back.hidden = row.by !== "person";
    back.onclick = () => blacklist(row.symbol, false, "");
  });
}

async function blacklist(symbol, on, reason) {
  try {
    const done = await post("/api/blacklist-symbol", { symbol, blacklisted: on, reason });
    toast(`${done.symbol}: ${done.message}`);
    lookAtBlacklist();
    return true;
  } catch (error) {
    toast(`${symbol}: ${error.cause}. ${error.fix}`, "down");
    return false;
  }
}

// --- hands
function paintMode(m) {
  const now = m.control.mode;
  setText($("mode-now"), now);
  setClass($("mode-now"), `tag ${now === "LIVE" ? "warn" : ""}`);
  setText($("mode-words"), { SIM: "Orders are filled on paper.", DRY_RUN: "Orders are checked and logged, none is sent. Positions of before are managed to their end.", LIVE: "Real orders. LIVE is entered and left only by a restart: launch.py --mode LIVE." }[now]);
  $("mode-switch").hidden = now === "LIVE";
  setText($("mode-switch"), now === "SIM" ? "Switch to DRY_RUN" : "Switch to SIM");
  document.querySelector("#trade .pin").hidden = now !== "LIVE";
}

$("mode-switch").addEventListener("click", async () => {
  const to = mode === "SIM" ? "DRY_RUN" : "SIM";
  if (!await ask(`${mode} to ${to}`, to === "DRY_RUN" ? "From now on entries are checked and logged, not sent. Open positions are managed to their end." : "From now on entries are filled on paper again.", `Switch to ${to}`, [])) return;
  try {
    const done = await post("/api/mode", { mode: to, from: mode });
    toast(`mode ${done.message}`);
  } catch (error) {
    toast(`mode not changed: ${error.cause}. ${error.fix}`, "down");
  }
});

$("panic").addEventListener("click", async () => {
  if (!await ask("PANIC CLOSE ALL", "The same as KILL: stop entries, cancel, close every position reduce-only, stay off until a person clears it.", "Close everything", [])) return;
  try {
    const done = await post("/api/panic-close", {}, 6000);
    toast(done.flat ? "FLAT: nothing is open" : "KILL latched; not flat yet", "down");
  } catch (error) {
    toast(`not delivered: ${error.cause}. ${error.fix}`, "down");
  }
});

$("trade").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  const said = $("trade-said");
  const value = (name) => (form.get(name) ?? "").trim() || null;
  const wanted = { symbol: value("symbol")?.toUpperCase(), direction: form.get("direction"), entry: value("entry"), sl: value("sl"), tp: value("tp") };
  if (mode === "LIVE") wanted.pin = value("pin") ?? "";
  $("trade-send").disabled = true;
  setClass(said, "said dim");
  setText(said, "checking…");
  try {
    const done = await post("/api/execute-trade", wanted);
    setClass(said, "said up");
    const order = done.order ?? done;
    setText(said, done.order ? `DRY RUN: ${order.side} ${order.qty} ${order.symbol} at ${order.entry} was checked, not sent` : `${order.side} ${order.qty} ${order.symbol} at ${order.entry}, stop ${order.sl} · ${order.orderId}`);
    lookAtOrders();
  } catch (error) {
    setClass(said, "said bad");
    setText(said, `✗ ${error.cause}. ${error.fix}`);
  } finally {
    $("trade-send").disabled = false;
  }
});

$("black").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  if (await blacklist(form.get("symbol").trim().toUpperCase(), true, form.get("reason").trim())) event.target.reset();
});

setInterval(() => {
  setText($("orders-age"), askedAt ? age(performance.now() - askedAt) : DASH);
  if ([...armed.values()].some((until) => until < performance.now())) { for (const [symbol, until] of armed) if (until < performance.now()) armed.delete(symbol); frame.schedule(); }
}, 250);
setInterval(lookAtOrders, ORDERS_MS);
setInterval(lookAtBlacklist, 2 * ORDERS_MS);
const frame = startFrame(page);
lookAtOrders();
lookAtBlacklist();
frame.connect();
