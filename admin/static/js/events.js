// The event feed: newest on top, kinds as chips, never more than KEEP nodes.
import { $, el } from "./dom.js";
import { clock } from "./format.js";

const KEEP = 300;
const GROUPS = {
  trade: ["SIGNAL", "ORDER", "FILL", "POSITION"], state: ["STATE"], risk: ["RISK", "DEGRADED", "SHED", "LOST"],
  pump: ["PUMP", "SPOOF", "NEWS", "WALL", "REGIME", "GLOBAL_REGIME", "LIQUIDATION"],
  data: ["DATA_STATE", "FEED", "RESYNC", "LISTING"], system: ["CONTROL", "CONFIG", "PROCESS", "ERROR"],
};
const GROUP_OF = Object.fromEntries(Object.entries(GROUPS).flatMap(([group, kinds]) => kinds.map((kind) => [kind, group])));
const LABELS = { trade: "trades", state: "states", watch: "watching", risk: "risk", pump: "pump·spoof", data: "data", system: "system" };
/** Steps between flat and watching are many and small (severity DEBUG): a chip of their own, off at first. */
const groupOf = (e) => (e.kind === "STATE" && e.severity === "DEBUG" ? "watch" : GROUP_OF[e.kind] ?? "system");

export class EventFeed {
  constructor(openSymbol) {
    this.list = $("events-list");
    this.openSymbol = openSymbol;
    this.hidden = new Set(["watch"]);
    this.kept = Object.fromEntries(Object.keys(LABELS).map((group) => [group, []]));
    this.newest = 0;
    for (const [group, label] of Object.entries(LABELS)) {
      const chip = el("button", "", label);
      chip.type = "button";
      chip.dataset.group = group;
      chip.title = group === "watch" ? "steps between flat and watching" : GROUPS[group].join(", ").toLowerCase();
      chip.setAttribute("aria-pressed", String(!this.hidden.has(group)));
      chip.addEventListener("click", () => this.toggle(group, chip));
      $("events-chips").append(chip);
    }
  }

  toggle(group, chip) {
    if (this.hidden.has(group)) this.hidden.delete(group);
    else this.hidden.add(group);
    chip.setAttribute("aria-pressed", String(!this.hidden.has(group)));
    const shown = Object.keys(this.kept).filter((name) => !this.hidden.has(name)).flatMap((name) => this.kept[name]);
    shown.sort((a, b) => b.id - a.id);
    this.list.replaceChildren(...shown.slice(0, KEEP).map((e) => eventItem(e, this.openSymbol)));
  }

  reset(items) {
    this.list.textContent = "";
    for (const kept of Object.values(this.kept)) kept.length = 0;
    this.newest = 0;
    this.add(items, 0);
  }

  add(items, gap) {
    if (gap) $("events-gap").textContent = `${gap} skipped`;
    const fresh = items.filter((e) => e.id > this.newest);
    if (!fresh.length) return;
    this.newest = fresh.at(-1).id;
    for (const e of fresh) {
      const kept = this.kept[groupOf(e)];
      kept.push(e);
      if (kept.length > 2 * KEEP) kept.splice(0, KEEP);
    }
    const shown = fresh.filter((e) => !this.hidden.has(groupOf(e)));
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
  item.append(time, el("span", "kind", e.kind.replaceAll("_", " ")));
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
