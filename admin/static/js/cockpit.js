// The cockpit: hot list, positions, why no trade, events, plant; one symbol beside the list.
import { toast } from "./controls.js";
import { $ } from "./dom.js";
import { Drawer } from "./drawer.js";
import { EventFeed } from "./events.js";
import { startFrame } from "./frame.js";
import { Funnel } from "./funnel.js";
import { HotList } from "./hotlist.js";
import { paintPositions, paintProcesses, paintRings, paintStages, watchSpan, watchTabs } from "./panels.js";
import { addPoint, paintTimeline, setPoints, watchTimeline } from "./timeline.js";

let plant = null;

const page = {
  hello(m) {
    setPoints(m.timeline);
    feed.reset(m.events);
    hot.describe(m);
    drawer.describe(m);
    funnel.describe(m.gates);
  },
  paint() {
    hot.arrange();
    hot.paint();
    drawer.paint();
  },
  plant(m) {
    plant = m;
    addPoint(m.point);
    paintPlant();
  },
  positions(rows) {
    drawer.setPositions(rows);
    paintPositions(rows, openName);
  },
  events(items, gap) {
    feed.add(items, gap);
    drawer.addEvents(items);
  },
  detail: (m) => drawer.take(m),
  keys(event) {
    const onControl = event.target.closest("button, a, [role=tab]");
    const open = onControl ? null : () => hot.chosen >= 0 && drawer.show(hot.chosen);
    const scrollable = event.target.closest("ol, .scroll, .feature-groups");
    const step = (move) => (scrollable ? null : move);
    return {
      "/": () => $("filter").focus(), j: () => hot.move(1), k: () => hot.move(-1), f: () => hot.hold(), Enter: open,
      o: () => { const name = frame.table.symbols.get(hot.chosen)?.name; if (name) location.assign(`/symbol/${name}`); },
      ArrowDown: step(() => hot.move(1)), ArrowUp: step(() => hot.move(-1)), Home: step(() => hot.move(-Infinity)), End: step(() => hot.move(Infinity)),
      PageDown: step(() => hot.page(1)), PageUp: step(() => hot.page(-1)),
    };
  },
  escape() {
    if (drawer.open) drawer.close();
    else document.activeElement?.blur();
  },
};

const frame = startFrame(page);
const drawer = new Drawer(frame);
const hot = new HotList(frame.table, (id) => drawer.show(id));
const openName = (name) => {
  for (const [id, symbol] of frame.table.symbols) if (symbol.name === name) { hot.choose(id); drawer.show(id); return; }
  toast(`${name} is not listed`);
};
const feed = new EventFeed(openName);
const funnel = new Funnel(openName, (gate) => hot.setFilter(`gate:${gate.toLowerCase()}`));

function paintPlant() {
  if (!plant) return;
  paintProcesses(plant.processes, frame.head()?.control.killed ?? false);
  paintStages(plant.stages);
  paintRings(plant.rings);
  paintTimeline();
}

watchSpan(paintPlant);
watchTabs();
watchTimeline();
new ResizeObserver(paintTimeline).observe($("timeline"));
frame.connect();
