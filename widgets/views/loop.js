// The loop: what was sent beside what the guess would send, layer by layer, and the way in which that moves the guess.

const MOST_LAYERS = 4;
const WIDEST_GAP = 18;
const CELLS = 48;
const NEXT = {
  moves: ["Move the picture this way", "Lighter where it is light, darker where it is dark: each nudge closes the gap a little."],
  still: ["Nothing is guessed here", "This attack solves equations; there is no slope to follow."],
  unseen: ["Then nudge the guess, and ask again", "Each nudge closes the gap a little."],
  drawn: ["Nothing is guessed while you draw", "These numbers follow your hand, and what you draw is read out of them without a guess. Attack it to see how."],
};

/** The layers with the longest updates, in the network's order. */
function longest(layers) {
  const floor = layers.map((layer) => layer.norm).sort((a, b) => b - a)[MOST_LAYERS - 1] ?? -1;
  return layers.filter((layer) => layer.norm >= floor).slice(0, MOST_LAYERS);
}

/** Two hexadecimal digits a cell, as shades: the least number is the palest. */
function shade(strip, cells) {
  strip.hidden = !cells;
  [...strip.children].forEach((cell, index) => {
    const digits = cells?.slice(2 * index, 2 * index + 2);
    cell.style.display = digits ? "" : "none";
    if (digits) cell.style.opacity = 0.06 + (0.94 * parseInt(digits, 16)) / 255;
  });
}

function strip(side) {
  return element("span", `lab-strip-of lab-${side}`, ...Array.from({ length: CELLS }, () => element("i")));
}

/** One minus the cosine of the angle between two updates; null where one of them is silent. */
const gapOf = (cosine) => (cosine === null || cosine === undefined ? null : Math.max(0, 1 - cosine));

/** The same of all layers together. */
function wholeGap(layers) {
  const sum = (value) => layers.reduce((total, layer) => total + (value(layer) ?? 0), 0);
  const product = sum((layer) => layer.cosine * layer.candidate_norm * layer.shared_norm);
  const lengths = Math.sqrt(sum((layer) => layer.candidate_norm ** 2) * sum((layer) => layer.shared_norm ** 2));
  return lengths > 0 ? Math.max(0, 1 - product / lengths) : null;
}

/** A sheet of shades as the strips have them, a row for each unit; the colour is the canvas's own. */
function paintSheet(canvas, units, cells) {
  const width = cells.length / 2 / units;
  Object.assign(canvas, { width, height: units });
  const context = canvas.getContext("2d");
  context.fillStyle = getComputedStyle(canvas).color;
  for (let place = 0; place < width * units; place++) {
    context.globalAlpha = parseInt(cells.slice(2 * place, 2 * place + 2), 16) / 255;
    context.fillRect(place % width, Math.floor(place / width), 1, 1);
  }
}

/** The frame of which a layer's sheet is there that is nearest to the one shown: before it, else after it. */
function sheetAt(film, name) {
  const of = (frame) => frame.layers?.find((layer) => layer.name === name)?.sheet;
  const frame = film.frames.findLast((each, index) => index <= film.position && of(each)) ?? film.frames.find(of);
  return frame && { ...of(frame), iteration: frame.iteration };
}

/** A row of the loop, drawn anew by `draw(sent, guess)`; a click on its name opens the layer. */
function layerRow(layer, open) {
  const [sent, guess] = [strip("sent-strip"), strip("guess-strip")];
  const gap = element("span", "lab-gap");
  const number = element("b");
  const node = element("li", { title: `${layer.name}: ${grouped(layer.count)} numbers, of which up to ${CELLS} of its loudest unit are drawn` },
    element("button", { class: "lab-layer-name", ariaExpanded: false, "aria-controls": "lab-sheets", onclick: () => open(layer.name) }, layer.name), element("span", { class: "lab-strips", ariaHidden: true }, sent, gap, guess), element("span", "lab-unseen", "gap"), number);
  shade(sent, layer.cells);
  return {
    node,
    draw(found) {
      const value = gapOf(found?.cosine);
      shade(guess, found?.cells);
      gap.style.height = `${found ? Math.round(WIDEST_GAP * Math.min(1, value ?? 1)) : WIDEST_GAP}px`;
      number.textContent = found ? (value === null ? "silent" : short(value)) : "";
    },
  };
}

/** Grey bytes as a picture. */
function paintGrey(canvas, grey, height, width) {
  const rgb = new Uint8Array(3 * grey.length);
  grey.forEach((value, index) => rgb.fill(value, 3 * index, 3 * index + 3));
  paint(canvas, rgb, height, width);
}

function render({ model, el, film, signal }) {
  const tell = sender(model);
  const title = element("span");
  const count = element("p", "lab-soft lab-count");
  const rows = element("ul", { class: "lab-loop", ariaLabel: "The gap between both, layer by layer" });
  const rest = element("p", "lab-soft lab-rest");
  const fill = element("i");
  const whole = element("b");
  const canvas = element("canvas", { class: "lab-picture lab-downhill", role: "img", ariaLabel: "Which way each pixel is moved" });
  const next = element("b");
  const why = element("span", "lab-soft");
  const wall = element("div", { class: "lab-wall", id: "lab-wall", hidden: true });
  const more = element("button", { class: "lab-small", ariaExpanded: false, "aria-controls": "lab-wall", onclick: toggleNumbers }, "Show numbers");
  const sheets = element("div", { class: "lab-sheets", id: "lab-sheets", hidden: true });
  const ways = ["guess", "algebra"].map((name) => element("button", { ariaPressed: name === "guess", onclick: () => choose(name) }, name));
  const toggle = element("div", { class: "lab-group", role: "group", ariaLabel: "Two ways in" }, ...ways);
  const peeling = peelingOf();
  const again = small("↻ Peel again", () => peel());
  const breaks = small("What breaks it?", () => film.tell("look", "conditions"));
  const who = element("span", "lab-who");
  let drawn = [], opened = "", way = "guess", status = "";

  const card = element("article", { class: "lab-card lab-sent", ariaLabel: "Sent over the network" },
    who,
    element("h2", {}, title, meaning("loop", "this comparison")),
    element("p", { class: "lab-legend", ariaHidden: true }, element("i", "lab-sent-strip"), "sent ", element("i", "lab-guess-strip"), "this guess would send"),
    peeling.node, rows, rest, sheets,
    element("div", "lab-whole", element("span", {}, "Gap, all layers"), element("span", { class: "lab-whole-bar", ariaHidden: true }, fill), whole),
    element("div", "lab-next-move", canvas, element("p", {}, next, " ", why)),
    element("div", "lab-row lab-numbers-row", count, more, again, breaks, toggle), wall);

  function toggleNumbers() {
    wall.hidden = !wall.hidden;
    more.textContent = wall.hidden ? "Show numbers" : "Hide numbers";
    more.ariaExpanded = !wall.hidden;
  }

  /** Guess and compare, or solve: one of the two is in sight, here and on the server's card. */
  function choose(wanted) {
    if (wanted === "algebra") film.stop();
    if (wanted === way) return;
    way = wanted;
    card.dataset.way = way;
    for (const button of ways) button.ariaPressed = button.textContent === way;
    peeling.node.hidden = way === "guess";
    if (way === "algebra" && !model.get("descent").layers) peel();
    drawPeeled();
    drawTitle();
  }

  function peel() {
    tell({ descend: true });
  }

  /** What the algebra has come to. */
  function drawPeeled() {
    const found = model.get("descent");
    toggle.hidden = Boolean(film.round.inputs);
    again.hidden = way === "guess" || !["done", "failed"].includes(found.status);
    breaks.hidden = again.hidden || !film.parts?.has("conditions") || Boolean(film.staged);
    peeling.draw(found, el.closest(".lab")?.dataset.theme === "dark");
    film.peel(way === "algebra" ? found : null);
    if (found.picture) film.cover(false); // as at the end of a run
  }

  /** A run that begins, or is looked at, is one of guesses. */
  function followRun() {
    const began = film.state.status === "running" && status !== "running";
    status = film.state.status;
    if (began) choose("guess");
  }

  /** One layer at a time; once more closes it. */
  function open(name) {
    opened = opened === name ? "" : name;
    tell({ type: "layer", name: opened });
    drawSheets();
  }

  function drawSheets() {
    for (const [name, { node }] of drawn) node.firstChild.ariaExpanded = name === opened;
    sheets.hidden = !opened || !drawn.some(([name]) => name === opened);
    if (sheets.hidden) return;
    const found = sheetAt(film, opened);
    if (!found) return sheets.replaceChildren(soft(`The numbers of ${opened} are shown while a live attack runs, and at its end.`));
    const sides = [["sent", "sent"], ["guess", "this guess would send"]].map(([side, title]) => {
      const canvas = element("canvas", { class: `lab-picture lab-sheet lab-sheet-${side}`, role: "img", ariaLabel: `${opened}, ${title}` });
      return element("figure", {}, canvas, element("figcaption", "lab-soft", title));
    });
    sheets.replaceChildren(soft(`${opened} at iteration ${found.iteration}: a row for each of ${found.units} units, the least number palest.`), ...sides);
    for (const side of ["sent", "guess"]) paintSheet(sheets.querySelector(`.lab-sheet-${side}`), found.units, found[side]);
  }

  function drawTitle() {
    who.textContent = way === "algebra" ? "No guessing at all" : "Sent over the network";
    title.textContent = way === "algebra" ? "Divide, and the layers come off" : film.sketched ? "Your strokes, as numbers" : "Would it send the same?";
  }

  function drawRound() {
    const { layers = [], numbers, tensors, kind, sample } = film.sent;
    drawTitle();
    card.toggleAttribute("data-drawn", Boolean(film.sketched));
    toggle.hidden = Boolean(film.round.inputs);
    if (numbers === undefined) return;
    count.textContent = `The ${kind}: ${grouped(numbers)} numbers in ${tensors} tensors.`;
    const shown = longest(layers);
    drawn = shown.map((layer) => [layer.name, layerRow(layer, open)]);
    rows.replaceChildren(...drawn.map(([, row]) => row.node));
    rest.textContent = layers.length > shown.length ? `and ${layers.length - shown.length} layers of shorter updates` : "";
    wall.textContent = [...floats(sample)].map((value) => short(value, 4)).join("  ");
    drawFrame();
  }

  function drawFrame() {
    const frame = lookedAt(film);
    for (const [name, row] of drawn) row.draw(frame?.layers.find((layer) => layer.name === name));
    const gap = frame ? wholeGap(frame.layers) : null;
    fill.style.width = `${100 * Math.min(1, gap ?? 1)}%`;
    whole.textContent = frame ? short(gap) : "no guess yet";
    canvas.hidden = !frame?.downhill;
    if (frame?.downhill) paintGrey(canvas, frame.downhill, frame.height, frame.width);
    [next.textContent, why.textContent] = NEXT[film.sketched ? "drawn" : !frame ? "unseen" : frame.downhill ? "moves" : "still"];
    card.dataset.looked = frame?.iteration ?? "";
    drawSheets();
  }

  el.append(card);
  drawRound();
  peeling.node.hidden = true;
  drawPeeled();
  model.on("change:descent", () => (model.get("descent").status ? drawPeeled() : choose("guess"))); // another round is not solved
  document.addEventListener("lab:theme", drawPeeled, { signal });
  return follow(film, { round: drawRound, frames: drawFrame, index: () => { choose("guess"); drawFrame(); }, state: followRun, peel: () => choose("algebra") });
}
