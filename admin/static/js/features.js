// Features in groups, each against its threshold: the verdict is a sign and a word, never a colour alone.
import { el, setClass, setText } from "./dom.js";
import { compact, DASH, fixed, price, signed } from "./format.js";

const DIGITS = { bps: 2, "%": 3, x: 2, "1/s": 1, s: 0, trades: 0, "0..1": 3, "0..100": 0 };

/** A feature value in its unit; ticks become a price. */
export function featureText(value, unit, symbol) {
  if (value === null || value === undefined) return DASH;
  if (unit === "0/1" || unit === "bool") return value ? "yes" : "no";
  if (unit === "price") return fixed(value, symbol?.price_exp ?? 4);
  if (unit === "ticks") return symbol ? price(symbol, value) : fixed(value, 1);
  if (unit === "-1..1" || unit === "sign") return signed(value, 3);
  if (unit === "USDT" || unit === "coin") return `${value < 0 ? "−" : ""}${compact(Math.abs(value), Math.abs(value) < 10 ? 4 : 2)}`;
  if (unit === "%" || unit === "bps") return signed(value, DIGITS[unit]);
  const size = Math.abs(value);
  return fixed(value, DIGITS[unit] ?? (size === 0 || size >= 100 ? 0 : size >= 1 ? 2 : 6));
}

const shownUnit = (unit) => (["bps", "%", "x", "1/s", "s", "USDT", "coin"].includes(unit) ? unit : "");
const SIGN = { ">=": "≥", "<=": "≤", "==": "=", "!=": "≠" };

const PRICES = new Set(["mark", "index"]); // in USDT, but off the tick grid: shown like prices

function limitText(threshold, unit, symbol) {
  const limit = featureText(threshold.value, unit, symbol);
  return unit === "0/1" ? limit : `${SIGN[threshold.op] ?? threshold.op} ${limit}`;
}

export class Features {
  constructor(node, note = null) {
    this.node = node;
    this.note = note;
    this.rows = new Map();
    this.groups = new Map();
  }

  rowOf({ name, meaning, group }) {
    if (!this.rows.has(name)) {
      if (!this.groups.has(group)) {
        const box = el("section", "feature-group");
        const list = el("dl");
        box.append(el("h4", "", group), list);
        this.node.append(box);
        this.groups.set(group, list);
      }
      const row = el("div", "feature");
      const term = el("dt", "", name.replaceAll("_", " "));
      term.title = meaning ?? "";
      row.append(term, el("dd", "value"), el("dd", "limit"));
      row.dataset.name = name;
      this.groups.get(group).append(row);
      this.rows.set(name, row);
    }
    return this.rows.get(name);
  }

  /** `features`: [{name, unit, meaning, group, value, threshold?: {op, value, ok}}]. */
  paint(features, symbol) {
    let known = 0;
    let failed = 0;
    for (const f of features) {
      const row = this.rowOf(f);
      const [, value, limit] = row.children;
      const text = featureText(f.value, PRICES.has(f.name) ? "price" : f.unit, symbol);
      const unit = shownUnit(f.unit);
      setText(value, unit && text !== DASH ? `${text} ${unit}` : text);
      if (f.value !== null && f.value !== undefined) known += 1;
      const t = f.threshold;
      setText(limit, t ? `${t.ok ? "✓" : "✗"} ${limitText(t, f.unit, symbol)}` : "");
      setClass(limit, `limit ${t ? (t.ok ? "ok" : "failed") : ""}`);
      if (t && limit.toldOk !== t.ok) {
        limit.toldOk = t.ok;
        limit.title = t.ok ? "holds" : "does not hold";
        limit.setAttribute("aria-label", `${t.ok ? "holds" : "does not hold"}: ${limitText(t, f.unit, symbol)}`);
      }
      if (t && !t.ok) failed += 1;
    }
    if (this.note) setText(this.note, `${known} of ${features.length} known${failed ? ` · ${failed} ✗` : ""}`);
  }
}
