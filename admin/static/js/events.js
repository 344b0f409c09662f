// The event feed: newest on top, kinds as chips, a least severity, never more than KEEP nodes.
import { $, el } from "./dom.js";
import { clock } from "./format.js";

const KEEP = 300;
const SEVERITIES = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];
/** Chips: label and the kinds behind it. */
const GROUPS = {
  trade: ["SIGNAL", "ORDER", "FILL", "POSITION"], state: ["STATE"], pump: ["PUMP", "LIQUIDATION"], spoof: ["SPOOF"], wall: ["WALL"], news: ["NEWS"],
  regime: ["REGIME", "GLOBAL_REGIME"], risk: ["RISK", "DEGRADED", "SHED", "LOST"], data: ["DATA_STATE", "FEED", "RESYNC", "LISTING"],
  system: ["CONTROL", "CONFIG", "PROCESS", "ERROR"],
};
const LABELS = { DATA_STATE: "BOOK", GLOBAL_REGIME: "GLOBAL", LIQUIDATION: "LIQ" };
const GROUP_OF = Object.fromEntries(Object.entries(GROUPS).flatMap(([group, kinds]) => kinds.map((kind) => [kind, group])));
const groupOf = (e) => GROUP_OF[e.kind] ?? "system";
const rank = (e) => SEVERITIES.indexOf(e.severity);

export class EventFeed {
  constructor(openSymbol) {
    this.list = $("events-list");
    this.openSymbol = openSymbol;
    this.hidden = new Set();
    this.least = Number($("events-least").value); // steps between flat and watching are many and small: DEBUG
    this.kept = Object.fromEntries(Object.keys(GROUPS).map((group) => [group, [[], []]])); // debug and the rest apart
    this.newest = 0;
    for (const [group, kinds] of Object.entries(GROUPS)) {
      const chip = el("button", "", group);
      chip.type = "button";
      chip.dataset.group = group;
      chip.title = kinds.join(", ").toLowerCase().replaceAll("_", " ");
      chip.setAttribute("aria-pressed", "true");
      chip.addEventListener("click", (e) => this.choose(group, e.altKey || e.shiftKey || e.detail === 2));
      $("events-chips").append(chip);
    }
    $("events-least").addEventListener("change", (e) => { this.least = Number(e.target.value); this.repaint(); });
  }

  /** Toggle one kind; with Alt, Shift or a double click show it alone (and again: show all). */
  choose(group, alone) {
    const groups = Object.keys(GROUPS);
    if (alone) {
      const isAlone = !this.hidden.has(group) && this.hidden.size === groups.length - 1;
      this.hidden = new Set(isAlone ? [] : groups.filter((name) => name !== group));
    } else if (!this.hidden.delete(group)) this.hidden.add(group);
    for (const chip of $("events-chips").children) chip.setAttribute("aria-pressed", String(!this.hidden.has(chip.dataset.group)));
    this.repaint();
  }

  shows(e) {
    return rank(e) >= this.least && !this.hidden.has(groupOf(e));
  }

  repaint() {
    const shown = Object.values(this.kept).flat(2).filter((e) => this.shows(e));
    shown.sort((a, b) => b.id - a.id);
    this.list.replaceChildren(...shown.slice(0, KEEP).map((e) => eventItem(e, this.openSymbol)));
  }

  reset(items) {
    this.list.textContent = "";
    for (const group of Object.keys(GROUPS)) this.kept[group] = [[], []];
    this.newest = 0;
    this.add(items, 0);
  }

  add(items, gap) {
    if (gap) $("events-gap").textContent = `${gap} skipped`;
    const fresh = items.filter((e) => e.id > this.newest);
    if (!fresh.length) return;
    this.newest = fresh.at(-1).id;
    for (const e of fresh) {
      const kept = this.kept[groupOf(e)][rank(e) > 0 ? 1 : 0];
      kept.push(e);
      if (kept.length > 2 * KEEP) kept.splice(0, KEEP);
    }
    const shown = fresh.filter((e) => this.shows(e));
    this.list.prepend(...shown.map((e) => eventItem(e, this.openSymbol)).reverse());
    while (this.list.children.length > KEEP) this.list.lastElementChild.remove();
  }
}

/** One line of an event list; all text by textContent. */
export function eventItem(e, openSymbol = null) {
  const item = el("li", `event ${e.severity}`);
  item.dataset.group = groupOf(e);
  const time = el("time", "", clock(e.ts));
  time.dateTime = new Date(e.ts).toISOString();
  time.title = `${new Date(e.ts).toISOString()} · ${e.process} · seq ${e.seq}`;
  item.append(time, el("span", "kind", LABELS[e.kind] ?? e.kind.replaceAll("_", " ")));
  if (openSymbol) {
    const symbol = e.symbol ? el("button", "sym", e.symbol) : el("span", "sym dim", e.process);
    if (e.symbol) {
      symbol.type = "button";
      symbol.addEventListener("click", () => openSymbol(e.symbol));
    }
    item.append(symbol);
  }
  const text = el("span", "text", e.text);
  text.title = e.text;
  item.append(text);
  return item;
}
