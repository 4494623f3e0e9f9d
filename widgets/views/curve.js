const BOX = { width: 420, height: 290, left: 56, right: 366, top: 22, bottom: 250 };

/** The powers of ten around some positive values. */
function decades(values) {
  const positive = values.filter((value) => value > 0);
  if (!positive.length) return [-2, 0];
  return [Math.floor(Math.log10(Math.min(...positive))), Math.ceil(Math.log10(Math.max(...positive)) + 1e-9)];
}

const scoreOf = (frame, main) => frame.measures?.[main?.name];

function scales(points, iterations, main) {
  const [low, high] = decades(points.map((point) => point.objective));
  const quarter = (main?.full ?? 1) / 4;
  const scores = points.map((point) => scoreOf(point, main)).filter(Number.isFinite);
  const top = quarter * Math.max(4, Math.ceil(Math.max(0, ...scores) / quarter));
  const span = Math.max(1, high - low);
  const down = (share) => BOX.bottom - share * (BOX.bottom - BOX.top);
  return {
    low, high: low + span, top,
    x: (iteration) => BOX.left + (Math.log1p(iteration) / Math.log1p(Math.max(1, iterations))) * (BOX.right - BOX.left),
    objective: (value) => down((Math.log10(value) - low) / span),
    score: (value) => down(Math.max(0, value) / top),
  };
}

function path(points, scale, value, place) {
  const found = points.filter((point) => Number.isFinite(value(point)));
  return found.map((point, index) => `${index ? "L" : "M"}${scale.x(point.iteration).toFixed(1)} ${place(value(point)).toFixed(1)}`).join("");
}

/** 1, 10, 100 ... and the last, without one that would stand in its way. */
function marks(iterations) {
  const tens = Array.from({ length: Math.floor(Math.log10(iterations)) + 1 }, (_, power) => 10 ** power);
  return [0, ...tens.filter((ten) => 1.8 * ten < iterations), iterations];
}

function grid(scale, iterations) {
  const lines = [];
  for (let decade = scale.low; decade <= scale.high; decade++) {
    const y = scale.objective(10 ** decade);
    lines.push(drawn("line", { x1: BOX.left, x2: BOX.right, y1: y, y2: y, class: "lab-grid" }));
    lines.push(drawn("text", { x: BOX.left - 8, y: y + 4, "text-anchor": "end" }, decade >= -2 ? String(Number((10 ** decade).toPrecision(1))) : power(10 ** decade).replace("1·", "")));
  }
  for (let part = 0; part <= 4; part++) {
    const score = (scale.top * part) / 4;
    lines.push(drawn("text", { x: BOX.right + 8, y: scale.score(score) + 4 }, String(Number(score.toPrecision(2)))));
  }
  for (const iteration of marks(iterations)) {
    lines.push(drawn("text", { x: scale.x(iteration), y: BOX.bottom + 20, "text-anchor": "middle" }, grouped(iteration)));
  }
  return lines;
}

function render({ model, el, film }) {
  const svg = drawn("svg", { viewBox: `0 0 ${BOX.width} ${BOX.height}`, class: "lab-plot", role: "img", "aria-label": "No curve before the first guess." });
  const axes = drawn("g");
  const before = ["objective", "psnr"].map((name) => drawn("path", { class: `lab-line lab-line-${name} lab-before` }));
  const lines = ["objective", "psnr"].map((name) => drawn("path", { class: `lab-line lab-line-${name}` }));
  const dots = ["objective", "psnr"].map((name) => drawn("circle", { r: 4, class: `lab-dot lab-dot-${name}` }));
  const cursor = drawn("line", { y1: BOX.top - 4, y2: BOX.bottom, class: "lab-cursor" });
  const ends = drawn("text", { x: (BOX.left + BOX.right) / 2, y: BOX.bottom + 36, "text-anchor": "middle" }, "iteration (log scale)");
  svg.append(axes, ends, ...before, cursor, ...lines, ...dots);
  const read = element("dl", { class: "lab-readout", hidden: true });
  const ghost = element("p", { class: "lab-soft lab-ghost", hidden: true }, "Pale lines: the run before.");
  const found = readingsPart((place) => film.show(film.frames.findIndex((frame) => frame.readings?.length >= place)));
  const [measureName, measureUnit] = [element("span", "lab-key lab-key-private"), element("span")];
  const ofTruth = element("span", {}, " and ", measureName, measureUnit);
  const converges = element("div", {},
    element("h2", {}, "Convergence"),
    soft(element("span", "lab-key lab-key-leak", "objective"), " (log scale, left)", ofTruth),
    svg, read, ghost);
  const card = element("article", { class: "lab-card lab-curve", ariaLabel: "Convergence" }, converges, found.node);

  let scale = scales([], 1, null), values = [], titled = null;

  /** The scores under the plot, those of the modality, and what the first answer gets that knows nothing. */
  function title() {
    const { measures = [], controls = [], unknown } = film.round;
    if (titled === film.round.measures) return;
    titled = film.round.measures;
    const main = mainOf(film.round), control = controls[0];
    const value = (measure) => (frame) => measured(measure, frame.measures?.[measure.name]);
    const nothing = (frame) => measured(main, (frame.numbers ?? film.recording.numbers)?.[control.name]);
    const told = [
      ["objective", MEANINGS.objective, (frame) => short(frame.objective, 4)],
      ...(unknown ? [] : measures.filter(({ in_summary }) => in_summary).map((measure) => [measure.title, measure.meaning, value(measure)])),
      ...(unknown || !control ? [] : [[`${control.spoken} gets`, MEANINGS.nothing, nothing]]),
    ];
    values = told.map(([, , text]) => [text, element("dd")]);
    read.replaceChildren(...told.map(([name, text], index) => element("div", {}, element("dt", {}, name, explained(text, name)), values[index][1])));
    measureName.textContent = main?.title ?? "";
    measureUnit.textContent = main?.unit ? ` in ${main.unit} (right)` : " (right)";
  }

  function draw() {
    const iterations = Math.max(film.iterations || 1, film.frames.at(-1)?.iteration ?? 1);
    const main = mainOf(film.round);
    title();
    scale = scales([...film.frames, ...film.previous], iterations, main);
    axes.replaceChildren(...grid(scale, iterations));
    ghost.hidden = !film.previous.length;
    ofTruth.hidden = Boolean(film.round.unknown) || !main;
    const objective = (frame) => (frame.objective > 0 ? frame.objective : NaN);
    [[objective, scale.objective], [(frame) => scoreOf(frame, main), scale.score]].forEach(([value, place], index) => {
      before[index].setAttribute("d", path(film.previous, scale, value, place));
      lines[index].setAttribute("d", path(film.frames, scale, value, place));
    });
    card.dataset.points = film.frames.length;
    point();
  }

  /** An attack that guesses nothing has no curve: it shows what speaks for each thing that it read. */
  function pointAtReading() {
    const readings = film.shown?.readings ?? [];
    const reads = readings.length > 0 || Boolean(film.round.span && film.shown && !Number.isFinite(film.shown.objective));
    found.node.hidden = !reads;
    converges.hidden = reads;
    const newest = film.frames.at(-1)?.readings?.length ?? 0, { places = newest } = film.round.span ?? {}; // a plot of words does not stretch
    if (reads) found.draw(readings, Math.max(places, newest), film.shown.iteration, film.round);
    return reads;
  }

  function point() {
    if (pointAtReading()) return;
    const frame = film.shown;
    for (const mark of [cursor, ...dots]) mark.style.display = frame ? "" : "none";
    read.hidden = !frame;
    if (!frame) return;
    const x = scale.x(frame.iteration);
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    place(dots[0], x, frame.objective > 0 ? scale.objective(frame.objective) : null);
    const main = mainOf(film.round), score = scoreOf(frame, main);
    place(dots[1], x, Number.isFinite(score) ? scale.score(score) : null);
    for (const [text, value] of values) value.textContent = text(frame);
    const told = Number.isFinite(score) ? ` and ${main.title} ${measured(main, score)}` : "";
    svg.ariaLabel = `At iteration ${frame.iteration} the objective is ${short(frame.objective, 4)}${told}.`;
  }

  function place(dot, x, y) {
    if (y === null) return void (dot.style.display = "none");
    dot.setAttribute("cx", x);
    dot.setAttribute("cy", y);
  }

  /** Show the frame nearest to the pointer. */
  function seek(x) {
    if (!film.frames.length) return;
    const distance = (frame) => Math.abs(scale.x(frame.iteration) - x);
    film.show(film.frames.reduce((best, frame, index) => (distance(frame) < distance(film.frames[best]) ? index : best), 0));
  }

  followPointer(svg, BOX.width, seek);
  el.append(card);
  draw();
  return follow(film, { frames: draw, index: point, state: draw, round: draw });
}
