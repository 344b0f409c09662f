// One decision: /explain/<id>. The numbers are those of the moment of the decision; nothing here moves but the frame.
import { $, el, fillTable, setClass, setText } from "./dom.js";
import { paintChecks, paintPlan, paintTerms, paintVerdict, paintWords, sideOf } from "./explanation.js";
import { Features } from "./features.js";
import { clock, DASH, fixed, lower } from "./format.js";
import { startFrame } from "./frame.js";
import { get } from "./net.js";

const id = $("main").dataset.id;
let explanation = null;
let described = null;

const page = {
  hello(m) {
    described = m;
    paint();
  },
  title: () => `decision ${id} · `,
  escape: () => (history.length > 1 ? history.back() : location.assign("/")),
};

function facts(e) {
  const s = e.scores ?? {};
  const state = e.state ?? {};
  return [
    ["state", `${lower(state.from ?? DASH)} → ${lower(state.to ?? DASH)}`], ["cause", lower(state.cause ?? DASH)],
    ["regime", lower(e.regime ?? DASH)], ["pump", lower(e.pump ?? DASH)], ["global", lower((e.global_regime ?? DASH).replace("GLOBAL_", ""))],
    ["long", fixed(s.long, 1)], ["short", fixed(s.short, 1)], ["watch", fixed(s.watch, 1)], ["arm", fixed(s.arm, 1)],
    ["config", e.config_version === undefined ? DASH : `v${e.config_version}`],
  ];
}

function paint() {
  if (!explanation) return;
  const e = explanation;
  $("explain").hidden = false;
  setText($("title"), `${e.symbol} · decision ${e.id}`);
  paintVerdict($("verdict"), e);
  const side = sideOf(e.side);
  setText($("side"), side ? (side > 0 ? "▲ LONG" : "▼ SHORT") : "");
  setClass($("side"), `tag ${side > 0 ? "up" : side < 0 ? "down" : ""}`);
  setText($("when"), `${new Date(e.ts).toISOString().slice(0, 10)} ${clock(e.ts, true)} UTC`);
  $("symbol-link").hidden = false;
  $("symbol-link").href = `/symbol/${encodeURIComponent(e.symbol)}`;
  setText($("symbol-link"), `${e.symbol} now ›`);
  const make = () => { const box = el("div"); box.append(el("span"), el("b")); return box; };
  fillTable($("facts"), facts(e), make, (box, [label, value]) => {
    setText(box.firstChild, label);
    setText(box.lastChild, value);
  });
  paintWords($("why-text"), e, described?.gates);
  paintPlan($("plan"), e.plan);
  paintChecks($("checks-body"), e.gates ?? [], described);
  paintTerms($("terms-body"), e, $("terms-sum"));
  const groups = new Map((described?.features ?? []).map((f) => [f.name, f.group]));
  if (!described) return; // groups and instrument come with the first message
  const symbol = described.symbols.find((s) => s.name === e.symbol);
  features.paint((e.features ?? []).map((f) => ({ ...f, group: groups.get(f.name) ?? "Other" })), symbol);
}

const features = new Features($("features"), $("features-note"));
get(`/api/explain/${encodeURIComponent(id)}${location.search}`).then((e) => { explanation = e; paint(); }, (error) => {
  $("missing").hidden = false;
  setText($("missing"), error.cause ? `${error.cause}. ${error.fix}` : "The admin process does not answer.");
});
startFrame(page).connect();
