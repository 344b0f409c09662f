// Micro-candles of one symbol with delta bars and the CVD of the shown window, event markers and our own prices.
import { color, sized, waiting } from "./dom.js";
import { clock, compact, price, quantity } from "./format.js";

const SLOTS = 60;
const RIGHT = 68;
const LEFT = 8;
const FONT = "10px ui-monospace, monospace";
/** Marks of events on the time axis by kind, and of changes of state by the state they led to: sign and colour. */
const MARKERS = {
  SIGNAL: ["◆", "info"], FILL: ["●", "text"], RISK: ["○", "dim"], PUMP: ["P", "violet"], SPOOF: ["S", "warn"], WALL: ["W", "cyan"],
  NEWS: ["N", "warn"], LIQUIDATION: ["L", "down"], ARMED_LONG: ["△", "up"], ARMED_SHORT: ["▽", "down"], EXITED: ["✕", "info"],
};
const markerOf = (e) => MARKERS[e.to ?? e.kind];

export class Candles {
  constructor(canvas) {
    this.canvas = canvas;
    this.hover = -1;
    this.repaint = () => {};
    canvas.addEventListener("pointermove", (e) => this.point(e.offsetX));
    canvas.addEventListener("pointerleave", () => this.point(null));
  }

  point(x) {
    const width = (this.canvas.clientWidth - RIGHT - LEFT) / SLOTS;
    const place = x === null ? -1 : Math.floor((x - LEFT) / width);
    if (place !== this.hover) { this.hover = place; this.repaint(); }
  }

  /** `series`: [start ms, open, high, low, close, volume, delta]; `marks`: {lines: [ticks, name, colour], zone: [ticks, ticks]}. */
  paint(series, seconds, symbol, marks, events) {
    this.repaint = () => this.paint(series, seconds, symbol, marks, events);
    const [c, w, h] = sized(this.canvas);
    if (!series || !series[0].length) { waiting(c, w, h, "waiting for candles"); return; }
    const [start, open, high, low, close, volume, delta] = series;
    const cvd = [];
    delta.reduce((sum, v, k) => (cvd[k] = sum + v), 0);
    const top = 30;
    const split = h * 0.66;
    const lower = h * 0.83;
    let hi = Math.max(...high);
    let lo = Math.min(...low);
    const span = Math.max(1, hi - lo);
    for (const [tick] of marks.lines) if (Math.abs(tick - close.at(-1)) < 3 * span) { hi = Math.max(hi, tick); lo = Math.min(lo, tick); }
    const pad = Math.max(1, (hi - lo) * 0.05);
    const y = (tick) => top + (split - top - 6) * (1 - (tick - lo + pad) / (hi - lo + 2 * pad));
    const step = (w - RIGHT - LEFT) / SLOTS;
    const slot = (k) => SLOTS - start.length + k;
    const at = (k) => LEFT + step * (slot(k) + 0.5);
    c.font = FONT;
    c.textBaseline = "middle";
    this.grid(c, w, y, lo, hi, symbol);
    const chosen = start.findIndex((_, k) => slot(k) === this.hover);
    this.zone(c, w, y, marks.zone, lo - pad, hi + pad);
    if (chosen >= 0) { c.fillStyle = "#ffffff10"; c.fillRect(at(chosen) - step / 2, top - 12, step, h - top - 2); }
    start.forEach((_, k) => this.candle(c, at(k), step, y, [open[k], high[k], low[k], close[k]]));
    this.bars(c, w, delta, split, lower, at, step);
    this.line(c, w, cvd, lower, h - 14, at);
    c.fillStyle = color("faint");
    c.textAlign = "center";
    for (let k = start.length - 1; k >= 0; k -= w < 500 ? 20 : 15) c.fillText(clock(start[k]), Math.max(28, at(k) - (k === start.length - 1 ? 20 : 0)), h - 6);
    this.prices(c, w, y, marks.lines, lo - pad, hi + pad);
    this.markers(c, events, start, seconds, at, top);
    const last = close.at(-1);
    c.fillStyle = color("info");
    c.fillRect(w - RIGHT, y(last) - 7, RIGHT, 14);
    c.fillStyle = "#06121f";
    c.textAlign = "left";
    c.fillText(price(symbol, last), w - RIGHT + 4, y(last));
    const k = chosen >= 0 ? chosen : start.length - 1;
    const coins = (lots) => `${lots < 0 ? "−" : lots > 0 ? "+" : ""}${compact(quantity(symbol, Math.abs(lots)), symbol.qty_exp)}`;
    const told = events.filter((e) => markerOf(e) && Math.floor(e.ts / 1000 / seconds) === Math.floor(start[k] / 1000 / seconds));
    c.fillStyle = color("dim");
    c.fillText(`${clock(start[k])}  O ${price(symbol, open[k])}  H ${price(symbol, high[k])}  L ${price(symbol, low[k])}  C ${price(symbol, close[k])}`, LEFT, 8);
    c.fillText(`V ${compact(quantity(symbol, volume[k]), symbol.qty_exp)}  Δ ${coins(delta[k])}  CVD ${coins(cvd[k])}${told.length ? `  ${told[0].kind.toLowerCase()}: ${told[0].text}` : ""}`, LEFT, 20);
  }

  grid(c, w, y, lo, hi, symbol) {
    c.textAlign = "left";
    c.lineWidth = 1;
    for (let k = 0; k <= 4; k += 1) {
      const tick = Math.round(lo + ((hi - lo) * k) / 4);
      c.strokeStyle = color("line");
      c.beginPath();
      c.moveTo(4, y(tick));
      c.lineTo(w - RIGHT, y(tick));
      c.stroke();
      c.fillStyle = color("faint");
      c.fillText(price(symbol, tick), w - RIGHT + 4, y(tick));
    }
  }

  candle(c, x, step, y, [open, high, low, close]) {
    const up = close >= open;
    c.fillStyle = c.strokeStyle = up ? color("up") : color("down");
    c.beginPath();
    c.moveTo(x, y(high));
    c.lineTo(x, y(low));
    c.stroke();
    const top = Math.min(y(open), y(close));
    const height = Math.max(1, Math.abs(y(open) - y(close)));
    if (up && height > 3) { // rising bodies are hollow: told without colour too
      c.fillStyle = color("panel");
      c.fillRect(x - step * 0.36, top, step * 0.72, height);
      c.strokeRect(x - step * 0.36 + 0.5, top + 0.5, step * 0.72 - 1, height - 1);
    } else c.fillRect(x - step * 0.36, top, step * 0.72, height);
  }

  bars(c, w, delta, top, bottom, at, step) {
    const base = (top + bottom) / 2;
    const peak = Math.max(1, ...delta.map(Math.abs));
    const reach = (bottom - top) / 2 - 2;
    delta.forEach((v, k) => {
      const size = (Math.abs(v) / peak) * reach;
      c.fillStyle = v >= 0 ? "#35d093bb" : "#ff6478bb";
      c.fillRect(at(k) - step * 0.36, v >= 0 ? base - size : base, step * 0.72, Math.max(v ? 1 : 0, size));
    });
    this.base(c, w, base, "delta");
  }

  line(c, w, values, top, bottom, at) {
    const hi = Math.max(0, ...values);
    const lo = Math.min(0, ...values);
    const y = (v) => bottom - 3 - ((v - lo) / Math.max(1, hi - lo)) * (bottom - top - 6);
    this.base(c, w, y(0), "CVD");
    c.strokeStyle = color("violet");
    c.lineWidth = 1.4;
    c.beginPath();
    values.forEach((v, k) => c[k ? "lineTo" : "moveTo"](at(k), y(v)));
    c.stroke();
    c.lineWidth = 1;
  }

  base(c, w, y, name) {
    c.strokeStyle = color("line-2");
    c.beginPath();
    c.moveTo(4, y);
    c.lineTo(w - RIGHT, y);
    c.stroke();
    c.fillStyle = color("faint");
    c.textAlign = "left";
    c.fillText(name, w - RIGHT + 4, y);
  }

  /** The entry zone of a plan as a band. */
  zone(c, w, y, zone, lo, hi) {
    if (!zone || zone[1] < lo || zone[0] > hi) return;
    const [bottom, top] = [y(Math.max(lo, zone[0])), y(Math.min(hi, zone[1]))];
    c.fillStyle = "#4fd6e31f";
    c.fillRect(4, top, w - RIGHT - 4, Math.max(2, bottom - top));
    c.fillStyle = color("cyan");
    c.textAlign = "right";
    c.fillText("zone", w - RIGHT - 4, top - 5);
    c.textAlign = "left";
  }

  prices(c, w, y, lines, lo, hi) {
    for (const [tick, name, tint] of lines) {
      if (tick < lo || tick > hi) continue;
      c.strokeStyle = c.fillStyle = tint;
      c.setLineDash([4, 3]);
      c.beginPath();
      c.moveTo(4, y(tick));
      c.lineTo(w - RIGHT, y(tick));
      c.stroke();
      c.setLineDash([]);
      c.textAlign = "left";
      c.fillText(name, 6, y(tick) - 6);
    }
  }

  markers(c, events, start, seconds, at, top) {
    c.textAlign = "center";
    const taken = new Map();
    for (const e of events) {
      const marker = markerOf(e);
      const k = marker ? start.findIndex((ms) => e.ts >= ms && e.ts < ms + seconds * 1000) : -1;
      if (k < 0 || taken.get(k)?.has(marker)) continue;
      if (!taken.has(k)) taken.set(k, new Set());
      c.fillStyle = color(marker[1]);
      c.fillText(marker[0], at(k), top + 4 + 10 * taken.get(k).size);
      taken.get(k).add(marker);
    }
  }
}
