// The table of all symbols: virtualised rows, filter, sort, frozen under the pointer; only changed cells are touched.
import { $, el, setClass, setText } from "./dom.js";
import { age, DASH, lower, price, short, signed } from "./format.js";

const STALE_MS = 2000;
const SPARE = 6;
const LIVE = new Set(["ORDER_PLACED", "IN_POSITION", "MANAGING"]);

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

function paintScore(cell, t, id) {
  const key = t.raw("long", id) * 16384 + t.raw("short", id);
  if (cell.key === key) return;
  cell.key = key;
  ["long", "short"].forEach((side, k) => {
    const v = t.value(side, id) ?? 0;
    const box = cell.children[k];
    box.firstChild.style.transform = `scaleX(${Math.min(1, v / 100).toFixed(3)})`;
    setText(box.lastChild, v ? v.toFixed(0) : "·");
  });
}

function paintAge(cell, t, id) {
  const ms = t.ageMs(id);
  setText(cell, age(ms));
  setClass(cell, ms !== null && ms > STALE_MS ? "c-age old" : "c-age");
}

const sideOf = (name) => (name.endsWith("_LONG") ? "long" : name.endsWith("_SHORT") ? "short" : "");

// name, label, tooltip, place of the label, paint, sort value (null: not sortable)
const COLUMNS = [
  ["symbol", "Symbol", "", "left", text((t, id) => id, (t, id) => [t.symbols.get(id)?.name ?? `#${id}`, ""]), (t, id) => t.symbols.get(id)?.name ?? ""],
  ["cat", "", "category: Prime, Normal, Wild", "mid", text((t, id) => t.byte("marks", id, 0), (t, id, k) => [t.word("category", k)[0], t.word("category", k)]), (t, id) => -t.byte("marks", id, 0)],
  ["last", "Last", "last price", "", paintLast, (t, id) => t.ticks(id) * (t.symbols.get(id)?.tick_mant ?? 0) / 10 ** (t.symbols.get(id)?.price_exp ?? 0)],
  ["spread", "Sprd", "spread, basis points", "", number("spread", (v) => (v < 100 ? v.toFixed(2) : v.toFixed(0))), (t, id) => t.value("spread", id)],
  ["change", "1m %", "change over one minute", "", number("change", (v) => signed(v), true), (t, id) => t.value("change", id)],
  ["delta", "Δ10s $", "signed aggressor value of ten seconds, USDT", "", number("delta", short, true), (t, id) => t.value("delta", id)],
  ["imb", "Imbal", "book imbalance, −1 to 1", "mid", paintImbalance, (t, id) => t.value("imbalance", id)],
  ["trades", "Tr/s", "trades per second", "", number("trades", (v) => (v < 100 ? v.toFixed(1) : v.toFixed(0))), (t, id) => t.value("trades", id)],
  ["regime", "Regime", "symbol regime", "left", text((t, id) => t.byte("codes", id, 1), (t, id, k) => [k ? lower(t.word("regime", k)) : "normal", k ? "hot" : ""]), (t, id) => t.byte("codes", id, 1)],
  ["pump", "Pump", "pump state", "left", text((t, id) => t.byte("codes", id, 2), (t, id, k) => [k ? lower(t.word("pump", k)) : "·", k ? "hot" : ""]), (t, id) => t.byte("codes", id, 2)],
  ["spoof", "Spf", "SpoofingScore 0–100", "", number("spoof", (v) => (v ? v.toFixed(0) : "·")), (t, id) => t.value("spoof", id)],
  ["score", "Long·Short", "FinalScalpScore long and short, 0–100", "mid", paintScore, (t, id) => Math.max(t.raw("long", id), t.raw("short", id))],
  ["state", "State", "trade state", "left", text((t, id) => t.byte("codes", id, 0), (t, id, k) => {
    const name = t.word("state", k);
    return [lower(name), k ? `live ${sideOf(name)}` : ""];
  }), (t, id) => t.byte("codes", id, 0)],
  ["gate", "Blocked by", "the first gate that keeps it from trading", "left", text((t, id) => t.byte("codes", id, 3), (t, id, k) => [k ? lower(t.word("gate", k)) : "", ""]), (t, id) => t.byte("codes", id, 3)],
  ["age", "Age", "since its last event", "", paintAge, (t, id) => -(t.ageMs(id) ?? 1e12)],
];

/** "btc armed score>60" -> predicate. Words match symbol, state, regime, pump, gate, category and flags. */
export function parseFilter(line, t) {
  const terms = line.trim().toLowerCase().split(/\s+/).filter(Boolean).map((term) => {
    const match = /^([a-z]+)(<=|>=|<|>|=)(-?[\d.]+)$/.exec(term);
    if (match) {
      const [, name, sign, limit] = match;
      const value = name === "score" ? (id) => Math.max(t.value("long", id), t.value("short", id))
        : name === "age" ? (id) => (t.ageMs(id) ?? Infinity) / 1000
          : t.columns[name] && t.columns[name].planes === 1 ? (id) => t.value(name, id) : null;
      if (!value) return () => false;
      const bound = Number(limit);
      const compare = { "<": (v) => v < bound, ">": (v) => v > bound, "<=": (v) => v <= bound, ">=": (v) => v >= bound, "=": (v) => v === bound }[sign];
      return (id) => { const v = value(id); return v !== null && compare(v); };
    }
    return (id) => {
      const s = t.symbols.get(id);
      const said = [s?.name, t.word("state", t.byte("codes", id, 0)), t.word("regime", t.byte("codes", id, 1)), t.word("pump", t.byte("codes", id, 2)),
        t.word("gate", t.byte("codes", id, 3)), t.word("category", t.byte("marks", id, 0)), t.word("data_state", t.byte("marks", id, 1))];
      const flags = t.byte("marks", id, 2);
      if (flags & 1) said.push("wall");
      if (flags & 2) said.push("spoof");
      if (flags & 4) said.push("news");
      return said.some((word) => word?.toLowerCase().includes(term));
    };
  });
  return (id) => terms.every((term) => term(id));
}

export class HotList {
  constructor(table, onOpen) {
    this.table = table;
    this.onOpen = onOpen;
    this.order = [];
    this.pool = [];
    this.sort = { column: null, down: true }; // null: by activity
    this.pointerInside = false;
    this.held = false;
    this.chosen = -1;
    this.sortedAt = 0;
    this.version = -1;
    this.dirty = true;
    this.view = $("grid-view");
    this.space = $("grid-space");
    this.filterLine = "";
    this.makeHead();
    this.view.addEventListener("scroll", () => this.paint(), { passive: true });
    new ResizeObserver(() => { this.measure(); this.paint(); }).observe(this.view);
    const rows = $("grid");
    rows.addEventListener("pointerenter", (e) => { this.pointerInside = e.pointerType === "mouse"; this.showFrozen(); });
    rows.addEventListener("pointerleave", () => { this.pointerInside = false; this.showFrozen(); });
    this.view.addEventListener("click", (e) => {
      const row = e.target.closest(".row");
      if (row) { this.choose(row.symbolId); this.onOpen(row.symbolId); }
    });
    const refilter = (e) => { if (e.target.value !== this.filterLine) { this.filterLine = e.target.value; this.arrange(true); } };
    for (const kind of ["input", "change"]) $("filter").addEventListener(kind, refilter);
    this.measure();
  }

  makeHead() {
    for (const [name, label, tip, place, , sortValue] of COLUMNS) {
      const cell = el("div", `c-${name}`);
      cell.setAttribute("role", "columnheader");
      const button = el("button", place, label);
      button.type = "button";
      button.title = tip || label;
      button.setAttribute("aria-label", `sort by ${tip || label}`);
      button.addEventListener("click", () => {
        this.sort = this.sort.column !== name ? { column: name, down: name !== "symbol", value: sortValue }
          : this.sort.down === (name !== "symbol") ? { ...this.sort, down: !this.sort.down } : { column: null, down: true };
        for (const other of $("grid-head").children) other.removeAttribute("aria-sort");
        if (this.sort.column) cell.setAttribute("aria-sort", this.sort.down ? "descending" : "ascending");
        this.arrange(true);
      });
      cell.append(button);
      $("grid-head").append(cell);
    }
  }

  measure() {
    this.rowHeight = matchMedia("(max-width: 1000px)").matches ? 30 : 21;
    const wanted = Math.ceil(this.view.clientHeight / this.rowHeight) + SPARE;
    while (this.pool.length < wanted) this.pool.push(this.makeRow());
    this.dirty = true;
  }

  makeRow() {
    const row = el("div", "row");
    row.setAttribute("role", "row");
    row.symbolId = -1;
    row.hidden = true;
    for (const [name] of COLUMNS) {
      const cell = el("div", `c-${name}`);
      cell.base = `c-${name}`;
      cell.setAttribute("role", "gridcell");
      if (name === "imb") cell.append(el("i"));
      if (name === "score") {
        for (let k = 0; k < 2; k += 1) {
          const box = el("b");
          box.append(el("i"), el("span"));
          cell.append(box);
        }
      }
      row.append(cell);
    }
    this.space.append(row);
    return row;
  }

  get frozen() {
    return this.pointerInside || this.held;
  }

  showFrozen() {
    $("hot-frozen").hidden = !this.frozen;
    if (!this.frozen) this.arrange();
  }

  hold() {
    this.held = !this.held;
    this.showFrozen();
  }

  /** Recompute which rows are shown and in which order: at most once a second, never under the pointer. */
  arrange(force = false) {
    const now = performance.now();
    const t = this.table;
    const rowsChanged = this.version !== t.version && (t.ids.length !== this.total);
    if (!force && !rowsChanged && (this.frozen || now - this.sortedAt < 1000)) return;
    this.sortedAt = now;
    this.version = t.version;
    this.total = t.ids.length;
    const keep = parseFilter(this.filterLine, t);
    const ids = t.ids.filter((id) => t.symbols.has(id) && keep(id));
    const { column, down, value } = this.sort;
    const key = new Map(ids.map((id) => [id, column ? value(t, id) : this.activity(id)]));
    const sign = down ? -1 : 1;
    ids.sort((a, b) => {
      const [x, y] = [key.get(a), key.get(b)];
      if (x === y) return a - b;
      if (x === null) return 1;
      if (y === null) return -1;
      return x < y ? -sign : sign;
    });
    this.order = ids;
    this.space.style.height = `${ids.length * this.rowHeight}px`;
    $("grid").setAttribute("aria-rowcount", String(ids.length));
    setText($("hot-count"), ids.length === t.ids.length ? `${ids.length} symbols` : `${ids.length} of ${t.ids.length}`);
    this.dirty = true;
    this.paint();
  }

  activity(id) {
    const t = this.table;
    const state = t.word("state", t.byte("codes", id, 0));
    const deep = LIVE.has(state) ? 3 : state.startsWith("ARMED") ? 2 : state.startsWith("WATCHING") ? 1 : 0;
    return deep * 1e6 + Math.max(t.raw("long", id), t.raw("short", id));
  }

  /** Paint the visible rows; a row keeps its element while it scrolls, so its cells stay warm. */
  paint() {
    const t = this.table;
    if (!t.planes.length) return;
    const first = Math.max(0, Math.floor(this.view.scrollTop / this.rowHeight) - SPARE / 2);
    const n = this.pool.length;
    for (let k = 0; k < n; k += 1) {
      const at = first + ((k - (first % n)) + n) % n;
      const row = this.pool[k];
      const id = at < this.order.length ? this.order[at] : -1;
      if (id < 0) { row.hidden = true; row.symbolId = -1; row.at = -1; continue; }
      if (row.hidden) row.hidden = false;
      if (row.at !== at || this.dirty) {
        row.at = at;
        row.style.transform = `translateY(${at * this.rowHeight}px)`;
        row.setAttribute("aria-rowindex", String(at + 1));
      }
      if (row.symbolId !== id) row.symbolId = id;
      this.paintRow(row, id);
    }
    this.dirty = false;
  }

  paintRow(row, id) {
    const t = this.table;
    COLUMNS.forEach(([, , , , paint], k) => paint(row.children[k], t, id));
    const state = t.word("state", t.byte("codes", id, 0));
    const data = t.word("data_state", t.byte("marks", id, 1));
    const old = (t.ageMs(id) ?? 0) > STALE_MS;
    setClass(row, `row${LIVE.has(state) ? " open" : state.startsWith("ARMED") ? " armed" : ""}${id === this.chosen ? " chosen" : ""}`
      + `${data === "BROKEN" || data === "STALE" ? " broken" : ""}${old ? " old" : ""}`);
    if (row.chosenSet !== (id === this.chosen)) {
      row.chosenSet = id === this.chosen;
      row.setAttribute("aria-selected", String(row.chosenSet));
    }
  }

  choose(id) {
    this.chosen = id;
    this.paint();
  }

  /** Move the chosen row by `step` and keep it in view. */
  move(step) {
    const at = this.order.indexOf(this.chosen);
    const next = Math.min(this.order.length - 1, Math.max(0, at < 0 ? 0 : at + step));
    const top = next * this.rowHeight;
    if (top < this.view.scrollTop) this.view.scrollTop = top;
    if (top + this.rowHeight > this.view.scrollTop + this.view.clientHeight) this.view.scrollTop = top + this.rowHeight - this.view.clientHeight;
    if (this.order[next] !== undefined) this.choose(this.order[next]);
  }
}
