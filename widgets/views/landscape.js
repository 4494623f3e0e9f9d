// The map: a table of whole attacks, each a small picture with its place in the line-up; the one chosen stands beside it.

const CELL_SIDE = 32;

function render({ model, el, film }) {
  const grids = model.get("grids");
  const what = element("select", { ariaLabel: "Which map", onchange: () => ask() }, ...grids.map(({ name, question }) => element("option", { value: name }, question)));
  const table = element("table", "lab-map");
  const fill = small("", () => (left ? stop() : compute()));
  const said = saying();
  const tell = sender(model, said);
  const canvas = element("canvas", { class: "lab-picture", role: "img" });
  const heading = element("h3");
  const verdict = element("p");
  const open = element("a", { class: "lab-button", href: "#", onclick: (event) => { event.preventDefault(); film.tell("look", "server"); tell({ type: "open", grid: grid.name, ...place(chosen) }); } }, "Open it in the loop");
  const beside = element("div", { class: "lab-map-cell", hidden: true }, heading, element("div", "lab-frame", canvas), verdict, open);
  const card = foldable("lab-landscape", "The map",
    element("div", "lab-row", what, fill),
    element("div", "lab-map-and-cell", element("div", { class: "lab-scroll", tabIndex: 0, role: "region", ariaLabel: "The map as a table" }, table), beside),
    soft("Every cell is a whole attack; the number is the place of the secret in a line-up of eight. Orange frame: recognisable. Pictures are shown once the secret is revealed."), said);
  let grid = grids[0], cells = [], chosen = null, left = 0;

  const place = ({ row, column }) => ({ row, column });

  function ask() {
    grid = grids.find(({ name }) => name === what.value);
    said.textContent = "";
    tell({ type: "show", grid: grid.name });
  }

  function compute() {
    tell({ type: "fill", grid: grid.name });
  }

  function stop() {
    left = 0;
    tell({ type: "stop" });
    draw();
  }

  /** In words what a cell is of. */
  const named = ({ row, column }) => `${grid.down.title}: ${grid.down.values[row]}; ${grid.across.title}: ${grid.across.values[column]}`;

  function picture(node, cell) {
    paint(node, cell.known ? cell.picture : new Uint8Array(3 * CELL_SIDE ** 2).fill(200), CELL_SIDE, CELL_SIDE);
  }

  function button(cell) {
    const thumb = element("canvas", { class: "lab-picture", ariaHidden: true });
    picture(thumb, cell);
    const told = cell.known ? `${cell.verdict}, ${cell.place} in the line-up, ${cell.score}` : "not yet computed";
    return element("button", { class: "lab-map-button", ariaLabel: `${named(cell)}: ${told}.`, ariaPressed: cell === chosen, "data-verdict": cell.verdict ?? "", onclick: () => choose(cell) },
      thumb, element("span", { ariaHidden: true }, cell.known ? cell.place : "…"));
  }

  function choose(cell) {
    chosen = cell;
    draw();
    table.querySelector('[aria-pressed="true"]')?.focus({ preventScroll: true });
  }

  function draw() {
    const { down, across } = grid;
    const head = element("tr", {}, element("td", {}, `${down.title} ↓ ${across.title} →`), ...across.values.map((words) => element("th", { scope: "col" }, words)));
    const rows = down.values.map((words, row) => element("tr", {}, element("th", { scope: "row" }, words),
      ...cells.filter((cell) => cell.row === row).map((cell) => element("td", {}, button(cell)))));
    table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
    fill.textContent = left ? `Stop: ${left} of ${cells.length} still to come` : "Compute it here, on the present secret";
    beside.hidden = !chosen;
    if (!chosen) return;
    heading.textContent = named(chosen);
    picture(canvas, chosen);
    canvas.ariaLabel = "What this attack found";
    verdict.textContent = chosen.known ? `${chosen.verdict}: ${chosen.place} in the line-up, ${chosen.score}, ${lasting(chosen.seconds)} of computing.` : "Not yet computed.";
    open.href = `?${chosen.link ?? ""}`;
  }

  function receive({ type, grid: of, cells: told, cell, left: still = 0, sentence }, buffers) {
    if (type === "said") said.textContent = sentence;
    if (of !== grid.name) return;
    const pictures = [...buffers];
    const pictured = (each) => (each.known ? { ...each, picture: bytes(pictures.shift()) } : each);
    const at = chosen && place(chosen);
    if (type === "cells") cells = told.map(pictured);
    if (type === "cell") cells = cells.map((each) => (each.row === cell.row && each.column === cell.column ? pictured(cell) : each));
    left = still;
    chosen = at && cells.find((each) => each.row === at.row && each.column === at.column);
    draw();
  }

  card.addEventListener("toggle", () => { if (card.open && !cells.length) ask(); });
  el.append(card);
  draw();
  model.on("msg:custom", receive);
  return follow(film, { map: () => { card.open = true; card.scrollIntoView({ block: "nearest" }); } });
}
