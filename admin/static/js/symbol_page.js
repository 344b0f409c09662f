// A symbol on a page of its own: /symbol/<SYMBOL>.
import { $, el, setClass, setText } from "./dom.js";
import { DASH, signed, tone } from "./format.js";
import { startFrame } from "./frame.js";
import { SymbolView } from "./symbol_view.js";

const wanted = $("main").dataset.symbol;

const page = {
  hello(m) {
    view.describe(m);
    const names = m.symbols.map((s) => s.name).sort();
    $("jump-list").replaceChildren(...names.map((name) => { const option = el("option"); option.value = name; return option; }));
    const symbol = m.symbols.find((s) => s.name === wanted);
    if (symbol) view.show(symbol.id);
    else $("why-text").replaceChildren(el("p", "bad", `${wanted} is not listed.`));
  },
  paint: () => view.paint(),
  positions(rows) {
    view.setPositions(rows);
    const p = view.position;
    $("position-line").hidden = !p;
    if (!p) return;
    setText($("position-line"), `${p.side === "Buy" ? "▲ LONG" : "▼ SHORT"} ${p.qty} @ ${p.entry_price ?? DASH} · uPnL ${signed(p.unrealised_usdt)} USDT`
      + ` · ${p.r === null ? DASH : signed(p.r)} R · stop ${p.stop_price ?? "NONE"}${p.stop_stands ? "" : " (not standing)"} · target ${p.target_price ?? DASH}`);
    setClass($("position-line"), `position-line num ${tone(p.unrealised_usdt)}`);
  },
  events: (items) => view.addEvents(items),
  detail: (m) => view.take(m),
  title: () => `${wanted} · `,
  keys: () => ({
    "/": () => $("jump").focus(), 1: () => view.setInterval(1), 2: () => view.setInterval(5), 3: () => view.setInterval(15),
  }),
  escape: () => location.assign("/"),
};

const frame = startFrame(page);
const view = new SymbolView(frame);
$("jump").addEventListener("change", () => {
  const name = $("jump").value.trim().toUpperCase();
  if (name) location.assign(`/symbol/${encodeURIComponent(name)}`);
});
frame.connect();
