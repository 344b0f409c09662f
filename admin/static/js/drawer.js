// One symbol in depth: ladder, one-second candles, tape, features, state and what blocks it.
import { $, color, el, fillTable, MONO, setClass, setText, sized } from "./dom.js";
import { eventItem } from "./events.js";
import { age, clock, DASH, fixed, lower, price, quantity, signed, tone } from "./format.js";
import { get } from "./net.js";

const compact = (v, digits = 3) => (v >= 1e6 ? `${(v / 1e6).toFixed(2)}M` : v >= 1e4 ? `${(v / 1e3).toFixed(1)}k` : v.toFixed(v >= 1e3 ? 0 : Math.min(3, Math.max(0, digits))));
const UNITS = { spread_bps: 2, imbalance_top: 3, imbalance_n: 3, delta_1s: 0, delta_10s: 0, ofi_1s: 1, streak: 0, trades_per_s: 1, atr_1s_bps: 2, atr_3s_bps: 2, realised_vol_bps: 2, change_1m_pct: 3, volume_surge: 2 };

export class Drawer {
  constructor(table, push) {
    this.table = table;
    this.push = push;
    this.id = -1;
    this.detail = null;
    this.position = null;
    $("drawer-close").addEventListener("click", () => this.close());
    new ResizeObserver(() => this.paintDetail()).observe($("drawer"));
  }

  get open() {
    return this.id >= 0;
  }

  show(id) {
    const symbol = this.table.symbols.get(id);
    if (!symbol) return;
    this.id = id;
    this.detail = null;
    $("drawer").hidden = false;
    setText($("drawer-title"), symbol.name);
    $("tape").textContent = "";
    $("features").textContent = "";
    $("drawer-state").textContent = "";
    this.push.want(symbol.name);
    this.paint();
    this.paintDetail();
    get(`/api/symbol/${encodeURIComponent(symbol.name)}`).then((s) => this.showHistory(id, s), () => {});
  }

  showHistory(id, s) {
    if (id !== this.id) return;
    $("drawer-events").replaceChildren(...s.events_recent.map((e) => eventItem(e)));
    this.rest = s;
    this.paint();
  }

  addEvents(items) {
    const name = this.table.symbols.get(this.id)?.name;
    for (const e of items) if (e.symbol === name) $("drawer-events").prepend(eventItem(e));
  }

  close() {
    this.id = -1;
    this.rest = null;
    $("drawer").hidden = true;
    this.push.want(null);
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
    if (!this.open) return;
    const { table: t, id } = this;
    const symbol = t.symbols.get(id);
    const category = t.word("category", t.byte("marks", id, 0));
    setText($("drawer-cat"), category);
    setText($("drawer-last"), price(symbol, t.ticks(id)));
    const change = t.value("change", id);
    setText($("drawer-change"), change === null ? DASH : `${signed(change)}% 1m`);
    setClass($("drawer-change"), `num ${tone(change)}`);
    const ms = t.ageMs(id);
    setText($("drawer-age"), age(ms));
    setClass($("drawer-age"), `age num ${ms > 2000 ? "old" : ""}`);
    const state = t.word("state", t.byte("codes", id, 0));
    const gate = t.word("gate", t.byte("codes", id, 3));
    const facts = [
      ["state", lower(state), state.endsWith("LONG") ? "up" : state.endsWith("SHORT") ? "down" : ""],
      ["blocked by", gate === "NONE" ? "nothing" : lower(gate), gate === "NONE" ? "up" : "warn"],
      ["data", lower(t.word("data_state", t.byte("marks", id, 1))), t.byte("marks", id, 1) === 1 ? "" : "down"],
      ["regime", lower(t.word("regime", t.byte("codes", id, 1))), ""], ["pump", lower(t.word("pump", t.byte("codes", id, 2))), ""],
      ["score L", fixed(t.value("long", id), 1), "up"], ["score S", fixed(t.value("short", id), 1), "down"], ["spoof", fixed(t.value("spoof", id), 0), ""],
      ...(this.rest ? [["walls S/R", `${fixed(this.rest.wall_support, 0)}/${fixed(this.rest.wall_resistance, 0)}`, ""], ["in state", this.rest.state_since_ts ? age(Math.max(0, this.rest.recv_ts - this.rest.state_since_ts)) : DASH, "dim"]] : []),
      ["shard", String(symbol.shard), "dim"],
    ];
    const make = () => { const box = el("div"); box.append(el("span"), el("b")); return box; };
    fillTable($("drawer-state"), facts, make, (box, [label, value, className]) => {
      setText(box.firstChild, label);
      setText(box.lastChild, value);
      setClass(box.lastChild, className);
    });
  }

  paintDetail() {
    if (!this.open) return;
    this.paintLadder();
    this.paintCandles();
    if (!this.detail) return;
    const symbol = this.table.symbols.get(this.id);
    const [ts, ticks, lots, sides] = this.detail.trades;
    const rows = ts.slice(0, 40).map((time, k) => [time, ticks[k], lots[k], sides[k]]);
    const make = () => { const li = el("li"); li.append(el("span"), el("span"), el("span")); return li; };
    fillTable($("tape"), rows, make, (li, [time, tick, lot, side]) => {
      setText(li.children[0], clock(time));
      setText(li.children[1], `${side > 0 ? "▲" : "▼"} ${price(symbol, tick)}`);
      setText(li.children[2], compact(quantity(symbol, lot), symbol.qty_exp));
      setClass(li.children[1], side > 0 ? "up" : "down");
    });
    const features = Object.entries(this.detail.features).filter(([name]) => name !== "mid" && name !== "microprice");
    const list = $("features");
    while (list.children.length > 2 * features.length) list.lastElementChild.remove();
    while (list.children.length < 2 * features.length) list.append(el("dt"), el("dd"));
    features.forEach(([name, value], k) => {
      setText(list.children[2 * k], name.replaceAll("_", " "));
      setText(list.children[2 * k + 1], name === "warm" ? (value ? "yes" : "no") : value === null ? DASH : fixed(value, UNITS[name] ?? 3));
    });
  }

  waiting(c, w, h, text) {
    c.fillStyle = color("faint");
    c.font = MONO;
    c.textAlign = "center";
    c.fillText(text, w / 2, h / 2);
  }

  paintLadder() {
    const [c, w, h] = sized($("ladder"));
    const d = this.detail;
    if (!d || !d.bids[0].length || !d.asks[0].length) { this.waiting(c, w, h, "waiting for the book"); return; }
    const symbol = this.table.symbols.get(this.id);
    const levels = Math.min(25, Math.floor((h - 22) / 22));
    const step = Math.min(16, (h - 20) / (2 * levels));
    const asks = d.asks[0].slice(0, levels).map((p, k) => [p, quantity(symbol, d.asks[1][k])]);
    const bids = d.bids[0].slice(0, levels).map((p, k) => [p, quantity(symbol, d.bids[1][k])]);
    const sizes = [...asks, ...bids].map((l) => l[1]).sort((a, b) => a - b);
    const wall = 5 * (sizes[sizes.length >> 1] || Infinity);
    const biggest = sizes.at(-1) || 1;
    c.font = step < 11 ? "9.5px ui-monospace, monospace" : MONO;
    c.textBaseline = "middle";
    const middle = h / 2;
    const marks = this.marks(symbol);
    const row = ([p, q], y, up) => {
      const share = Math.sqrt(q / biggest);
      c.fillStyle = q >= wall ? (up ? "#35d09366" : "#ff647866") : up ? "#35d09326" : "#ff647826";
      c.fillRect(w - 8 - (w - 92) * share, y - step / 2 + 0.5, (w - 92) * share, step - 1);
      c.textAlign = "left";
      c.fillStyle = up ? color("up") : color("down");
      c.fillText(price(symbol, p), 8, y);
      c.textAlign = "right";
      c.fillStyle = q >= wall ? "#fff" : "#aab7c7";
      c.fillText(compact(q, symbol.qty_exp), w - 10, y);
      for (const [tick, name, tint] of marks) if (tick === p) { c.fillStyle = tint; c.fillText(`◂ ${name}`, w - 62, y); }
    };
    asks.forEach((l, k) => row(l, middle - 10 - step * (k + 0.5), false));
    bids.forEach((l, k) => row(l, middle + 10 + step * (k + 0.5), true));
    c.fillStyle = color("raised");
    c.fillRect(0, middle - 9, w, 18);
    const spread = asks[0][0] - bids[0][0];
    const mid = (asks[0][0] + bids[0][0]) / 2;
    c.fillStyle = spread > 0 ? color("dim") : color("down");
    c.textAlign = "center";
    c.font = MONO;
    c.fillText(spread > 0 ? `spread ${spread} ${spread === 1 ? "tick" : "ticks"} · ${((1e4 * spread) / mid).toFixed(2)} bps` : "CROSSED", w / 2, middle + 0.5);
  }

  /** Entry, stop and target of an open position, in ticks. */
  marks(symbol) {
    const p = this.position;
    if (!p) return [];
    const ticks = (v) => Math.round((Number(v) * 10 ** symbol.price_exp) / symbol.tick_mant);
    return [[p.entry_price, "entry", color("info")], [p.stop_price, "stop", color("down")], [p.target_price, "target", color("up")]]
      .filter(([v]) => v !== null).map(([v, name, tint]) => [ticks(v), name, tint]);
  }

  paintCandles() {
    const [c, w, h] = sized($("candles"));
    const d = this.detail;
    if (!d || !d.candles[0].length) { this.waiting(c, w, h, "waiting for candles"); return; }
    const symbol = this.table.symbols.get(this.id);
    const [start, open, high, low, close, , delta] = d.candles;
    const marks = this.marks(symbol);
    const right = 68;
    const top = 6;
    const split = h * 0.76;
    let hi = Math.max(...high.filter(Boolean));
    let lo = Math.min(...low.filter(Boolean));
    const span = Math.max(1, hi - lo);
    for (const [tick] of marks) if (Math.abs(tick - close.at(-1)) < 3 * span) { hi = Math.max(hi, tick); lo = Math.min(lo, tick); }
    const pad = Math.max(1, (hi - lo) * 0.05);
    const y = (tick) => top + (split - top - 6) * (1 - (tick - lo + pad) / (hi - lo + 2 * pad));
    const step = (w - right - 8) / 60;
    const at = (k) => 8 + step * (60 - start.length + k + 0.5);
    c.font = "10px ui-monospace, monospace";
    c.textBaseline = "middle";
    c.textAlign = "left";
    for (let k = 0; k <= 4; k += 1) {
      const tick = Math.round(lo + ((hi - lo) * k) / 4);
      c.strokeStyle = color("line");
      c.beginPath();
      c.moveTo(4, y(tick));
      c.lineTo(w - right, y(tick));
      c.stroke();
      c.fillStyle = color("faint");
      c.fillText(price(symbol, tick), w - right + 4, y(tick));
    }
    const peak = Math.max(1, ...delta.map(Math.abs));
    const base = (split + h - 14) / 2;
    const reach = (h - 14 - split) / 2 - 2;
    start.forEach((_, k) => {
      const up = close[k] >= open[k];
      c.fillStyle = c.strokeStyle = up ? color("up") : color("down");
      const wick = at(k);
      c.lineWidth = 1;
      c.beginPath();
      c.moveTo(wick, y(high[k]));
      c.lineTo(wick, y(low[k]));
      c.stroke();
      const body = Math.max(1, Math.abs(y(open[k]) - y(close[k])));
      c.fillRect(wick - step * 0.36, Math.min(y(open[k]), y(close[k])), step * 0.72, body);
      const size = (Math.abs(delta[k]) / peak) * reach;
      c.fillStyle = delta[k] >= 0 ? "#35d093bb" : "#ff6478bb";
      c.fillRect(wick - step * 0.36, delta[k] >= 0 ? base - size : base, step * 0.72, Math.max(delta[k] ? 1 : 0, size));
    });
    c.strokeStyle = color("line-2");
    c.beginPath();
    c.moveTo(4, base);
    c.lineTo(w - right, base);
    c.stroke();
    c.fillStyle = color("faint");
    c.fillText("delta", w - right + 4, base);
    c.textAlign = "center";
    for (let k = start.length - 1; k >= 0; k -= w < 500 ? 20 : 15) c.fillText(clock(start[k]), Math.max(28, at(k) - (k === start.length - 1 ? 20 : 0)), h - 6);
    for (const [tick, name, tint] of marks) {
      if (tick < lo - pad || tick > hi + pad) continue;
      c.strokeStyle = c.fillStyle = tint;
      c.setLineDash([4, 3]);
      c.beginPath();
      c.moveTo(4, y(tick));
      c.lineTo(w - right, y(tick));
      c.stroke();
      c.setLineDash([]);
      c.textAlign = "left";
      c.fillText(name, 6, y(tick) - 6);
    }
    const last = close.at(-1);
    c.fillStyle = color("info");
    c.fillRect(w - right, y(last) - 7, right, 14);
    c.fillStyle = "#06121f";
    c.textAlign = "left";
    c.fillText(price(symbol, last), w - right + 4, y(last));
  }
}
