// The order book of one symbol as a ladder: sizes as bars, walls with size, age and fate, our own prices marked.
import { $, cells, color, fillTable, MONO, setClass, setText, sized, waiting } from "./dom.js";
import { age, compact, DASH, fixed, lower, plural, price, quantity } from "./format.js";

const LEVELS = 25;

/** Walls of a detail frame by price in ticks: {ticks, lots, age_s, x, fate, up}. */
export function wallsOf(detail) {
  const { bids = [], asks = [] } = detail?.walls ?? {};
  return [...asks.map((w) => ({ ...w, up: false })), ...bids.map((w) => ({ ...w, up: true }))];
}

export function paintLadder(canvas, detail, symbol, marks) {
  const [c, w, h] = sized(canvas);
  if (!detail || !detail.bids[0].length || !detail.asks[0].length) { waiting(c, w, h, "waiting for the book"); return; }
  const levels = Math.min(LEVELS, Math.floor((h - 22) / 22));
  const step = Math.min(16, (h - 20) / (2 * levels));
  const side = ([ticks, lots]) => ticks.slice(0, levels).map((p, k) => [p, quantity(symbol, lots[k])]);
  const asks = side(detail.asks);
  const bids = side(detail.bids);
  const biggest = Math.max(1e-12, ...asks.map((l) => l[1]), ...bids.map((l) => l[1]));
  const walls = new Map(wallsOf(detail).map((wall) => [wall.ticks, wall]));
  const middle = h / 2;
  c.font = step < 11 ? "9.5px ui-monospace, monospace" : MONO;
  c.textBaseline = "middle";
  const row = ([p, q], y, up) => {
    const wall = walls.get(p);
    const share = Math.sqrt(q / biggest);
    c.fillStyle = wall ? (up ? "#35d09370" : "#ff647870") : up ? "#35d09326" : "#ff647826";
    c.fillRect(w - 8 - (w - 92) * share, y - step / 2 + 0.5, (w - 92) * share, step - 1);
    if (wall) {
      c.strokeStyle = up ? color("up") : color("down");
      c.strokeRect(w - 8 - (w - 92) * share + 0.5, y - step / 2 + 1, (w - 92) * share - 1, step - 2);
    }
    c.textAlign = "left";
    c.fillStyle = up ? color("up") : color("down");
    c.fillText(price(symbol, p), 8, y);
    c.textAlign = "right";
    c.fillStyle = wall ? "#fff" : "#aab7c7";
    c.fillText(compact(q, symbol.qty_exp), w - 10, y);
    if (wall) {
      c.fillStyle = color("warn");
      c.fillText(`▮ ${wall.x.toFixed(wall.x < 10 ? 1 : 0)}× ${age(wall.age_s * 1000)}`, w - 62, y);
    }
    for (const [tick, name, tint] of marks) if (tick === p) { c.fillStyle = tint; c.fillText(`◂ ${name}`, w - (wall ? 140 : 62), y); }
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
  c.fillText(spread > 0 ? `spread ${plural(spread, "tick")} · ${((1e4 * spread) / mid).toFixed(2)} bps` : "CROSSED", w / 2, middle + 0.5);
}

/** The same walls as a table: readable without the picture, nearest the touch first on each side. */
export function paintWalls(detail, symbol) {
  const walls = wallsOf(detail);
  $("walls-none").hidden = walls.length > 0 || !detail;
  $("walls-body").closest("table").hidden = walls.length === 0;
  const mid = detail?.bids[0].length && detail?.asks[0].length ? (detail.bids[0][0] + detail.asks[0][0]) / 2 : null;
  fillTable($("walls-body"), walls, cells(5), (tr, wall) => {
    const [where, size, times, old, fate] = tr.children;
    setText(where, `${wall.up ? "▲ bid" : "▼ ask"} ${price(symbol, wall.ticks)}`);
    setClass(where, wall.up ? "up" : "down");
    where.title = mid === null ? "" : `${((1e4 * Math.abs(wall.ticks - mid)) / mid).toFixed(1)} bps from the mid`;
    setText(size, compact(quantity(symbol, wall.lots), symbol.qty_exp));
    setText(times, fixed(wall.x, 1));
    setText(old, age(wall.age_s * 1000));
    setText(fate, wall.fate ? lower(wall.fate) : DASH);
    setClass(fate, /spoof|pull/i.test(wall.fate ?? "") ? "warn" : "");
  });
}
