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
const LABELS = { trade: "trades", state: "states", risk: "risk", pump: "pump·spoof", data: "data", system: "system" };

export class EventFeed {
  constructor(openSymbol) {
    this.list = $("events-list");
    this.openSymbol = openSymbol;
    this.hidden = new Set();
    this.newest = 0;
    for (const [group, label] of Object.entries(LABELS)) {
      const chip = el("button", "", label);
      chip.type = "button";
      chip.dataset.group = group;
      chip.title = GROUPS[group].join(", ").toLowerCase();
      chip.setAttribute("aria-pressed", "true");
      chip.addEventListener("click", () => this.toggle(group, chip));
      $("events-chips").append(chip);
    }
  }

  toggle(group, chip) {
    if (this.hidden.has(group)) this.hidden.delete(group);
    else this.hidden.add(group);
    chip.setAttribute("aria-pressed", String(!this.hidden.has(group)));
    for (const item of this.list.children) item.hidden = this.hidden.has(item.dataset.group);
  }

  reset(items) {
    this.list.textContent = "";
    this.newest = 0;
    this.add(items, 0);
  }

  add(items, gap) {
    if (gap) $("events-gap").textContent = `${gap} skipped`;
    const fresh = items.filter((e) => e.id > this.newest);
    if (!fresh.length) return;
    this.newest = fresh.at(-1).id;
    this.list.prepend(...fresh.map((e) => {
      const item = eventItem(e, this.openSymbol);
      item.hidden = this.hidden.has(item.dataset.group);
      return item;
    }).reverse());
    while (this.list.children.length > KEEP) this.list.lastElementChild.remove();
  }
}

/** One line of an event list; all text by textContent. */
export function eventItem(e, openSymbol = null) {
  const item = el("li", `event ${e.severity}`);
  item.dataset.group = GROUP_OF[e.kind] ?? "system";
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
