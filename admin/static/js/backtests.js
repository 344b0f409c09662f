// Backtests: one with its figures and trades, or two side by side; which two is chosen in the list.
import { $, el, setText } from "./dom.js";
import { card, figureTable, paintCurve, paintFigures, table } from "./figures.js";
import { DASH, lower, plural, signed, tone } from "./format.js";
import { date, usdt } from "./history_lists.js";
import { get } from "./net.js";

const SHOWN = 200;
const picked = []; // ids in order of choosing, at most two

/** A check box in a row of the list; the third choice replaces the first. */
export function pickBox(node, id) {
  let box = node.firstElementChild;
  if (!box || node.picks !== id) {
    box = el("input");
    box.type = "checkbox";
    box.setAttribute("aria-label", `compare backtest ${id}`);
    box.addEventListener("change", () => {
      const at = picked.indexOf(id);
      if (at >= 0) picked.splice(at, 1);
      else picked.push(id);
      while (picked.length > 2) picked.shift();
      for (const other of document.querySelectorAll("#list-body input[type=checkbox]")) other.checked = picked.includes(other.closest("td").picks);
      paintCompare();
    });
    node.replaceChildren(box);
    node.picks = id;
    node.shown = undefined;
  }
  box.checked = picked.includes(id);
}

function paintCompare() {
  const button = $("compare");
  button.disabled = picked.length !== 2;
  setText(button, picked.length === 2 ? `Compare ${picked[0]} with ${picked[1]}` : `Compare two (${picked.length} chosen)`);
}

export function watchBacktests() {
  $("compare").addEventListener("click", () => { location.hash = `backtests/${picked.join(",")}`; });
  paintCompare();
}

/** `which`: an id, or two with a comma. */
export async function openBacktests(which, trouble) {
  const ids = which.split(",");
  try {
    if (ids.length === 2) paintPair(await get(`/api/backtests/compare?a=${ids[0]}&b=${ids[1]}`));
    else paintOne(await get(`/api/backtests/${ids[0]}`));
    trouble(null);
  } catch (error) {
    trouble(error);
  }
}

function paintOne(b) {
  setText($("backtest-title"), b.name);
  const report = $("backtest-report");
  report.hidden = !b.has_report;
  report.href = `/api/backtests/${b.id}/report`;
  setText($("backtest-facts"), `${b.input} · ${date(b.from_ts)} to ${date(b.to_ts)} UTC · settings ${b.settings_digest} · decisions ${b.decision_digest}${Object.keys(b.parameters ?? {}).length ? ` · changed: ${Object.entries(b.parameters).map(([k, v]) => `${k} = ${v}`).join(", ")}` : ""}`);
  $("backtest-curves").replaceChildren(curveBox("Equity and fall from its peak", "curve-a"));
  paintFigures({ ...b.figures, groups: b.groups }, $("backtest-cards"), $("backtest-groups"));
  const rows = b.trades.slice(0, SHOWN).map((t) => [
    [date(t.opened_ts), ""], [t.symbol, "text"], [t.side === "Buy" ? "▲ long" : "▼ short", t.side === "Buy" ? "up text" : "down text"], [t.quantity || DASH, ""],
    [t.entry_price || DASH, ""], [t.exit_price || DASH, ""], [usdt(t.net_usdt), tone(Number(t.net_usdt))], [t.r === null ? DASH : signed(t.r, 2), tone(t.r)],
    [`${((t.closed_ts - t.opened_ts) / 1000).toFixed(1)} s`, ""], [lower(t.close_reason || DASH), "text"], [t.move_type || DASH, "text"]]);
  const title = b.trades_total > rows.length ? `The first ${rows.length} of ${b.trades_total} trades` : plural(b.trades_total, "trade");
  $("backtest-trades").replaceChildren(table(title, ["Opened (UTC)", "Symbol", "Side", "Quantity", "In", "Out", "Net USDT", "R", "Held", "Closed by", "Move"], rows));
  paintCurve(b.equity, $("curve-a"));
}

function paintPair(c) {
  setText($("backtest-title"), `${c.a.name} against ${c.b.name}`);
  $("backtest-report").hidden = true;
  setText($("backtest-facts"), `a: ${c.a.input}, ${date(c.a.created_ts)} · b: ${c.b.input}, ${date(c.b.created_ts)} UTC · ${c.same_input ? "the same recording" : "different recordings"} · ${c.same_decisions ? "every decision is the same" : "decisions differ"}`);
  $("backtest-cards").replaceChildren(
    card("Made by both", String(c.both), "opened within a second on one symbol and side"), card("Only a", String(c.only_a), "trades"), card("Only b", String(c.only_b), "trades"));
  $("backtest-curves").replaceChildren(curveBox("Equity of a", "curve-a"), curveBox("Equity of b", "curve-b"));
  $("backtest-groups").replaceChildren(
    figureTable("Figures", c.figures, "a", "b"),
    table("Settings that differ", ["", "a", "b"], c.settings.length ? c.settings.map((s) => [[s.name, ""], [String(s.a ?? "as in the files"), ""], [String(s.b ?? "as in the files"), ""]]) : [[["none", ""], ["", ""], ["", ""]]]));
  const net = (t) => (t ? usdt(t.net_usdt) : DASH);
  const rows = c.pairs.slice(0, SHOWN).map((pair) => {
    const t = pair.a ?? pair.b;
    return [[date(t.opened_ts), ""], [t.symbol, "text"], [t.side === "Buy" ? "▲ long" : "▼ short", t.side === "Buy" ? "up text" : "down text"], [net(pair.a), tone(Number(pair.a?.net_usdt ?? 0))], [net(pair.b), tone(Number(pair.b?.net_usdt ?? 0))], [usdt(pair.difference_usdt), tone(Number(pair.difference_usdt))]];
  });
  $("backtest-trades").replaceChildren(table("Trades of both", ["Opened (UTC)", "Symbol", "Side", "a net", "b net", "b − a"], rows));
  paintCurve(c.a.equity, $("curve-a"));
  paintCurve(c.b.equity, $("curve-b"));
}

function curveBox(title, id) {
  const box = el("div", "cell");
  const canvas = el("canvas", "curve");
  canvas.id = id;
  canvas.setAttribute("role", "img");
  box.append(el("h3", "", title), canvas);
  return box;
}
