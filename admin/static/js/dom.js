// The few DOM helpers the page needs. Text always goes through textContent: event text comes from the wire.
export const $ = (id) => document.getElementById(id);

export function el(tag, className = "", text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== "") node.textContent = text;
  return node;
}

/** Set text only when it differs: an untouched node costs no layout. */
export function setText(node, text) {
  if (node.shown !== text) {
    node.shown = text;
    node.textContent = text;
  }
}

export function setClass(node, name) {
  if (node.named !== name) {
    node.named = name;
    node.className = name;
  }
}

/** Bring `body` to `rows` by position: rows are made once and only changed cells are written. */
export function fillTable(body, rows, makeRow, paintRow) {
  while (body.children.length > rows.length) body.lastElementChild.remove();
  while (body.children.length < rows.length) body.append(makeRow());
  rows.forEach((row, k) => paintRow(body.children[k], row, k));
}

/** A maker of table rows with `n` cells. */
export const cells = (n) => () => {
  const row = document.createElement("tr");
  for (let k = 0; k < n; k += 1) row.append(document.createElement("td"));
  return row;
};

const sizes = new WeakMap(); // asking an element for its size while text is being written would lay the page out each time
const sizeWatch = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) sizes.set(target, [contentRect.width, contentRect.height]);
});

/** Canvas context scaled to the device pixel ratio; returns [context, css width, css height]. */
export function sized(canvas) {
  const ratio = devicePixelRatio || 1;
  if (!sizes.has(canvas)) {
    sizes.set(canvas, [canvas.clientWidth, canvas.clientHeight]);
    sizeWatch.observe(canvas);
  }
  const [w, h] = sizes.get(canvas);
  if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
    canvas.width = Math.round(w * ratio);
    canvas.height = Math.round(h * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, w, h);
  return [context, w, h];
}

/** A canvas that has nothing to show yet says so. */
export function waiting(c, w, h, text) {
  c.fillStyle = color("faint");
  c.font = MONO;
  c.textAlign = "center";
  c.fillText(text, w / 2, h / 2);
}

const style = getComputedStyle(document.documentElement);
export const color = (name) => style.getPropertyValue(`--${name}`).trim();
export const MONO = "11px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace";
