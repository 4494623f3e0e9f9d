// A pad of 32 x 32 cells: a pen in few colours, letters, undo; by pointer, finger and keyboard alike.

const SIDE = 32;
const PEN = 2;
const MOST_UNDOS = 50;
const SOLID = 127;
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const rgbOf = (code) => [1, 3, 5].map((at) => parseInt(code.slice(at, at + 2), 16));

/** The number of the colour that is nearest to these three bytes. */
function nearest(palette, rgb) {
  const far = palette.map((colour) => colour.reduce((sum, value, index) => sum + (value - rgb[index]) ** 2, 0));
  return far.indexOf(Math.min(...far));
}

/** What a text of a few letters or emoji looks like on the paper: the cells it fills, each with the number of its colour. */
function lettered(text, code, palette) {
  const context = element("canvas", { width: SIDE, height: SIDE }).getContext("2d", { willReadFrequently: true });
  const set = (size) => { context.font = `bold ${size}px sans-serif`; return context.measureText(text).width; };
  set(Math.min(28, (28 * (SIDE - 2)) / Math.max(1, set(28))));
  Object.assign(context, { fillStyle: code, textAlign: "center", textBaseline: "middle" });
  context.fillText(text, SIDE / 2, SIDE / 2 + 1);
  const { data } = context.getImageData(0, 0, SIDE, SIDE);
  const filled = [...Array(SIDE * SIDE).keys()].filter((cell) => data[4 * cell + 3] > SOLID);
  return filled.map((cell) => [cell, nearest(palette, data.subarray(4 * cell, 4 * cell + 3))]);
}

/** The pad; `changed` gets the cells after every change, `finish` when the drawing is to be attacked. */
function padOf(colours, { changed, finish, close }) {
  const names = Object.keys(colours);
  const palette = Object.values(colours).map(rgbOf);
  const past = [];
  let cells = new Uint8Array(SIDE * SIDE);
  let chosen = 1, last = null, cursor = [SIDE / 2, SIDE / 2];

  const canvas = element("canvas", { class: "lab-picture lab-paper", tabIndex: 0, role: "application", "aria-roledescription": "drawing pad",
    ariaLabel: "Drawing pad of 32 by 32 cells: arrow keys move the pen, space paints, Control Z takes back" });
  const here = element("i", { class: "lab-pen", ariaHidden: true });
  const said = element("span", { class: "lab-unseen", role: "status" });
  const inks = names.map((name, index) => element("button", { title: index ? name : "rubber", ariaLabel: index ? name : "rubber", onclick: () => choose(index) }));
  const text = element("input", { type: "text", maxLength: 8, placeholder: "Abc 😀", ariaLabel: "Letters or emoji to stamp", onkeydown: (event) => { if (event.key === "Enter") stamp(); } });
  const back = small("Undo", undo);
  const attack = element("button", { class: "lab-attack-drawing", onclick: () => finish(cells) }, "Attack my drawing");
  const read = element("canvas", { class: "lab-picture", ariaHidden: true });
  const echo = element("p", "lab-echo lab-soft", read, "What the server reads meanwhile"); // where the server's card is out of sight
  const node = element("div", "lab-pad",
    element("div", "lab-frame", canvas, here), said,
    element("div", { class: "lab-inks", role: "group", ariaLabel: "Colour" }, ...inks),
    echo,
    element("div", "lab-row", text, small("Stamp", stamp), back),
    attack,
    element("div", "lab-row", small("Clear", clear), small("Close", close)));

  inks.forEach((ink, index) => { ink.style.background = Object.values(colours)[index]; });

  function choose(index) {
    chosen = index;
    inks.forEach((ink, other) => ink.ariaPressed = other === index);
  }

  function draw() {
    const rgb = new Uint8Array(3 * cells.length);
    cells.forEach((cell, index) => rgb.set(palette[cell], 3 * index));
    paint(canvas, rgb, SIDE, SIDE);
    back.disabled = past.length === 0;
    attack.disabled = cells.every((cell) => cell === cells[0]);
    Object.assign(here.style, { left: `${(100 * cursor[0]) / SIDE}%`, top: `${(100 * cursor[1]) / SIDE}%` });
  }

  function redraw() {
    draw();
    changed(cells);
  }

  function keep() {
    past.push(cells.slice());
    if (past.length > MOST_UNDOS) past.shift();
  }

  function undo() {
    if (!past.length) return;
    cells = past.pop();
    redraw();
  }

  function clear() {
    keep();
    cells = new Uint8Array(SIDE * SIDE);
    redraw();
  }

  function stamp() {
    if (!text.value) return void text.focus();
    keep();
    for (const [cell, colour] of lettered(text.value, Object.values(colours)[chosen || 1], palette)) cells[cell] = colour;
    redraw();
  }

  /** A dab of the pen, cut off at the edge of the paper. */
  function dab([x, y]) {
    for (let row = y; row < Math.min(SIDE, y + PEN); row++) cells.fill(chosen, row * SIDE + x, row * SIDE + Math.min(SIDE, x + PEN));
  }

  /** From the last cell to this one without a gap. */
  function stroke([x, y]) {
    const [fromX, fromY] = last ?? [x, y];
    const steps = Math.max(1, Math.abs(x - fromX), Math.abs(y - fromY));
    for (let step = 0; step <= steps; step++) dab([Math.round(fromX + ((x - fromX) * step) / steps), Math.round(fromY + ((y - fromY) * step) / steps)]);
    last = [x, y];
    redraw();
  }

  const within = (value) => Math.min(SIDE - 1, Math.max(0, value));

  function cellAt({ clientX, clientY }) {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    return [within(Math.floor((SIDE * (clientX - left)) / width)), within(Math.floor((SIDE * (clientY - top)) / height))];
  }

  function press(event) {
    const move = MOVES[event.key];
    const wanted = move || event.key === " " || event.key === "Enter" || ((event.ctrlKey || event.metaKey) && event.key === "z");
    if (!wanted) return;
    event.preventDefault();
    event.stopPropagation(); // space and arrows mean something else elsewhere on the page
    if (move) {
      cursor = cursor.map((value, axis) => within(value + move[axis]));
      said.textContent = `Row ${cursor[1] + 1}, column ${cursor[0] + 1}: ${names[cells[cursor[1] * SIDE + cursor[0]]]}.`;
      draw();
    } else if (event.key === "z") undo();
    else {
      keep();
      last = null;
      stroke(cursor);
    }
  }

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    keep();
    last = null;
    stroke(cellAt(event));
  });
  canvas.addEventListener("pointermove", (event) => { if (canvas.hasPointerCapture(event.pointerId)) stroke(cellAt(event)); });
  canvas.addEventListener("keydown", press);
  choose(1);
  draw();
  return { node, echo: (found) => show(read, found), begin: () => { canvas.focus({ preventScroll: true }); changed(cells); } };
}
