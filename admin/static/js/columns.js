// The columns of the hot list: how a cell paints itself (only when its value changed) and by what it sorts.
import { setClass, setText } from "./dom.js";
import { age, DASH, lower, price, short, signed } from "./format.js";

export const STALE_MS = 2000;

/** A text cell that repaints when `key` changes. */
function text(key, show) {
  return (cell, t, id) => {
    const k = key(t, id);
    if (cell.key === k) return;
    cell.key = k;
    const [words, className] = show(t, id, k);
    setText(cell, words);
    setClass(cell, `${cell.base} ${className ?? ""}`);
  };
}

function number(name, format, toned = false) {
  return text((t, id) => t.raw(name, id), (t, id) => {
    const v = t.value(name, id);
    return [v === null ? DASH : format(v), v === null || v === 0 ? "faint" : toned ? (v > 0 ? "up" : "down") : ""];
  });
}

/** A 0-100 score: a dot for nothing, loud from `loud` on. */
const score = (name, loud) => text((t, id) => t.raw(name, id), (t, id, k) => {
  const v = k / 100;
  return [k ? v.toFixed(0) : "·", v >= loud ? "loud" : k ? "" : "faint"];
});

/** A word of an enum; `quiet` is what value 0 says. */
const word = (kind, column, place, quiet) => text((t, id) => t.byte(column, id, place),
  (t, id, k) => [k ? lower(t.word(kind, k)) : quiet, k ? "hot" : ""]);

function paintLast(cell, t, id) {
  const ticks = t.ticks(id);
  if (cell.key === ticks && cell.of === id) return;
  const move = cell.of === id && cell.key !== undefined ? (ticks > cell.key ? "tick-up" : "tick-down") : "";
  cell.key = ticks;
  cell.of = id;
  setText(cell, ticks ? price(t.symbols.get(id), ticks) : DASH);
  setClass(cell, `c-last ${move}`);
}

function paintImbalance(cell, t, id) {
  const raw = t.raw("imbalance", id);
  if (cell.key === raw) return;
  cell.key = raw;
  const v = t.value("imbalance", id) ?? 0;
  const bar = cell.firstChild;
  bar.style.transform = `scaleX(${v.toFixed(3)})`;
  setClass(bar, v < 0 ? "neg" : "");
  cell.title = `imbalance ${signed(v)}`;
}

/** Two numbers of the two sides, as bars behind digits. */
const pair = (names) => (cell, t, id) => {
  const key = t.raw(names[0], id) * 16384 + t.raw(names[1], id);
  if (cell.key === key) return;
  cell.key = key;
  names.forEach((name, k) => {
    const v = t.value(name, id) ?? 0;
    const box = cell.children[k];
    box.firstChild.style.transform = `scaleX(${Math.min(1, v / 100).toFixed(3)})`;
    setText(box.lastChild, v ? v.toFixed(0) : "·");
  });
};

function paintAge(cell, t, id) {
  const ms = t.ageMs(id);
  setText(cell, age(ms));
  setClass(cell, ms !== null && ms > STALE_MS ? "c-age old" : "c-age");
}

function paintState(t, id, k) {
  const name = t.word("state", k);
  return [lower(name), k ? `live ${name.endsWith("_LONG") ? "long" : name.endsWith("_SHORT") ? "short" : ""}` : ""];
}

const byte = (column, place) => (t, id) => t.byte(column, id, place);
const value = (name) => (t, id) => t.value(name, id);
const largest = (a, b) => (t, id) => Math.max(t.raw(a, id), t.raw(b, id));
const lastPrice = (t, id) => {
  const symbol = t.symbols.get(id);
  return symbol ? (t.ticks(id) * symbol.tick_mant) / 10 ** symbol.price_exp : null;
};

// name, label, meaning, place of the label, paint, value to sort by; `parts`: pieces inside the cell
export const COLUMNS = [
  { name: "symbol", label: "Symbol", place: "left", paint: text((t, id) => id, (t, id) => [t.symbols.get(id)?.name ?? `#${id}`, ""]), value: (t, id) => t.symbols.get(id)?.name ?? "" },
  { name: "cat", label: "C", meaning: "category: Prime, Normal, Wild", place: "mid", value: (t, id) => -t.byte("marks", id, 0),
    paint: text(byte("marks", 0), (t, id, k) => [t.word("category", k)[0], t.word("category", k)]) },
  { name: "last", label: "Last", meaning: "last price", paint: paintLast, value: lastPrice },
  { name: "change", label: "1m %", meaning: "change over one minute", paint: number("change", (v) => signed(v), true), value: value("change") },
  { name: "spread", label: "Sprd", meaning: "spread, basis points", paint: number("spread", (v) => (v < 100 ? v.toFixed(2) : v.toFixed(0))), value: value("spread") },
  { name: "vol", label: "Vol", meaning: "VolatilityScore 0–100", paint: score("volatility", 70), value: value("volatility") },
  { name: "delta", label: "Δ10s $", meaning: "signed aggressor value of ten seconds, USDT", paint: number("delta", short, true), value: value("delta") },
  { name: "imb", label: "Imbal", meaning: "book imbalance, −1 to 1", place: "mid", paint: paintImbalance, parts: "bar", value: value("imbalance") },
  { name: "trades", label: "Tr/s", meaning: "trades per second", paint: number("trades", (v) => (v < 100 ? v.toFixed(1) : v.toFixed(0))), value: value("trades") },
  { name: "regime", label: "Regime", meaning: "symbol regime", place: "left", paint: word("regime", "codes", 1, "normal"), value: byte("codes", 1) },
  { name: "pump", label: "Pump", meaning: "pump state", place: "left", paint: word("pump", "codes", 2, "·"), value: byte("codes", 2) },
  { name: "spoof", label: "Spf", meaning: "SpoofingScore 0–100", paint: score("spoof", 50), value: value("spoof") },
  { name: "news", label: "News", meaning: "NewsImpactScore 0–100", paint: score("news", 30), value: value("news") },
  { name: "walls", label: "Wall S·R", meaning: "WallSupportScore and WallResistanceScore, 0–100", place: "mid", paint: pair(["support", "resistance"]), parts: "pair", value: largest("support", "resistance") },
  { name: "score", label: "Long·Short", meaning: "FinalScalpScore long and short, 0–100", place: "mid", paint: pair(["long", "short"]), parts: "pair", value: largest("long", "short") },
  { name: "state", label: "State", meaning: "trade state", place: "left", paint: text(byte("codes", 0), paintState), value: byte("codes", 0) },
  { name: "gate", label: "Blocked by", meaning: "the first gate that keeps it from trading", place: "left", value: byte("codes", 3),
    paint: text(byte("codes", 3), (t, id, k) => [k ? lower(t.word("gate", k)) : "", ""]) },
  { name: "age", label: "Age", meaning: "time since its last event", paint: paintAge, value: (t, id) => -(t.ageMs(id) ?? 1e12) },
];
