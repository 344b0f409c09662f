// One symbol in depth: ladder with walls, candles, tape, features against thresholds, why it did or did not act, its events.
import { Candles } from "./candles.js";
import { $, color, el, fillTable, setClass, setText } from "./dom.js";
import { eventItem } from "./events.js";
import { paintChecks, paintDecisions, paintPlan, paintTerms, paintVerdict, paintWords } from "./explanation.js";
import { Features } from "./features.js";
import { age, clock, compact, DASH, fixed, lower, price, quantity, signed, tone } from "./format.js";
import { paintLadder, paintWalls } from "./ladder.js";
import { get } from "./net.js";

const REFRESH_MS = 2000;
const EVENTS = 100;
const TAPE = 40;

export class SymbolView {
  constructor(frame) {
    this.frame = frame;
    this.table = frame.table;
    this.id = -1;
    this.seconds = 1;
    this.features = new Features($("features"), $("features-note"));
    this.candles = new Candles($("candles"));
    this.known = []; // features as HELLO describes them
    this.gates = {};
    this.told = null;
    this.forget();
    for (const button of $("intervals").children) button.addEventListener("click", () => this.setInterval(Number(button.dataset.seconds)));
    new ResizeObserver(() => this.paintDetail()).observe($("symbol-view"));
    setInterval(() => this.refresh(), REFRESH_MS);
  }

  get open() {
    return this.id >= 0;
  }

  describe(hello) {
    this.told = hello;
    this.known = hello.features;
    this.gates = hello.gates;
    if (this.rest) this.paintExplanation();
  }

  forget() {
    this.detail = null;
    this.position = null;
    this.rest = null;
    this.events = [];
  }

  setInterval(seconds) {
    this.seconds = seconds;
    for (const button of $("intervals").children) button.setAttribute("aria-pressed", String(Number(button.dataset.seconds) === seconds));
    this.paintDetail();
  }

  show(id) {
    const symbol = this.table.symbols.get(id);
    if (!symbol) return;
    this.id = id;
    this.forget();
    setText($("drawer-title"), symbol.name);
    for (const list of ["tape", "drawer-events", "decisions-body", "checks-body", "terms-body", "walls-body"]) $(list).textContent = "";
    paintVerdict($("verdict"), null);
    this.frame.push.want(symbol.name);
    this.paint();
    this.paintDetail();
    this.refresh(true);
  }

  close() {
    this.id = -1;
    this.forget();
    this.frame.push.want(null);
  }

  /** Explanation, decisions and history by REST; the numbers come by push. */
  refresh(force = false) {
    const name = this.table.symbols.get(this.id)?.name;
    if (!name || (document.hidden && !force)) return;
    const id = this.id;
    get(`/api/symbol/${encodeURIComponent(name)}`).then((rest) => { if (id === this.id) this.takeRest(rest); }, () => {});
  }

  takeRest(rest) {
    this.rest = rest;
    this.setEvents(rest.events_recent);
    this.paint();
    this.paintExplanation();
  }

  setEvents(list) {
    if (this.events[0]?.id === list[0]?.id && this.events.length === list.length) return;
    this.events = list;
    $("drawer-events").replaceChildren(...list.map((e) => eventItem(e)));
  }

  addEvents(items) {
    const name = this.table.symbols.get(this.id)?.name;
    const newest = this.events[0]?.id ?? 0;
    const fresh = name ? items.filter((e) => e.symbol === name && e.id > newest) : [];
    if (!fresh.length) return;
    this.events = [...fresh.slice().reverse(), ...this.events].slice(0, EVENTS);
    $("drawer-events").replaceChildren(...this.events.map((e) => eventItem(e)));
  }

  setPositions(rows) {
    const name = this.table.symbols.get(this.id)?.name;
    this.position = rows.find((r) => r.symbol === name) ?? null;
  }

  take(detail) {
    if (detail.symbol !== this.id) return;
    this.detail = detail;
    this.paintDetail();
  }

  paint() {
    if (!this.open || !this.table.planes.length) return;
    const { table: t, id } = this;
    const symbol = t.symbols.get(id);
    if (!symbol) return;
    setText($("drawer-cat"), t.word("category", t.byte("marks", id, 0)));
    setText($("drawer-last"), price(symbol, t.ticks(id)));
    const change = t.value("change", id);
    setText($("drawer-change"), change === null ? DASH : `${change > 0 ? "▲" : change < 0 ? "▼" : ""} ${signed(change)}% 1m`);
    setClass($("drawer-change"), `num ${tone(change)}`);
    const ms = t.ageMs(id);
    setText($("drawer-age"), age(ms));
    setClass($("drawer-age"), `age num ${ms > 2000 ? "old" : ""}`);
    const make = () => { const box = el("div"); box.append(el("span"), el("b")); return box; };
    fillTable($("drawer-state"), this.facts(symbol), make, (box, [label, value, className, title]) => {
      setText(box.firstChild, label);
      setText(box.lastChild, value);
      setClass(box.lastChild, className);
      box.title = title ?? "";
    });
  }

  facts(symbol) {
    const { table: t, id, rest } = this;
    const word = (kind, column, place) => t.word(kind, t.byte(column, id, place));
    const state = word("state", "codes", 0);
    const gate = word("gate", "codes", 3);
    const data = word("data_state", "marks", 1);
    const pump = word("pump", "codes", 2);
    const regime = word("regime", "codes", 1);
    const scores = (name, loud) => [name, fixed(t.value(name, id), 0), (t.value(name, id) ?? 0) >= loud ? "warn" : ""];
    return [
      ["state", lower(state), state.endsWith("LONG") ? "up" : state.endsWith("SHORT") ? "down" : ""],
      ["blocked by", gate === "NONE" ? "nothing" : lower(gate), gate === "NONE" ? "up" : "warn", this.gates[gate]],
      ["data", lower(data), data === "OK" ? "" : "down"],
      ["regime", lower(regime), regime === "NORMAL" ? "" : "warn"], ["pump", lower(pump), pump === "NONE" ? "" : "warn"],
      ["long", fixed(t.value("long", id), 1), "up"], ["short", fixed(t.value("short", id), 1), "down"],
      scores("spoof", 50), scores("news", 30), ["vol", fixed(t.value("volatility", id), 0), ""],
      ["walls S·R", `${fixed(t.value("support", id), 0)}·${fixed(t.value("resistance", id), 0)}`, ""],
      ["in state", rest?.state_since_ts ? age(Math.max(0, rest.recv_ts - rest.state_since_ts)) : DASH, "dim"],
      ["shard", String(symbol.shard), "dim"],
    ];
  }

  paintExplanation() {
    const { explain: e = null, decisions = [] } = this.rest;
    paintVerdict($("verdict"), e);
    paintWords($("why-text"), e, this.gates);
    const link = $("explain-link");
    link.hidden = !e || e.live || !e.id;
    if (e && !link.hidden) {
      link.href = `/explain/${encodeURIComponent(e.id)}`;
      const old = Math.max(0, this.frame.now() - e.ts); // nothing is evaluated while no score is over watch
      setText(link, `${clock(e.ts)}${old > 5000 ? ` (${age(old)} ago)` : ""} · full explanation`);
    }
    paintPlan($("plan"), e?.plan);
    const checks = e?.gates ?? [];
    paintChecks($("checks-body"), [...checks.filter((g) => !g.ok), ...checks.filter((g) => g.ok)], this.told);
    setText($("checks-note"), checks.length ? `${checks.filter((g) => !g.ok).length} of ${checks.length} shut` : "");
    paintTerms($("terms-body"), e ?? {}, $("terms-sum"));
    paintDecisions(decisions, clock);
    this.paintFeatures();
  }

  /** Live values; thresholds as of the latest evaluation, their verdicts told anew for the live value. */
  paintFeatures() {
    if (!this.detail) return;
    const told = new Map((this.rest?.explain?.features ?? []).map((f) => [f.name, f.threshold]));
    this.features.paint(this.known.map((f) => {
      const value = this.detail.features[f.name] ?? null;
      const threshold = told.get(f.name);
      return { ...f, value, threshold: threshold && value !== null ? { ...threshold, ok: holds(value, threshold) ?? threshold.ok } : threshold };
    }), this.table.symbols.get(this.id));
  }

  paintDetail() {
    if (!this.open) return;
    const symbol = this.table.symbols.get(this.id);
    const marks = this.marks(symbol);
    paintLadder($("ladder"), this.detail, symbol, marks.lines);
    this.candles.paint(this.detail?.candles[this.seconds], this.seconds, symbol, marks, this.events);
    paintWalls(this.detail, symbol);
    if (!this.detail) return;
    const [ts, ticks, lots, sides] = this.detail.trades;
    const rows = ts.slice(0, TAPE).map((time, k) => [time, ticks[k], lots[k], sides[k]]);
    const make = () => { const li = el("li"); li.append(el("span"), el("span"), el("span")); return li; };
    fillTable($("tape"), rows, make, (li, [time, tick, lot, side]) => {
      setText(li.children[0], clock(time));
      setText(li.children[1], `${side > 0 ? "▲" : "▼"} ${price(symbol, tick)}`);
      setText(li.children[2], compact(quantity(symbol, lot), symbol.qty_exp));
      setClass(li.children[1], side > 0 ? "up" : "down");
    });
    this.paintFeatures();
  }

  /** Entry, stop and target in ticks: of the open position, else of the latest decision's plan, with its entry zone. */
  marks(symbol) {
    const p = this.position;
    const state = this.table.planes.length ? this.table.word("state", this.table.byte("codes", this.id, 0)) : "";
    const plan = !p && /^(ARMED|ORDER_PLACED)/.test(state) ? this.rest?.explain?.plan : null; // else it is nobody's plan any more
    const ticks = (v) => Math.round((Number(v) * 10 ** symbol.price_exp) / symbol.tick_mant);
    const known = (v) => v !== null && v !== undefined;
    const [entry, stop, target] = p ? [p.entry_price, p.stop_price, p.target_price] : [plan?.entry, plan?.stop, plan?.target];
    const lines = [[entry, "entry", color("info")], [stop, "stop", color("down")], [target, "target", color("up")]]
      .filter(([v]) => known(v)).map(([v, name, tint]) => [ticks(v), p ? name : `planned ${name}`, tint]);
    const zone = known(plan?.zone_min) && known(plan?.zone_max) ? [ticks(plan.zone_min), ticks(plan.zone_max)].sort((a, b) => a - b) : null;
    return { lines, zone };
  }
}

function holds(value, { op, value: limit }) {
  return { ">": value > limit, ">=": value >= limit, "<": value < limit, "<=": value <= limit, "==": value === limit, "!=": value !== limit }[op];
}
