// Numbers to text: fixed decimals, signs always shown where a sign matters, a dash for what is not known.
export const DASH = "–";
const group = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

export const money = (v) => (v === null || v === undefined ? DASH : group.format(v));
export function signed(v, digits = 2) {
  if (v === null || v === undefined) return DASH;
  const size = Math.abs(v).toFixed(digits);
  return Number(size) === 0 ? size : (v > 0 ? "+" : "−") + size;
}
export const fixed = (v, digits) => (v === null || v === undefined ? DASH : v < 0 ? `−${(-v).toFixed(digits)}` : v.toFixed(digits));
export const tone = (v) => (v > 0 ? "up" : v < 0 ? "down" : "");

/** 1234567 -> 1.23M, with a sign. */
export function short(v) {
  const size = Math.abs(v);
  const sign = v < 0 ? "−" : "+";
  if (size < 1) return "0";
  if (size < 1e3) return sign + size.toFixed(0);
  if (size < 1e5) return `${sign}${(size / 1e3).toFixed(1)}k`;
  if (size < 1e6) return `${sign}${(size / 1e3).toFixed(0)}k`;
  return size < 1e9 ? `${sign}${(size / 1e6).toFixed(2)}M` : `${sign}${(size / 1e9).toFixed(2)}B`;
}

export function count(v) {
  if (v < 1e4) return String(v);
  if (v < 1e6) return `${(v / 1e3).toFixed(1)}k`;
  return v < 1e9 ? `${(v / 1e6).toFixed(2)}M` : `${(v / 1e9).toFixed(2)}G`;
}

/** Microseconds with about three figures; from 10 ms on as ms or s. */
export function micros(v) {
  if (v === null || v === undefined) return DASH;
  if (v < 10) return v.toFixed(2);
  if (v < 100) return v.toFixed(1);
  if (v < 1e4) return v.toFixed(0);
  return v < 1e6 ? `${(v / 1e3).toFixed(1)}ms` : `${(v / 1e6).toFixed(2)}s`;
}

/** The same with its unit, for the header. */
export function latency(v) {
  if (v === null || v === undefined) return DASH;
  if (v < 1e3) return `${v < 10 ? v.toFixed(1) : v.toFixed(0)} µs`;
  return v < 1e6 ? `${(v / 1e3).toFixed(v < 1e4 ? 2 : 1)} ms` : `${(v / 1e6).toFixed(2)} s`;
}

/** Age in ms as 0.2s, 12s, 4m, 2h. */
export function age(ms) {
  if (ms === null || ms < 0) return DASH;
  if (ms < 9950) return `${(ms / 1e3).toFixed(1)}s`;
  if (ms < 99.5e3) return `${Math.round(ms / 1e3)}s`;
  return ms < 5.9e6 ? `${Math.round(ms / 6e4)}m` : `${Math.round(ms / 3.6e6)}h`;
}

const two = (v) => String(v).padStart(2, "0");
export function clock(ms, withMillis = false) {
  const d = new Date(ms);
  const text = `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}`;
  return withMillis ? `${text}.${String(d.getUTCMilliseconds()).padStart(3, "0")}` : text;
}

/** Ticks of a symbol to a price text. */
export const price = (symbol, ticks) => ((ticks * symbol.tick_mant) / 10 ** symbol.price_exp).toFixed(Math.max(0, symbol.price_exp));
export const quantity = (symbol, lots) => (lots * symbol.lot_mant) / 10 ** symbol.qty_exp;
/** One trade, two trades; `shown`: the number as it is to be read. */
export const plural = (n, word, shown = n) => `${shown} ${word}${n === 1 ? "" : "s"}`;
export const lower = (name) => name.toLowerCase().replaceAll("_", " ");

/** A size of at least 0 in few characters: 12.34M, 56.7k, 890, 1.234. */
export const compact = (v, digits = 3) => (v >= 1e6 ? `${(v / 1e6).toFixed(2)}M` : v >= 1e4 ? `${(v / 1e3).toFixed(1)}k` : v.toFixed(v >= 1e3 ? 0 : Math.min(3, Math.max(0, digits))));
