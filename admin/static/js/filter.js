// "btc armed score>60 gate:flow" -> predicate over symbol ids.
const SIGNS = {
  "<": (v, bound) => v < bound, ">": (v, bound) => v > bound, "<=": (v, bound) => v <= bound,
  ">=": (v, bound) => v >= bound, "=": (v, bound) => v === bound,
};
const SHORT = { vol: "volatility" };

/** What a symbol can be called by: its name and the words of its states. */
const WORDS = {
  symbol: (t, id) => t.symbols.get(id)?.name ?? "",
  state: (t, id) => t.word("state", t.byte("codes", id, 0)),
  regime: (t, id) => t.word("regime", t.byte("codes", id, 1)),
  pump: (t, id) => t.word("pump", t.byte("codes", id, 2)),
  gate: (t, id) => t.word("gate", t.byte("codes", id, 3)),
  category: (t, id) => t.word("category", t.byte("marks", id, 0)),
  data: (t, id) => t.word("data_state", t.byte("marks", id, 1)),
  flag: (t, id) => ["wall", "spoof", "news", "liquidations"].filter((_, k) => (t.byte("marks", id, 2) >> k) & 1).join(" "),
};

function number(name, t) {
  if (name === "score") return (id) => Math.max(t.value("long", id), t.value("short", id));
  if (name === "walls") return (id) => Math.max(t.value("support", id), t.value("resistance", id));
  if (name === "age") return (id) => (t.ageMs(id) ?? Infinity) / 1000;
  const column = t.columns[SHORT[name] ?? name];
  return column?.planes === 1 && column.unit !== "bytes" ? (id) => t.value(column.name, id) : null;
}

function termOf(term, t) {
  const compared = /^([a-z]+)(<=|>=|<|>|=)(-?[\d.]+)$/.exec(term);
  if (compared) {
    const [, name, sign, limit] = compared;
    const value = number(name, t);
    const bound = Number(limit);
    return value ? (id) => { const v = value(id); return v !== null && SIGNS[sign](v, bound); } : () => false;
  }
  const named = /^([a-z]+):(.*)$/.exec(term);
  if (named) {
    const word = WORDS[named[1]];
    return word ? (id) => word(t, id).toLowerCase() === named[2] : () => false;
  }
  const all = Object.values(WORDS);
  return (id) => all.some((word) => word(t, id).toLowerCase().includes(term));
}

/** A predicate over ids of table `t`; `exact` holds words that must be equal, as {state: "FLAT"}; empty ones do not count. */
export function parseFilter(line, exact, t) {
  const terms = line.trim().toLowerCase().split(/\s+/).filter(Boolean).map((term) => termOf(term, t));
  for (const [name, wanted] of Object.entries(exact)) if (wanted) terms.push((id) => WORDS[name](t, id) === wanted);
  return (id) => terms.every((term) => term(id));
}
