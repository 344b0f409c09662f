// Header strip, processes, latencies, rings, positions: small tables that repaint only cells whose text changed.
import { $, cells, el, fillTable, setClass, setText } from "./dom.js";
import { age, clock, count, DASH, fixed, latency, lower, micros, money, plural, signed, tone } from "./format.js";

const dd = (id) => $(id).lastElementChild;

function fact(id, text, className = "", title = "") {
  const node = dd(id);
  setText(node, text);
  setClass(node, className);
  if (title) $(id).title = title;
}

function dotted(id, text, className) {
  const node = dd(id);
  if (!node.dot) {
    node.textContent = "";
    node.dot = el("span", "dot");
    node.word = el("span");
    node.append(node.dot, node.word);
  }
  setText(node.word, text);
  setClass(node, className);
}

let maxHeat = 5;
export const setMaxHeat = (percent) => { maxHeat = percent; };

export function paintStrip(head) {
  const { account: a, control: c, wire } = head;
  const silent = c.feed_beat_ms !== null && c.feed_beat_ms > 2000;
  const feed = silent ? `no beat ${age(c.feed_beat_ms)}` : c.feed === "CONNECTED" && c.degraded ? "DEGRADED" : c.ended ? "TAPE END" : c.feed;
  dotted("fact-feed", feed, silent || c.feed === "DOWN" ? "down" : c.feed !== "CONNECTED" || c.degraded ? "warn" : "up");
  const regime = head.global.regime ?? DASH;
  fact("fact-regime", lower(regime.replace("GLOBAL_", "")).toUpperCase(), regime === "GLOBAL_NORMAL" ? "" : regime === "GLOBAL_PANIC" ? "down" : "warn", regimeInputs(head.global));
  const heat = $("fact-heat");
  const bar = heat.querySelector("i");
  bar.style.transform = `scaleX(${Math.min(1, a.heat_pct / maxHeat).toFixed(3)})`;
  setClass(bar, a.heat_pct > 0.8 * maxHeat ? "bad" : a.heat_pct > 0.5 * maxHeat ? "warn" : "");
  setText(heat.querySelector("b"), `${fixed(a.heat_pct, 2)}%`);
  heat.title = `open risk to the stops: ${money(a.heat_usdt)} USDT of at most ${maxHeat}% of equity; margin ${money(a.margin_used_usdt)}, available ${money(a.available_usdt)} USDT`;
  fact("fact-equity", money(a.equity_usdt), "", `balance ${money(a.balance_usdt)}, unrealised ${signed(a.unrealised_usdt)}, fees ${money(a.fees_usdt)} USDT`);
  fact("fact-day", `${signed(a.day_pnl_usdt)} (${signed(a.day_pnl_pct)}%)`, tone(a.day_pnl_usdt),
    `realised today ${signed(a.realised_day_usdt)}, drawdown ${signed(a.drawdown_pct)}%, closed ${a.trades_closed}, won ${a.wins}`);
  fact("fact-positions", a.working_orders ? `${a.open_positions} +${a.working_orders} ord` : String(a.open_positions), "", `${plural(a.orders, "order")}, ${plural(a.fills, "fill")}, ${a.rejects} refused`);
  const p99 = wire ? (wire.recent ?? wire).p99_us : null;
  fact("fact-wire", latency(p99), p99 > 5000 ? "warn" : "", wire?.recent ? "over the last ten seconds" : "since the start");
}

function regimeInputs(global) {
  const lines = Object.entries(global.inputs).map(([name, value]) => `${name.replaceAll("_", " ")} ${fixed(value, 2)}`);
  if (global.since_ts) lines.push(`since ${clock(global.since_ts)} UTC`);
  return `global regime and its measures\n${lines.join("\n")}`;
}

export function paintClock(ms) {
  fact("fact-clock", clock(ms));
}

const STATE_TAG = { RUN: "up", BOOT: "warn", HALT: "", FAIL: "down", OFF: "" };

export function paintProcesses(rows, killed) {
  fillTable($("processes-body"), rows, () => { const tr = cells(8)(); tr.children[1].append(el("span", "tag")); return tr; }, (tr, p) => {
    const [name, state, pid, cpu, beat, stall, restarts, kill] = tr.children;
    setText(name, p.name);
    const dead = p.alive === false && p.state !== "HALT";
    setText(state.firstChild, dead ? "DEAD" : p.state);
    setClass(state.firstChild, `tag ${dead ? "down" : STATE_TAG[p.state] ?? ""}`);
    setText(pid, String(p.pid));
    setText(cpu, p.cpu_pct === null ? DASH : `${p.cpu_pct.toFixed(1)}%`);
    setText(beat, p.beat_ms === null ? DASH : p.beat_ms < 1000 ? `${p.beat_ms.toFixed(0)}ms` : age(p.beat_ms));
    setClass(beat, p.beat_ms > 2000 ? "warn" : "");
    setText(stall, p.stall_max_ms < 10 ? `${p.stall_max_ms.toFixed(1)}ms` : `${p.stall_max_ms.toFixed(0)}ms`);
    setText(restarts, String(p.restarts));
    setClass(restarts, p.restarts ? "warn" : "dim");
    setClass(tr, p.acks ? "" : "outside");
    setText(kill, !p.acks ? DASH : p.kill_seen_ns ? `✓ ${p.kill_ms === null ? "" : `${p.kill_ms.toFixed(1)}ms`}` : killed ? "waiting" : "·");
    setClass(kill, p.acks && p.kill_seen_ns ? "up" : p.acks && killed ? "warn" : "dim");
    tr.title = !p.acks ? "takes no part in the control words" : p.last_error ? `${p.errors} errors, last: ${p.last_error}` : `loops ${count(p.loops)}`;
  });
}

let span = "recent";
export function watchSpan(repaint) {
  for (const [id, value] of [["span-recent", "recent"], ["span-run", "run"]]) {
    $(id).addEventListener("click", () => {
      span = value;
      $("span-recent").setAttribute("aria-pressed", String(span === "recent"));
      $("span-run").setAttribute("aria-pressed", String(span === "run"));
      repaint();
    });
  }
}

/** Tabs by arrow keys, as the pattern for tablists asks. */
export function watchTabs() {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const choose = (tab) => {
    for (const other of tabs) {
      const on = other === tab;
      other.setAttribute("aria-selected", String(on));
      other.tabIndex = on ? 0 : -1;
      $(other.getAttribute("aria-controls")).hidden = !on;
    }
  };
  tabs.forEach((tab, k) => {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowRight: k + 1, ArrowLeft: k - 1, Home: 0, End: tabs.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      const next = tabs[(to + tabs.length) % tabs.length];
      choose(next);
      next.focus();
    });
  });
}

// µs over which a latency is told as a warning and as bad; some stages wait by design.
const LIMITS = { raw_to_disk: [3e6, 1e7], push: [1e5, 5e5], loop_stall: [5e4, 2e5] };
const USUAL = [5e3, 1e5];

export function paintStages(stages) {
  fillTable($("latency-body"), stages, cells(6), (tr, s) => {
    const [warn, bad] = LIMITS[s.stage] ?? USUAL;
    const f = span === "run" ? s : s.recent;
    setText(tr.children[0], s.stage.replaceAll("_", " "));
    setText(tr.children[1], f ? count(f.n) : DASH);
    ["p50_us", "p99_us", "p999_us", "max_us"].forEach((key, k) => {
      const cell = tr.children[k + 2];
      setText(cell, f ? micros(f[key]) : DASH);
      setClass(cell, !f ? "dim" : f[key] > bad ? "down" : f[key] > warn ? "warn" : "");
    });
    setClass(tr, s.whole ? "whole" : "");
    tr.title = s.sentence;
  });
}

export function paintRings(rings) {
  const rows = rings.filter((r) => r.reader !== "supervisor" || r.lost);
  fillTable($("rings-body"), rows, () => { const tr = cells(5)(); const bar = el("span", "bar"); bar.append(el("i")); tr.children[3].append(bar); return tr; }, (tr, r) => {
    const [ring, reader, lag, bar, lost] = tr.children;
    setText(ring, r.ring);
    setText(reader, r.reader + (r.gating && r.unit === "cells" ? " ⊣" : ""));
    setText(lag, `${count(r.lag)} · ${r.lag_pct < 10 ? r.lag_pct.toFixed(1) : r.lag_pct.toFixed(0)}%`);
    const fill = bar.firstChild.firstChild;
    fill.style.transform = `scaleX(${Math.max(r.lag ? 0.012 : 0, r.lag_pct / 100).toFixed(3)})`;
    setClass(fill, r.lag_pct > 50 ? "bad" : r.lag_pct > 20 ? "warn" : "");
    setText(lost, r.refused ? `${count(r.lost)} (${count(r.refused)} refused)` : count(r.lost));
    setClass(lost, r.lost ? "down" : "dim");
    tr.title = `${r.capacity} ${r.unit}, overtaken ${plural(r.laps, "time")}${r.gating ? ", holds its writer back" : ""}`;
  });
}

/** What the header says of the plant on every page. */
export function paintPlantFacts({ processes, rings }) {
  const worst = rings.reduce((a, b) => (b.lag_pct > (a?.lag_pct ?? -1) ? b : a), null);
  const lost = rings.reduce((sum, r) => sum + r.lost, 0);
  const verdict = $("plant-verdict");
  if (verdict) {
    const ill = processes.filter((p) => p.state === "FAIL" || (p.alive === false && p.state !== "HALT"));
    setText(verdict, ill.length ? `✕ ${ill.map((p) => p.name).join(", ")}` : `✓ ${processes.length} running`);
    setClass(verdict, `num ${ill.length ? "down" : "up"}`);
  }
  fact("fact-rings", worst ? `${worst.lag_pct < 10 ? worst.lag_pct.toFixed(1) : worst.lag_pct.toFixed(0)}% · ${count(lost)}` : DASH,
    lost ? "down" : worst?.lag_pct > 20 ? "warn" : "", worst ? `worst: ${worst.ring} → ${worst.reader}` : "");
}

export function paintPositions(rows, openSymbol) {
  $("positions-none").hidden = rows.length > 0;
  const total = rows.reduce((sum, r) => sum + r.unrealised_usdt, 0);
  setText($("positions-sum"), rows.length ? `${rows.length} open · ${signed(total)} USDT` : "");
  setClass($("positions-sum"), `num ${tone(total) || "dim"}`);
  const make = () => {
    const tr = cells(12)();
    const button = el("button", "sym");
    button.type = "button";
    button.addEventListener("click", () => openSymbol(button.textContent));
    tr.children[0].append(button);
    tr.children[1].append(el("span", "tag"));
    return tr;
  };
  fillTable($("positions-body"), rows, make, (tr, p) => {
    const c = tr.children;
    setText(c[0].firstChild, p.symbol);
    setText(c[1].firstChild, p.side === "Buy" ? "▲ LONG" : "▼ SHORT");
    setClass(c[1].firstChild, `tag ${p.side === "Buy" ? "up" : "down"}`);
    [p.qty, p.entry_price ?? DASH, p.mark_price ?? DASH].forEach((v, k) => setText(c[k + 2], String(v)));
    setText(c[5], signed(p.unrealised_usdt));
    setClass(c[5], tone(p.unrealised_usdt));
    setText(c[6], p.unrealised_pct === null ? DASH : signed(p.unrealised_pct));
    setClass(c[6], tone(p.unrealised_pct));
    setText(c[7], p.r === null ? DASH : signed(p.r));
    setClass(c[7], tone(p.r));
    setText(c[8], p.stop_price ? `${p.stop_price}${p.stop_stands ? "" : " ?"}` : "NONE");
    setClass(c[8], p.stop_price && p.stop_stands ? "" : "down");
    c[8].title = p.stop_stands ? "the stop stands" : "no stop stands for this position";
    setText(c[9], p.target_price ?? DASH);
    setText(c[10], `${p.mfe_bps === null ? DASH : signed(p.mfe_bps, 1)} / ${p.mae_bps === null ? DASH : signed(p.mae_bps, 1)}`);
    setText(c[11], p.closing ? "closing" : p.age_s === null ? DASH : age(p.age_s * 1000));
    setClass(c[11], p.closing ? "warn" : "");
  });
}
