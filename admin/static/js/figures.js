// Figures of performance: cards, groups, the curve of equity over the fall from its peak. For a period, a session, a backtest.
import { color, el, MONO, sized, waiting } from "./dom.js";
import { DASH, fixed, lower, plural, signed, tone } from "./format.js";
import { date, percent, usdt } from "./history_lists.js";

export function card(name, value, remark, kind = "") {
  const box = el("div");
  box.append(el("dt", "", name), el("dd", kind, value), el("dd", "small", remark));
  return box;
}

export function paintFigures(f, cards, groupsBox) {
  const pair = (a, b) => `${usdt(a, 2)} / ${usdt(b, 2)}`;
  cards.replaceChildren(
    card("Net USDT", usdt(f.net_usdt, 2), `gross ${usdt(f.gross_usdt, 2)}, fees ${fixed(f.fees_usdt, 2)}`, tone(f.net_usdt)),
    card("Return", f.total_return_pct === null ? DASH : `${signed(f.total_return_pct)} %`, `unrealised ${usdt(f.unrealised_usdt, 2)}`, tone(f.total_return_pct)),
    card("Trades", String(f.trades), `${f.wins} won, ${f.losses} lost`),
    card("Win rate", percent(f.win_rate), f.live ? `last ${f.live.last}: ${percent(f.live.win_rate_last)}` : `${f.wins} of ${f.trades}`),
    card("Profit factor", fixed(f.profit_factor, 2), `average ${pair(f.average_win_usdt, f.average_loss_usdt)}`),
    card("Expectancy", f.expectancy_r === null ? DASH : `${signed(f.expectancy_r)} R`, `MFE ${fixed(f.mean_mfe_r, 2)} R, MAE ${fixed(f.mean_mae_r, 2)} R`),
    card("Drawdown", f.max_drawdown_pct === null ? DASH : `${fixed(f.max_drawdown_pct, 2)} %`, `${fixed(f.max_drawdown_usdt, 2)} USDT`),
    card("Sharpe", fixed(f.sharpe, 2), f.sharpe === null ? "needs two days" : `95 %: ${fixed(f.sharpe_low, 2)} to ${fixed(f.sharpe_high, 2)}, ${f.days} days`),
    card("Sortino · Calmar", `${fixed(f.sortino, 2)} · ${fixed(f.calmar, 2)}`, `slippage ${fixed(f.slippage_bps, 2)} bps`),
    card("Hold", f.average_hold_s === null ? DASH : `${fixed(f.average_hold_s, 1)} s`, "average"),
    ...(f.live ? [
      card("7 days", usdt(f.live.week_usdt, 2), plural(f.live.week_trades, "trade"), tone(f.live.week_usdt)),
      card("All time", usdt(f.live.total_usdt, 2), plural(f.live.trades, "trade"), tone(f.live.total_usdt)),
    ] : []),
  );
  const titles = { move_type: "Kind of move", exit_reason: "Exit reason", symbol: "Symbol", side: "Side", hour: "Hour of entry (UTC)", weekday: "Weekday of entry (UTC)" };
  const costs = table("From gross to net", ["Step", "USDT"], f.costs.map((c) => [[c.name, ""], [usdt(c.usdt, 4), c.name === "net" ? tone(c.usdt) : ""]]));
  const head = ["", "Trades", "Win rate", "Net USDT", "Profit factor", "Exp. R"];
  const groups = Object.entries(titles).filter(([by]) => f.groups[by].length).map(([by, title]) => table(title, head, f.groups[by].map((g) => [
    [by === "hour" ? `${String(g.key).padStart(2, "0")}:00` : by === "exit_reason" ? lower(g.key) : String(g.key), ""], [String(g.trades), ""],
    [percent(g.win_rate), ""], [usdt(g.net_usdt, 2), tone(g.net_usdt)], [fixed(g.profit_factor, 2), ""], [fixed(g.expectancy_r, 2), ""]])));
  groupsBox.replaceChildren(costs, ...groups);
}

export function table(title, head, rows) {
  const box = el("div", "cell");
  const t = el("table", "list");
  const line = el("tr");
  line.append(...head.map((name, k) => el("th", rows[0]?.[k]?.[1]?.includes("text") ? "text" : "", name)));
  const top = el("thead");
  top.append(line);
  const body = el("tbody");
  for (const row of rows) {
    const tr = el("tr");
    tr.append(...row.map(([value, kind]) => el("td", kind, value)));
    body.append(tr);
  }
  t.append(top, body);
  const scroll = el("div", "scroll");
  scroll.append(t);
  box.append(el("h3", "", title), scroll);
  return box;
}

export function paintCurve(points, canvas) {
  const [c, w, h] = sized(canvas);
  if (points.length < 2) {
    waiting(c, w, h, "no trades yet");
    return;
  }
  const [left, fall] = [64, 50];
  const top = h - fall - 16;
  const values = points.map((p) => p[1]);
  const low = Math.min(...values);
  const high = Math.max(...values, low + 1e-9);
  const t0 = points[0][0];
  const span = Math.max(points.at(-1)[0] - t0, 1);
  const x = (ms) => left + ((w - left - 6) * (ms - t0)) / span;
  const y = (v) => 8 + ((top - 16) * (high - v)) / (high - low);
  c.font = MONO;
  c.fillStyle = color("dim");
  c.textAlign = "right";
  c.strokeStyle = color("line");
  for (const v of [low, (low + high) / 2, high]) {
    c.fillText(v.toFixed(2), left - 6, y(v) + 4);
    c.beginPath();
    c.moveTo(left, y(v));
    c.lineTo(w, y(v));
    c.stroke();
  }
  c.strokeStyle = color("info");
  c.lineWidth = 1.6;
  c.beginPath();
  points.forEach(([ms, v], k) => (k ? c.lineTo(x(ms), y(v)) : c.moveTo(x(ms), y(v))));
  c.stroke();
  let peak = -Infinity;
  const falls = values.map((v) => { peak = Math.max(peak, v); return peak > 0 ? (peak - v) / peak : 0; });
  const deepest = Math.max(...falls);
  c.fillStyle = color("down-bg");
  c.strokeStyle = color("down");
  c.lineWidth = 1;
  c.beginPath();
  c.moveTo(x(t0), top + 4);
  falls.forEach((f, k) => c.lineTo(x(points[k][0]), top + 4 + (deepest ? (f / deepest) * fall : 0)));
  c.lineTo(x(points.at(-1)[0]), top + 4);
  c.fill();
  c.stroke();
  c.fillStyle = color("dim");
  c.fillText(`${(-100 * deepest).toFixed(2)} %`.replace("-", "−"), left - 6, top + 4 + fall);
  c.textAlign = "left";
  c.fillText(date(t0), left, h - 2);
  c.textAlign = "right";
  c.fillText(date(points.at(-1)[0]), w - 6, h - 2);
  canvas.setAttribute("aria-label", `equity from ${values[0].toFixed(2)} to ${values.at(-1).toFixed(2)} USDT, largest fall ${(100 * deepest).toFixed(2)} %`);
}

const E8 = 1e8;
const NAMES = { trades: "Trades", win_rate: "Win rate", net_usdt: "Net USDT", gross_usdt: "Gross USDT", fees_usdt: "Fees USDT", funding_usdt: "Funding USDT", slippage_usdt: "Slippage USDT", profit_factor: "Profit factor", expectancy_r: "Expectancy R", sharpe: "Sharpe", sortino: "Sortino", calmar: "Calmar", max_drawdown_pct: "Drawdown %", mean_mfe_r: "MFE R", mean_mae_r: "MAE R", average_hold_s: "Hold s" };
const NEUTRAL = new Set(["trades", "fees_usdt", "slippage_usdt", "max_drawdown_pct", "mean_mae_r", "average_hold_s"]);

/** Figures of two runs, a and b, as rows {figure, a, b, difference}. */
export function figureTable(title, rows, a, b) {
  const shown = (name, v) => (v === null || v === undefined ? DASH : name === "win_rate" ? percent(v) : Number.isInteger(v) ? String(v) : fixed(v, 4));
  return table(title, ["", a, b, `${b} − ${a}`], rows.map((row) => [
    [NAMES[row.figure] ?? row.figure, ""], [shown(row.figure, row.a), ""], [shown(row.figure, row.b), ""],
    [row.difference === null || row.difference === undefined ? DASH : signed(row.difference, 4), row.difference && !NEUTRAL.has(row.figure) ? tone(row.difference) : ""]]));
}

/** What shadow and calibration say of a run, as boxes; none where there is neither. */
export function besideRun({ shadow, calibration }) {
  const boxes = [];
  if (shadow) {
    const { status, comparison: c } = shadow;
    const short = c?.shortfall;
    const lines = [];
    if (status) {
      lines.push(["Settings", (status.config_files ?? []).join(", ") || DASH], ["Stands", status.over ? "the run is over" : status.lag_s === null || status.lag_s === undefined ? "beginning" : `${fixed(status.lag_s, 1)} s behind`],
        ["Shadow's net USDT", signed((status.net_e8 ?? 0) / E8, 4)], ["Shadow's trades, open", `${status.trades ?? 0}, ${status.open_positions ?? 0}`]);
      if (status.hole) lines.push(["Journal", status.hole]);
    }
    if (c?.error) lines.push(["Comparison", c.error]);
    else if (c) {
      lines.push(["First decisions alike", String(c.same_decisions ?? DASH)], ["Trades of both, only live, only shadow", `${c.matched}, ${c.only_a}, ${c.only_b}`]);
      if (short) lines.push(["Live earned less by, USDT", signed(short.total_e8 / E8, 4)]);
    }
    boxes.push(table(`Other settings beside ${shadow.is_this_run ? "this run" : `run ${shadow.run_id}`}`, ["", ""], lines.map(([name, value]) => [[name, ""], [value, ""]])));
    if (c?.figures) boxes.push(figureTable("Live and shadow", c.figures, "live", "shadow"));
  }
  if (calibration) boxes.push(table(`Paper against the account, run ${calibration.run_id}`, [""], (calibration.said ?? []).map((line) => [[line, "text wide"]])));
  return boxes;
}
