// Back-pressure over the last five minutes: worst ring lag (area), p99 latency (line, log scale), DEGRADED, shed, lost, KILL.
import { $, color, sized } from "./dom.js";
import { age, clock, latency } from "./format.js";

const SPAN_MS = 300000;
const LEFT = 34; // room of the axis labels, css px
const RIGHT = 36;
const points = [];

export function setPoints(list) {
  points.length = 0;
  points.push(...list);
}

export function addPoint(point) {
  if (!point || points.at(-1)?.ts === point.ts) return;
  points.push(point);
  while (points.length > 700) points.shift();
}

const LOG_LOW = 1; // 10 µs
const LOG_HIGH = 6; // 1 s
const heightOf = (us, h) => h * (1 - (Math.min(LOG_HIGH, Math.max(LOG_LOW, Math.log10(Math.max(1, us)))) - LOG_LOW) / (LOG_HIGH - LOG_LOW));

export function paintTimeline() {
  const [c, w, full] = sized($("timeline"));
  const newest = points.at(-1)?.ts ?? Date.now();
  const [left, right] = [LEFT, RIGHT];
  const h = full - 14;
  const x = (ts) => left + (w - left - right) * (1 - (newest - ts) / SPAN_MS);
  const shown = points.filter((p) => newest - p.ts <= SPAN_MS);
  c.font = "9.5px ui-monospace, monospace";
  c.textBaseline = "middle";
  const top = Math.max(10, ...shown.map((p) => p.lag_pct));
  const scale = top <= 10 ? 10 : top <= 25 ? 25 : top <= 50 ? 50 : 100;
  for (const [k, us] of [1e1, 1e3, 1e5, 1e6].entries()) {
    const y = Math.max(6, Math.min(h - 4, heightOf(us, h)));
    c.strokeStyle = color("line");
    if (k) { c.beginPath(); c.moveTo(left, heightOf(us, h)); c.lineTo(w - right, heightOf(us, h)); c.stroke(); }
    c.fillStyle = color("violet");
    c.textAlign = "left";
    if (us !== 1e6) c.fillText(["10µs", "1ms", "100ms"][k], w - right + 3, y);
  }
  c.fillStyle = color("info");
  c.textAlign = "right";
  c.fillText(`${scale}%`, left - 4, 7);
  c.fillText("0", left - 4, h - 3);
  const one = Math.max(1.2, (w - left - right) / (SPAN_MS / 1000));
  for (const p of shown) {
    if (p.killed) { c.fillStyle = "#e5233d55"; c.fillRect(x(p.ts) - one, 0, one + 0.5, h); }
    else if (p.degraded) { c.fillStyle = "#f6bb4244"; c.fillRect(x(p.ts) - one, 0, one + 0.5, h); }
    else if (p.paused) { c.fillStyle = "#93a1b522"; c.fillRect(x(p.ts) - one, 0, one + 0.5, h); }
  }
  if (shown.length > 1) {
    c.beginPath();
    c.moveTo(x(shown[0].ts), h);
    for (const p of shown) c.lineTo(x(p.ts), h * (1 - p.lag_pct / scale));
    c.lineTo(x(newest), h);
    c.fillStyle = "#5fb0ff3a";
    c.fill();
    c.beginPath();
    for (const [k, p] of shown.entries()) c[k ? "lineTo" : "moveTo"](x(p.ts), h * (1 - p.lag_pct / scale));
    c.strokeStyle = color("info");
    c.lineWidth = 1;
    c.stroke();
    c.beginPath();
    let pen = false;
    for (const p of shown) {
      if (p.p99_us === null) { pen = false; continue; }
      c[pen ? "lineTo" : "moveTo"](x(p.ts), heightOf(p.p99_us, h));
      pen = true;
    }
    c.strokeStyle = color("violet");
    c.lineWidth = 1.4;
    c.stroke();
  }
  for (const p of shown) {
    if (p.shed) { c.fillStyle = color("warn"); c.fillRect(x(p.ts) - one / 2 - 0.5, h - 9, Math.max(2, one), 9); }
    if (p.lost) { c.fillStyle = color("down"); c.fillRect(x(p.ts) - one / 2 - 0.5, 0, Math.max(2, one), 9); }
  }
  c.strokeStyle = color("line-2");
  c.beginPath();
  c.moveTo(left, h + 0.5);
  c.lineTo(w - right, h + 0.5);
  c.stroke();
  c.fillStyle = color("faint");
  c.textAlign = "center";
  for (let back = 60000; back < SPAN_MS; back += 60000) c.fillText(`−${back / 60000}m`, x(newest - back), full - 6);
  c.textAlign = "right";
  c.fillText("now", w - right, full - 6);
}

/** What the pointer points at, as a tooltip. */
export function watchTimeline() {
  const canvas = $("timeline");
  canvas.addEventListener("pointermove", (event) => {
    const newest = points.at(-1)?.ts ?? 0;
    const width = canvas.clientWidth - LEFT - RIGHT;
    const ts = newest - SPAN_MS * (1 - (event.offsetX - LEFT) / width);
    const p = points.reduce((best, q) => (Math.abs(q.ts - ts) < Math.abs((best?.ts ?? Infinity) - ts) ? q : best), null);
    if (!p) return;
    canvas.title = `${clock(p.ts)} UTC (${age(newest - p.ts)} ago)\nworst lag ${p.lag_pct}% ${p.ring}\np99 ${latency(p.p99_us)}\n${p.events} events/s`
      + `${p.shed ? `\nshed ${p.shed}` : ""}${p.lost ? `\nlost ${p.lost}` : ""}${p.degraded ? "\nDEGRADED" : ""}${p.paused ? "\npaused" : ""}${p.killed ? "\nKILL" : ""}`;
  });
}
