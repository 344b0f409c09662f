// The table of all symbols: virtualised rows, filter, sort; the order stands still under the pointer and under the focus.
import { COLUMNS, STALE_MS } from "./columns.js";
import { $, el, setClass, setText } from "./dom.js";
import { parseFilter } from "./filter.js";
import { fixed, lower, plural } from "./format.js";

const SPARE = 6;
const ROW_HEIGHT = { wide: 21, touch: 30, card: 46 };
const LIVE = new Set(["ORDER_PLACED", "IN_POSITION", "MANAGING"]);
const natural = (name) => name !== "symbol"; // names sort upwards first, numbers downwards

export class HotList {
  constructor(table, onOpen) {
    this.table = table;
    this.onOpen = onOpen;
    this.order = [];
    this.pool = [];
    this.sort = { column: null, down: true }; // null: by activity
    this.exact = { category: "", state: "", regime: "" };
    this.filterLine = "";
    this.pointerInside = false;
    this.focusInside = false;
    this.held = false;
    this.chosen = -1;
    this.pointed = -1;
    this.gates = {};
    this.sortedAt = 0;
    this.version = -1;
    this.dirty = true;
    this.top = 0; // scroll position and height of the view: kept, because asking for them lays the page out
    this.height = 0;
    this.view = $("grid-view");
    this.space = $("grid-space");
    this.makeHead();
    this.watch();
    this.measure();
  }

  /** Words of the server: reasons of gates, and the values the three lists can filter by. */
  describe({ gates, enums }) {
    this.gates = gates;
    for (const name of Object.keys(this.exact)) {
      const list = $(`filter-${name}`);
      while (list.options.length > 1) list.lastElementChild.remove();
      for (const value of enums[name]) {
        const option = el("option", "", lower(value));
        option.value = value;
        list.append(option);
      }
      list.value = this.exact[name];
    }
  }

  watch() {
    this.view.addEventListener("scroll", () => { this.top = this.view.scrollTop; this.paint(); }, { passive: true });
    new ResizeObserver(() => { this.measure(); this.paint(); }).observe(this.view);
    const grid = $("grid");
    grid.addEventListener("pointerenter", (e) => { this.pointerInside = e.pointerType === "mouse"; this.showFrozen(); });
    grid.addEventListener("pointerleave", () => { this.pointerInside = false; this.point(-1); this.showFrozen(); });
    grid.addEventListener("pointermove", (e) => this.point(e.target.closest(".view .row")?.symbolId ?? -1));
    grid.addEventListener("focus", () => {
      this.focusInside = grid.matches(":focus-visible");
      if (this.focusInside && !this.order.includes(this.chosen) && this.order.length) this.choose(this.order[0]);
      this.showFrozen();
    });
    grid.addEventListener("blur", () => { this.focusInside = false; this.showFrozen(); });
    this.view.addEventListener("click", (e) => {
      const row = e.target.closest(".row");
      if (row) { this.choose(row.symbolId); this.onOpen(row.symbolId); }
    });
    const refilter = (e) => this.setFilter(e.target.value);
    for (const kind of ["input", "change"]) $("filter").addEventListener(kind, refilter);
    for (const name of Object.keys(this.exact)) $(`filter-${name}`).addEventListener("change", (e) => { this.exact[name] = e.target.value; this.filtered(); });
    $("filter-clear").addEventListener("click", () => {
      for (const name of Object.keys(this.exact)) $(`filter-${name}`).value = this.exact[name] = "";
      this.setFilter("");
      $("filter").focus();
    });
  }

  setFilter(line) {
    if ($("filter").value !== line) $("filter").value = line;
    if (line === this.filterLine && line) return;
    this.filterLine = line;
    this.filtered();
  }

  filtered() {
    $("filter-clear").hidden = !this.filterLine && !Object.values(this.exact).some(Boolean);
    this.scroll(0);
    this.arrange(true);
  }

  makeHead() {
    const list = $("sort");
    list.append(el("option", "", "sort: activity"));
    for (const { name, label, meaning, place } of COLUMNS) {
      const cell = el("div", `c-${name}`);
      cell.setAttribute("role", "columnheader");
      const button = el("button", place ?? "", label);
      button.type = "button";
      button.title = meaning ?? label;
      button.setAttribute("aria-label", `sort by ${meaning ?? label}`);
      button.addEventListener("click", () => this.sortBy(name));
      cell.append(button);
      $("grid-head").append(cell);
      const option = el("option", "", `sort: ${label}`);
      option.value = name;
      list.append(option);
    }
    list.addEventListener("change", () => this.sortBy(list.value, true));
  }

  /** Downwards, upwards, then by activity again; `fresh` starts anew. */
  sortBy(name, fresh = false) {
    const column = COLUMNS.find((c) => c.name === name);
    const down = natural(name);
    if (!column) this.sort = { column: null, down: true };
    else if (fresh || this.sort.column !== name) this.sort = { column: name, down, value: column.value };
    else this.sort = this.sort.down === down ? { ...this.sort, down: !down } : { column: null, down: true };
    COLUMNS.forEach((c, k) => {
      const cell = $("grid-head").children[k];
      if (c.name !== this.sort.column) cell.removeAttribute("aria-sort");
      else cell.setAttribute("aria-sort", this.sort.down ? "descending" : "ascending");
    });
    $("sort").value = this.sort.column ?? $("sort").options[0].value;
    this.arrange(true);
  }

  measure() {
    const width = document.documentElement.clientWidth;
    this.rowHeight = width <= 600 ? ROW_HEIGHT.card : width <= 1000 ? ROW_HEIGHT.touch : ROW_HEIGHT.wide;
    this.space.style.height = `${this.order.length * this.rowHeight}px`;
    this.height = this.view.clientHeight;
    const wanted = Math.ceil(this.height / this.rowHeight) + SPARE;
    while (this.pool.length < wanted) this.pool.push(this.makeRow());
    this.dirty = true;
  }

  makeRow() {
    const row = el("div", "row");
    row.setAttribute("role", "row");
    row.symbolId = -1;
    row.hidden = true;
    for (const { name, parts } of COLUMNS) {
      const cell = el("div", `c-${name}`);
      cell.base = `c-${name}`;
      cell.setAttribute("role", "gridcell");
      if (parts === "bar") cell.append(el("i"));
      if (parts === "pair") {
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
    return this.pointerInside || this.focusInside || this.held;
  }

  showFrozen() {
    const why = this.held ? "order frozen · f releases" : this.focusInside ? "order frozen · Esc releases" : "order frozen";
    $("hot-frozen").hidden = !this.frozen;
    setText($("hot-frozen"), why);
    if (!this.frozen) this.arrange();
    this.read();
  }

  hold() {
    this.held = !this.held;
    this.showFrozen();
  }

  /** Recompute which rows are shown and in which order: at most once a second, never while the order is frozen. */
  arrange(force = false) {
    const now = performance.now();
    const t = this.table;
    const rowsChanged = this.version !== t.version && t.ids.length !== this.total;
    if (!force && !rowsChanged && (this.frozen || now - this.sortedAt < 1000)) return;
    this.sortedAt = now;
    this.version = t.version;
    this.total = t.ids.length;
    const keep = parseFilter(this.filterLine, this.exact, t);
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
    if (ids.length !== this.order.length) this.space.style.height = `${ids.length * this.rowHeight}px`;
    this.order = ids;
    $("grid").setAttribute("aria-rowcount", String(ids.length));
    setText($("hot-count"), ids.length === t.ids.length ? plural(ids.length, "symbol") : `${ids.length} of ${t.ids.length}`);
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
    const first = Math.max(0, Math.floor(this.top / this.rowHeight) - SPARE / 2);
    const n = this.pool.length;
    let active = null;
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
      if (row.symbolId !== id) {
        row.symbolId = id;
        row.id = `row-${id}`;
      }
      if (id === this.chosen) active = row.id;
      this.paintRow(row, id);
    }
    this.dirty = false;
    if (this.active !== active) {
      this.active = active;
      if (active) $("grid").setAttribute("aria-activedescendant", active);
      else $("grid").removeAttribute("aria-activedescendant");
    }
    this.read();
  }

  paintRow(row, id) {
    const t = this.table;
    COLUMNS.forEach(({ paint }, k) => paint(row.children[k], t, id));
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

  point(id) {
    if (this.pointed === id) return;
    this.pointed = id;
    this.read();
  }

  /** The line under the list: why the pointed or focused symbol does not trade, in words. */
  read() {
    const t = this.table;
    const id = this.pointed >= 0 ? this.pointed : this.focusInside ? this.chosen : -1;
    if (id < 0 || !t.symbols.has(id)) {
      setText($("reader"), "Point at a row, or walk the list with j and k, to read why it does not trade.");
      setClass($("reader"), "reader dim");
      return;
    }
    const gate = t.word("gate", t.byte("codes", id, 3));
    const state = lower(t.word("state", t.byte("codes", id, 0)));
    const scores = `L ${fixed(t.value("long", id), 0)} · S ${fixed(t.value("short", id), 0)}`;
    const figures = this.figures(gate, id);
    const reason = gate === "NONE" ? "nothing blocks it" : `blocked by ${lower(gate)}: ${this.gates[gate] ?? lower(gate)}${figures && ` (${figures})`}`;
    setText($("reader"), `${t.symbols.get(id).name} · ${state} · ${scores} · ${reason}`);
    setClass($("reader"), "reader");
  }

  scroll(top) {
    this.view.scrollTop = top;
    this.top = this.view.scrollTop;
  }

  /** The figures behind a gate, as far as the table knows them. */
  figures(gate, id) {
    const t = this.table;
    const best = () => fixed(Math.max(t.value("long", id), t.value("short", id)), 1);
    return {
      SCORE_WATCH: () => `${best()} of ${fixed(t.value("watch", id), 1)}`, SCORE_ARM: () => `${best()} of ${fixed(t.value("arm", id), 1)}`,
      REGIME: () => lower(t.word("regime", t.byte("codes", id, 1))), DATA: () => lower(t.word("data_state", t.byte("marks", id, 1))),
      SPREAD: () => `${fixed(t.value("spread", id), 2)} bps`, NEWS: () => `impact ${fixed(t.value("news", id), 0)}`,
    }[gate]?.() ?? "";
  }

  choose(id) {
    this.chosen = id;
    this.paint();
  }

  /** Move the chosen row by `step` (infinite: to an end), keep it in view, and give the list the focus. */
  move(step) {
    if (!this.order.length) return;
    const at = this.order.indexOf(this.chosen); // before the focus, which chooses a row where none is
    if (document.activeElement !== $("grid")) $("grid").focus({ preventScroll: true, focusVisible: true });
    this.focusInside = true;
    const next = Math.min(this.order.length - 1, Math.max(0, at < 0 && Number.isFinite(step) ? 0 : at + step));
    const top = next * this.rowHeight;
    if (top < this.top) this.scroll(top);
    if (top + this.rowHeight > this.top + this.height) this.scroll(top + this.rowHeight - this.height);
    this.choose(this.order[next]);
    this.showFrozen();
  }

  page(direction) {
    this.move(direction * Math.max(1, Math.floor(this.height / this.rowHeight) - 1));
  }
}
