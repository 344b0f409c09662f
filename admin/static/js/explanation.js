// Pieces of an explanation (/api/explain): verdict, words, gates, terms, plan. Used by the symbol view and the explain page.
import { $, cells, el, fillTable, setClass, setText } from "./dom.js";
import { compact, DASH, fixed, lower, signed } from "./format.js";

/** A value of a gate: number, text, yes/no or unknown. */
export function plain(value) {
  if (value === null || value === undefined) return DASH;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return lower(String(value));
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e6) return value < 0 ? `−${size}` : String(value);
  return size >= 1e4 ? `${value < 0 ? "−" : ""}${compact(size, 2)}` : fixed(value, size >= 100 ? 1 : size >= 1 ? 2 : 4);
}

/** Gates whose value is a code or yes and no; all others are numbers. */
const KINDS = { DATA: "data_state", FEED: "feed_state", REGIME: "regime", GLOBAL_REGIME: "global_regime" };
const YES_NO = new Set(["WARMUP", "DEGRADED", "PAUSED", "KILLED", "DUPLICATE", "EXPLOSION", "BLACKLIST"]);

function gateValue(name, value, enums) {
  const word = typeof value === "number" ? enums?.[KINDS[name]]?.[value] : undefined;
  if (word) return lower(word.replace("GLOBAL_", ""));
  return YES_NO.has(name) && (value === 0 || value === 1) ? plain(value === 1) : plain(value);
}

/** What the tag says: ACCEPTED, or the gate that refused; `live` means that nothing was decided yet. */
export function paintVerdict(tag, e) {
  const accepted = e?.verdict === "accepted";
  setText(tag, !e ? "" : e.live ? "no decision yet" : accepted ? "✓ ACCEPTED" : `✗ ${lower(e.gate ?? "rejected").toUpperCase()}`);
  setClass(tag, `tag ${!e || e.live ? "" : accepted ? "up" : "warn"}`);
}

export function paintWords(node, e, gates) {
  const words = e?.words?.length ? e.words : e?.gate ? [gates?.[e.gate] ?? lower(e.gate)] : [];
  const lines = words.length ? words : ["Nothing has been evaluated yet."];
  while (node.children.length > lines.length) node.lastElementChild.remove();
  while (node.children.length < lines.length) node.append(el("p"));
  lines.forEach((line, k) => { setText(node.children[k], line); setClass(node.children[k], k ? "" : "lead"); });
}

/** `told`: what HELLO said of gates and enums, null before it came. */
export function paintChecks(body, checks, told) {
  const first = checks.findIndex((g) => !g.ok);
  const inOrder = first > 0; // the explain page lists them as they were evaluated, the symbol view shut ones first
  fillTable(body, checks, cells(4), (tr, g, k) => {
    const [name, value, limit, verdict] = tr.children;
    setText(name, lower(g.name));
    tr.title = g.words || told?.gates[g.name] || "";
    const [is, wanted] = [g.value, g.limit].map((v) => gateValue(g.name, v, told?.enums));
    setText(value, is);
    setText(limit, g.ok && is === wanted ? "·" : wanted);
    setText(verdict, g.ok ? "✓ open" : "✗ shut");
    setClass(verdict, g.ok ? "up" : "down");
    setClass(tr, k === first ? "first-stop" : inOrder && k > first ? "after" : "");
  });
}

export function paintTerms(body, e, sum) {
  const terms = e.terms ?? [];
  const peak = Math.max(1, ...terms.flatMap((t) => [Math.abs(t.long ?? 0), Math.abs(t.short ?? 0)]));
  const make = () => {
    const tr = cells(4)();
    const bar = el("span", "butterfly");
    bar.append(el("i", "short"), el("i", "long"));
    tr.children[2].append(bar);
    return tr;
  };
  fillTable(body, terms, make, (tr, t) => {
    const [name, short, bar, long] = tr.children;
    setText(name, t.name.replaceAll("_", " "));
    tr.title = [t.meaning, t.weight === undefined || t.weight === null ? "" : `weight ${plain(t.weight)}`].filter(Boolean).join(" · ");
    for (const [cell, value, part] of [[short, t.short, 0], [long, t.long, 1]]) {
      setText(cell, value === null || value === undefined ? DASH : Math.abs(value) < 0.05 ? "·" : signed(value, 1));
      setClass(cell, value < 0 ? "down" : value ? "" : "dim");
      const fill = bar.firstChild.children[part];
      fill.style.transform = `scaleX(${Math.min(1, Math.abs(value ?? 0) / peak).toFixed(3)})`;
      fill.classList.toggle("against", value < 0);
    }
  });
  const s = e.scores ?? {};
  setText(sum, s.watch === undefined ? "" : `L ${fixed(s.long, 1)} · S ${fixed(s.short, 1)} · watch ${fixed(s.watch, 0)} · arm ${fixed(s.arm, 0)}`);
}

export function paintPlan(node, plan) {
  node.hidden = !plan;
  if (!plan) return;
  const exact = (value) => (value === null || value === undefined ? DASH : String(value)); // prices are texts: as they are
  const zone = plan.zone_min ? ` · zone ${exact(plan.zone_min)} … ${exact(plan.zone_max)}` : "";
  setText(node, `plan: entry ${exact(plan.entry)}${zone} · stop ${exact(plan.stop)} · target ${exact(plan.target)}`);
}

/** Rows of recent decisions; each leads to its explanation. */
export function paintDecisions(decisions, clock) {
  $("decisions-none").hidden = decisions.length > 0;
  const make = () => { const tr = cells(4)(); tr.children[0].append(el("a")); return tr; };
  fillTable($("decisions-body"), decisions, make, (tr, d) => {
    const [time, side, score, verdict] = tr.children;
    setText(time.firstChild, clock(d.ts));
    time.firstChild.href = `/explain/${encodeURIComponent(d.id)}`;
    time.firstChild.title = `decision ${d.id}`;
    const long = sideOf(d.side) > 0;
    setText(side, sideOf(d.side) ? (long ? "▲ long" : "▼ short") : DASH);
    setClass(side, sideOf(d.side) ? (long ? "up" : "down") : "dim");
    setText(score, fixed(d.score, 1));
    const accepted = d.verdict === "accepted";
    setText(verdict, accepted ? "✓ accepted" : `✗ ${lower(d.gate ?? "rejected")}`);
    setClass(verdict, accepted ? "up" : "dim");
  });
}

/** +1 long, -1 short, 0 none, whatever way the side is written. */
export function sideOf(side) {
  if (typeof side === "number") return Math.sign(side);
  return { long: 1, buy: 1, short: -1, sell: -1 }[String(side ?? "").toLowerCase()] ?? 0;
}
