// "Why no trade": how many evaluations each gate stopped in the last hour, and the top blocker per symbol.
import { $, cells, el, fillTable, setClass, setText } from "./dom.js";
import { age, count, lower, plural } from "./format.js";
import { get } from "./net.js";

const REFRESH_MS = 3000;
const BLOCKERS = 25;
const QUIET = "SCORE_WATCH";
const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)}%`;

export class Funnel {
  constructor(openSymbol, filterGate) {
    this.openSymbol = openSymbol;
    this.filterGate = filterGate;
    this.gates = {};
    this.takenAt = 0;
    this.told = null;
    this.refresh();
    setInterval(() => this.refresh(), REFRESH_MS);
  }

  describe(gates) {
    this.gates = gates;
    if (this.told) this.paint(this.told);
  }

  refresh() {
    setText($("why-age"), this.takenAt ? age(performance.now() - this.takenAt) : "");
    if (document.hidden) return;
    get("/api/funnel").then((f) => { this.takenAt = performance.now(); this.paint(f); }, () => {});
  }

  paint(f) {
    this.told = f;
    const covered = Math.min(f.window_s, f.covered_s ?? f.window_s);
    setText($("why-window"), covered >= 3600 ? "last hour" : `last ${age(covered * 1000)} of the hour`);
    setText($("why-age"), age(performance.now() - this.takenAt));
    setText($("why-words"), this.words(f));
    const rows = f.gates.filter((g) => g.blocked); // a gate that stops nobody only makes the list longer
    const left = { filter: (gate) => this.filterGate(gate) };
    const make = () => {
      const tr = cells(3)();
      const name = el("button", "sym");
      name.type = "button";
      name.addEventListener("click", () => left.filter(name.gate));
      const bar = el("span", "bar");
      bar.append(el("i"), el("b", "num"));
      tr.children[0].append(name);
      tr.children[1].append(bar);
      return tr;
    };
    fillTable($("funnel-body"), rows, make, (tr, g) => {
      const [name, bar, stopped] = tr.children;
      name.firstChild.gate = g.name;
      setText(name.firstChild, lower(g.name));
      name.firstChild.title = `${this.gates[g.name] ?? lower(g.name)}\nclick: show the symbols it blocks now`;
      const share = f.evaluations ? g.passed / f.evaluations : 0;
      bar.firstChild.firstChild.style.transform = `scaleX(${share.toFixed(4)})`;
      setText(bar.firstChild.lastChild, count(g.passed));
      setText(stopped, g.blocked ? `${count(g.blocked)} · ${percent(g.blocked / Math.max(1, f.evaluations))}` : "·");
      setClass(stopped, g.blocked ? "" : "dim");
    });
    const blockers = () => {
      const tr = cells(2)();
      const button = el("button", "sym");
      button.type = "button";
      button.addEventListener("click", () => this.openSymbol(button.textContent));
      tr.children[0].append(button, el("span", "dim"));
      return tr;
    };
    const loud = f.top_blockers.filter((b) => b.gate !== QUIET); // a market without a signal is no blocker worth a look
    const top = [...loud, ...f.top_blockers.filter((b) => b.gate === QUIET)].slice(0, BLOCKERS);
    fillTable($("blockers-body"), top, blockers, (tr, b) => {
      const [who, share] = tr.children;
      setText(who.firstChild, b.symbol);
      setText(who.lastChild, ` ${lower(b.gate)}`);
      who.title = this.gates[b.gate] ?? "";
      setText(share, percent(b.share));
      share.title = `${b.count} evaluations`;
    });
  }

  words(f) {
    if (!f.evaluations) return "No symbol has been looked at yet.";
    const watched = f.gates.find((g) => g.name === QUIET)?.passed;
    const armed = f.gates.find((g) => g.name === "SCORE_ARM")?.passed;
    const steps = [plural(f.evaluations, "look", count(f.evaluations)), watched === undefined ? "" : `${count(watched)} over watch`,
      armed === undefined ? "" : `${count(armed)} over arm`, `${count(f.accepted)} ${f.accepted === 1 ? "entry" : "entries"}`].filter(Boolean).join(" → ");
    const worst = f.gates.filter((g) => g.name !== QUIET).reduce((a, b) => (b.blocked > (a?.blocked ?? 0) ? b : a), null);
    return worst ? `${steps}. Apart from quiet markets mostly ${lower(worst.name)}: ${this.gates[worst.name] ?? lower(worst.name)}.` : `${steps}.`;
  }
}
