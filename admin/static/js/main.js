// Wires the push channel to the painters, watches the age of everything, and handles the keyboard.
import { confirmKill, paintControls, toast, togglePause, watchControls } from "./controls.js";
import { $, setClass, setText } from "./dom.js";
import { Drawer } from "./drawer.js";
import { EventFeed } from "./events.js";
import { age, signed } from "./format.js";
import { HotList } from "./hotlist.js";
import { Push } from "./net.js";
import { paintClock, paintPositions, paintProcesses, paintRings, paintStages, paintStrip, setMaxHeat, watchSpan } from "./panels.js";
import { Table } from "./store.js";
import { addPoint, paintTimeline, setPoints, watchTimeline } from "./timeline.js";

const STALE_MS = 2000;
const mode = document.body.dataset.mode;
const table = new Table();
const at = { head: 0, plant: 0 }; // performance.now() of the last frame of each part
let head = null;
let plant = null;
let connected = false;
let offset = 0; // server clock minus ours, ms
let painting = false;

const openName = (name) => {
  for (const [id, symbol] of table.symbols) if (symbol.name === name) { hot.choose(id); drawer.show(id); return; }
  toast(`${name} is not listed`);
};
const push = new Push({
  frame: (frame) => { table.apply(frame); schedule(); },
  message: receive,
  up: () => { connected = true; $("banner").hidden = true; },
  down: (text) => {
    connected = false;
    $("banner-text").textContent = `the engine may still be trading (${text})`;
    $("banner").hidden = false;
  },
});
const drawer = new Drawer(table, push);
const hot = new HotList(table, (id) => drawer.show(id));
const feed = new EventFeed(openName);

function receive(m) {
  if (m.t === "head") {
    head = m;
    at.head = performance.now();
    offset = m.ts - Date.now();
    table.nowMs = m.ms;
    paintControls(m.control);
    paintStrip(m);
    document.title = `${m.control.killed ? "■ KILLED · " : ""}${mode} · ${signed(m.account.day_pnl_usdt)} · ${m.account.open_positions} pos · Scalper`;
    schedule();
  } else if (m.t === "plant") {
    plant = m;
    at.plant = performance.now();
    addPoint(m.point);
    paintPlant();
  } else if (m.t === "pos") {
    drawer.setPositions(m.rows);
    paintPositions(m.rows, openName);
  } else if (m.t === "ev") {
    feed.add(m.items, m.gap);
    if (drawer.open) drawer.addEvents(m.items);
  } else if (m.t === "detail") {
    drawer.take(m);
  } else if (m.t === "symbols") {
    table.setSymbols(m.symbols);
    schedule();
  } else if (m.t === "hello") {
    table.describe(m);
    table.setSymbols(m.symbols);
    setPoints(m.timeline);
    setMaxHeat(m.run.max_heat_pct);
    feed.reset(m.events);
  } else if (m.t === "err") {
    toast(m.text, "warn");
  }
}

function schedule() {
  if (painting) return;
  painting = true;
  requestAnimationFrame(() => {
    painting = false;
    hot.arrange();
    hot.paint();
    drawer.paint();
  });
}

function paintPlant() {
  if (!plant) return;
  paintProcesses(plant.processes, head?.control.killed ?? false);
  paintStages(plant.stages);
  paintRings(plant.rings);
  paintTimeline();
  const admin = plant.processes.find((p) => p.role === "admin");
  setText($("view-cpu"), admin?.cpu_pct === null || !admin ? "" : `admin ${admin.cpu_pct.toFixed(1)}% CPU`);
  setText($("view-rate"), `${push.rate ?? 0} Hz · ${plant.clients} ${plant.clients === 1 ? "page" : "pages"}`);
  setText($("view-symbols"), `${table.ids.length} symbols · ${plant.point?.events ?? 0} events/s`);
}

/** Ages: every number's panel says how old it is; over two seconds it is hatched and says STALE. */
function watchAges() {
  const now = performance.now();
  const frame = at.head ? now - at.head : null;
  const hotAge = table.newestSeen < 0 || frame === null ? null : table.nowMs - table.newestSeen + frame;
  const ages = { head: frame, plant: at.plant ? now - at.plant : null, hot: hotAge };
  for (const node of document.querySelectorAll("[data-age]")) {
    const ms = ages[node.dataset.age];
    const limit = node.dataset.age === "plant" ? STALE_MS + 1000 : STALE_MS;
    const old = ms !== null && ms > limit;
    setText(node, old ? `STALE ${age(ms)}` : age(ms));
    setClass(node, old ? "age num old" : "age num");
    node.closest(".panel").classList.toggle("stale", old);
  }
  const stale = frame !== null && frame > STALE_MS;
  document.body.classList.toggle("stale", stale);
  setText($("view-state"), !connected ? "DISCONNECTED" : stale ? "STALE" : frame === null ? "connecting" : "STREAMING");
  setClass($("view-state"), `view-state ${!connected ? "off" : stale ? "old" : "live"}`);
  setText($("view-age"), frame === null ? "" : `frame ${age(frame)}`);
  if (frame !== null) paintClock(Date.now() + offset);
}

function keyboard(event) {
  const typing = event.target.matches("input, textarea");
  if (event.ctrlKey && event.shiftKey && event.code === "KeyK") { event.preventDefault(); confirmKill(); return; }
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
    event.preventDefault(); // a search box would empty itself and leave its filter in force unseen
    if (typing) event.target.blur();
    else if (drawer.open) drawer.close();
    return;
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const onButton = event.target.matches("button");
  const actions = {
    "/": () => $("filter").focus(), "?": () => $("help").showModal(), j: () => hot.move(1), k: () => hot.move(-1),
    ArrowDown: () => hot.move(1), ArrowUp: () => hot.move(-1), f: () => hot.hold(), P: event.shiftKey ? () => togglePause() : null,
    Enter: onButton ? null : () => hot.chosen >= 0 && drawer.show(hot.chosen),
  };
  const action = actions[event.key];
  if (action) { event.preventDefault(); action(); }
}

addEventListener("keydown", keyboard);
$("show-help").addEventListener("click", () => $("help").showModal());
watchControls();
watchSpan(paintPlant);
watchTimeline();
new ResizeObserver(paintTimeline).observe($("timeline"));
setInterval(watchAges, 250);
push.connect();
