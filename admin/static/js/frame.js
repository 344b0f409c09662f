// What every page has: push channel, header strip, ages of all numbers, PAUSE and KILL, keyboard, foot.
import { confirmKill, paintControls, toast, togglePause, watchControls } from "./controls.js";
import { Cost } from "./cost.js";
import { $, el, fillTable, setClass, setText } from "./dom.js";
import { age, plural, signed } from "./format.js";
import { Push } from "./net.js";
import { paintClock, paintPlantFacts, paintStrip, setMaxHeat } from "./panels.js";
import { paintReplay, replayKeys, watchReplay } from "./replay_bar.js";
import { Table } from "./store.js";

const STALE_MS = 2000;
let mode = document.body.dataset.mode;
const isReplay = mode === "REPLAY"; // the colours and the word of a replay, whatever mode the run was in

/** The mode in force on the badge, in the frame's colour and pattern, in the title: it may change while the page is open. */
function paintMode(now) {
  if (now === mode || isReplay) return;
  mode = now;
  document.body.dataset.mode = mode;
  setText($("mode").firstElementChild, mode);
  $("mode").setAttribute("aria-label", `mode ${mode}, to the cockpit`);
  document.querySelector("link[rel=icon]").href = `/static/favicon-${mode.toLowerCase()}.svg`;
}

/** What a person must know at once. */
function paintAlerts(found) {
  $("alertbar").hidden = found.length === 0;
  fillTable($("alertbar"), found, () => el("li"), (item, text) => setText(item, text));
}

/**
 * Start the page. `page` may have: hello(m), paint(), head(m), plant(m), positions(rows), events(items, gap), detail(m),
 * keys() -> {key: action}, escape() -> true when it did something, title(): text before the account figures.
 */
export function startFrame(page) {
  const table = new Table();
  const cost = new Cost("hot-update");
  const at = { head: 0, plant: 0 }; // performance.now() of the last frame of each part
  let head = null;
  let connected = false;
  let offset = 0; // server clock minus ours, ms
  let painting = false;
  let afterG = false; // "g" was the last key
  let applied = 0; // ms spent on frames since the last paint

  const frame = { table, cost, head: () => head, now: () => Date.now() + offset, serverOffset: () => offset };

  function schedule() {
    if (painting) return;
    painting = true;
    requestAnimationFrame(() => {
      painting = false;
      const begin = performance.now();
      page.paint?.();
      cost.add(begin, performance.now() - begin + applied);
      applied = 0;
    });
  }
  frame.schedule = schedule;

  const receivers = {
    head(m) {
      head = m;
      at.head = performance.now();
      offset = m.ts - Date.now();
      table.nowMs = m.ms;
      paintControls(m.control);
      paintMode(m.control.mode);
      paintAlerts(m.control.alerts);
      paintReplay(m.replay);
      paintStrip(m);
      document.title = `${m.control.killed ? "■ KILLED · " : ""}${mode} · ${page.title?.() ?? ""}${signed(m.account.day_pnl_usdt)} · ${m.account.open_positions} pos · Scalper`;
      page.head?.(m);
      schedule();
    },
    plant(m) {
      at.plant = performance.now();
      paintPlantFacts(m);
      const admin = m.processes.find((p) => p.role === "admin");
      setText($("view-cpu"), admin?.cpu_pct === null || !admin ? "" : `admin ${admin.cpu_pct.toFixed(1)}% CPU`);
      setText($("view-rate"), `${push.rate ?? 0} Hz · ${plural(m.clients, "page")}`);
      setText($("view-symbols"), `${plural(table.ids.length, "symbol")} · ${m.point?.events ?? 0} events/s`);
      const p95 = cost.percentile(0.95);
      setText($("view-cost"), p95 === null ? "" : `script ${p95.toFixed(1)} ms`);
      page.plant?.(m);
    },
    pos: (m) => page.positions?.(m.rows),
    ev: (m) => page.events?.(m.items, m.gap),
    detail: (m) => page.detail?.(m),
    symbols(m) {
      table.setSymbols(m.symbols);
      schedule();
    },
    hello(m) {
      table.describe(m);
      table.setSymbols(m.symbols);
      setMaxHeat(m.run.max_heat_pct);
      page.hello?.(m);
    },
    err: (m) => toast(m.text, "warn"),
  };

  const push = new Push({
    frame(binary) {
      const begin = performance.now();
      table.apply(binary);
      applied += performance.now() - begin;
      schedule();
    },
    message: (m) => receivers[m.t]?.(m),
    up() {
      connected = true;
      $("banner").hidden = true;
    },
    down(text) {
      connected = false;
      $("banner-text").textContent = `the engine may still be trading (${text})`;
      $("banner").hidden = false;
    },
  });
  frame.push = push;

  /** Ages: every number's panel says how old it is; over two seconds it is hatched and says STALE. */
  function watchAges() {
    const now = performance.now();
    const since = at.head ? now - at.head : null;
    const hotAge = table.newestSeen < 0 || since === null ? null : table.nowMs - table.newestSeen + since;
    const ages = { head: since, plant: at.plant ? now - at.plant : null, hot: hotAge };
    for (const node of document.querySelectorAll("[data-age]")) {
      const ms = ages[node.dataset.age];
      const limit = node.dataset.age === "plant" ? STALE_MS + 1000 : STALE_MS;
      const old = ms !== null && ms > limit;
      setText(node, old ? `STALE ${age(ms)}` : age(ms));
      setClass(node, old ? "age num old" : "age num");
      node.closest(".panel").classList.toggle("stale", old);
    }
    const stale = since !== null && since > STALE_MS;
    document.body.classList.toggle("stale", stale);
    setText($("view-state"), !connected ? "DISCONNECTED" : stale ? "STALE" : since === null ? "connecting" : "STREAMING");
    setClass($("view-state"), `view-state ${!connected ? "off" : stale ? "old" : "live"}`);
    setText($("view-age"), since === null ? "" : `frame ${age(since)}`);
    if (since !== null) paintClock(frame.now());
  }

  function keyboard(event) {
    const typing = event.target.matches("input, textarea, select");
    if (!isReplay && event.ctrlKey && event.shiftKey && event.code === "KeyK") { event.preventDefault(); confirmKill(); return; }
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") {
      event.preventDefault(); // a search box would empty itself and leave its filter in force unseen
      if (typing) event.target.blur();
      else page.escape?.();
      return;
    }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (afterG) {
      const to = { c: "/", t: "/trades", o: "/orders", h: "/history" }[event.key];
      afterG = false;
      if (to) { event.preventDefault(); location.assign(to); return; }
    }
    afterG = event.key === "g";
    const keys = { "?": () => $("help").showModal(), P: event.shiftKey && !isReplay ? () => togglePause() : null, ...page.keys?.(event), ...replayKeys(event) };
    const action = keys[event.key];
    if (action) { event.preventDefault(); action(); }
  }

  addEventListener("keydown", keyboard);
  $("show-help").addEventListener("click", () => $("help").showModal());
  for (const link of document.querySelectorAll(".nav a")) if (new URL(link.href).pathname === location.pathname) link.setAttribute("aria-current", "page");
  watchControls();
  watchReplay();
  setInterval(watchAges, 250);
  frame.connect = () => push.connect();
  return frame;
}
