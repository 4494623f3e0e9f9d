const BOX = { width: 420, height: 290, left: 56, right: 384, top: 22, bottom: 250 };

/** The powers of ten around some positive values. */
function decades(values) {
  const positive = values.filter((value) => value > 0);
  if (!positive.length) return [-2, 0];
  return [Math.floor(Math.log10(Math.min(...positive))), Math.ceil(Math.log10(Math.max(...positive)) + 1e-9)];
}

function scales(points, iterations) {
  const [low, high] = decades(points.map((point) => point.objective));
  const ratios = points.map((point) => point.psnr_db).filter(Number.isFinite);
  const top = Math.max(40, 10 * Math.ceil(Math.max(0, ...ratios) / 10));
  const span = Math.max(1, high - low);
  const down = (share) => BOX.bottom - share * (BOX.bottom - BOX.top);
  return {
    low, high: low + span, top,
    x: (iteration) => BOX.left + (Math.log1p(iteration) / Math.log1p(Math.max(1, iterations))) * (BOX.right - BOX.left),
    objective: (value) => down((Math.log10(value) - low) / span),
    psnr: (value) => down(Math.max(0, value) / top),
  };
}

function path(points, scale, name, place) {
  const found = points.filter((point) => Number.isFinite(point[name]) && (name !== "objective" || point.objective > 0));
  return found.map((point, index) => `${index ? "L" : "M"}${scale.x(point.iteration).toFixed(1)} ${place(point[name]).toFixed(1)}`).join("");
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
  for (let psnr = 0; psnr <= scale.top; psnr += scale.top / 4) lines.push(drawn("text", { x: BOX.right + 8, y: scale.psnr(psnr) + 4 }, String(Math.round(psnr))));
  for (const iteration of marks(iterations)) {
    lines.push(drawn("text", { x: scale.x(iteration), y: BOX.bottom + 20, "text-anchor": "middle" }, grouped(iteration)));
  }
  return lines;
}

async function render({ model, el, host }) {
  const film = await filmOf(model, host);
  const svg = drawn("svg", { viewBox: `0 0 ${BOX.width} ${BOX.height}`, class: "lab-plot", role: "img", "aria-label": "No curve before the first picture." });
  const axes = drawn("g");
  const before = ["objective", "psnr"].map((name) => drawn("path", { class: `lab-line lab-line-${name} lab-before` }));
  const lines = ["objective", "psnr"].map((name) => drawn("path", { class: `lab-line lab-line-${name}` }));
  const dots = ["objective", "psnr"].map((name) => drawn("circle", { r: 4, class: `lab-dot lab-dot-${name}` }));
  const cursor = drawn("line", { y1: BOX.top - 4, y2: BOX.bottom, class: "lab-cursor" });
  const ends = drawn("text", { x: (BOX.left + BOX.right) / 2, y: BOX.bottom + 36, "text-anchor": "middle" }, "iteration (log scale)");
  svg.append(axes, ends, ...before, cursor, ...lines, ...dots);
  const values = ["objective", "PSNR", "SSIM", "a grey square gets"].map((name) => [name, element("dd", {})]);
  const read = element("dl", { class: "lab-readout", hidden: true }, ...values.map(([name, value]) =>
    element("div", {}, element("dt", {}, name, meaning(name, name === "a grey square gets" ? "a grey square" : name)), value)));
  const ghost = element("p", { class: "lab-soft lab-ghost", hidden: true }, "Pale lines: the run before.");
  const found = readingsPart((place) => film.show(film.frames.findIndex((frame) => frame.readings?.length >= place)));
  const ofTruth = element("span", {}, " and ", element("span", { class: "lab-key lab-key-private" }, "PSNR"), " in dB (right)");
  const converges = element("div", {},
    element("h2", {}, "Convergence"),
    element("p", { class: "lab-soft" }, element("span", { class: "lab-key lab-key-leak" }, "objective"), " (log scale, left)", ofTruth),
    svg, read, ghost);
  const card = element("article", { class: "lab-card lab-curve", "aria-label": "Convergence" }, converges, found.node);

  let scale = scales([], 1);

  function draw() {
    const iterations = Math.max(film.iterations || 1, film.frames.at(-1)?.iteration ?? 1);
    scale = scales([...film.frames, ...film.previous], iterations);
    axes.replaceChildren(...grid(scale, iterations));
    ghost.hidden = !film.previous.length;
    ofTruth.hidden = Boolean(film.round.unknown);
    [["objective", scale.objective], ["psnr_db", scale.psnr]].forEach(([name, place], index) => {
      before[index].setAttribute("d", path(film.previous, scale, name, place));
      lines[index].setAttribute("d", path(film.frames, scale, name, place));
    });
    card.dataset.points = film.frames.length;
    point();
  }

  /** An attack that guesses nothing has no curve: it shows what speaks for each thing that it read. */
  function pointAtReading() {
    const readings = film.shown?.readings ?? [];
    found.node.hidden = readings.length === 0;
    converges.hidden = readings.length > 0;
    if (readings.length) found.draw(readings, Math.max(film.iterations, readings.length), film.shown.iteration);
    return readings.length > 0;
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
    place(dots[1], x, Number.isFinite(frame.psnr_db) ? scale.psnr(frame.psnr_db) : null);
    const grey = (frame.numbers ?? film.recording.numbers)?.grey_psnr_db;
    const texts = [short(frame.objective, 4), `${short(frame.psnr_db, 1)} dB`, short(frame.ssim), `${short(grey, 1)} dB`];
    const scored = Number.isFinite(frame.psnr_db) || !film.round.unknown;
    values.forEach(([name, value], index) => {
      value.textContent = texts[index];
      value.parentElement.hidden = !scored && name !== "objective";
    });
    const psnr = scored ? ` and the PSNR ${short(frame.psnr_db, 1)} decibels` : "";
    svg.setAttribute("aria-label", `At iteration ${frame.iteration} the objective is ${short(frame.objective, 4)}${psnr}.`);
  }

  function place(dot, x, y) {
    if (y === null) return void (dot.style.display = "none");
    dot.setAttribute("cx", x);
    dot.setAttribute("cy", y);
  }

  /** Show the frame nearest to the pointer. */
  function seek(event) {
    if (!film.frames.length) return;
    const bounds = svg.getBoundingClientRect();
    const x = ((event.clientX - bounds.left) / bounds.width) * BOX.width;
    const distance = (frame) => Math.abs(scale.x(frame.iteration) - x);
    film.show(film.frames.reduce((best, frame, index) => (distance(frame) < distance(film.frames[best]) ? index : best), 0));
  }

  svg.addEventListener("pointerdown", (event) => { svg.setPointerCapture(event.pointerId); seek(event); });
  svg.addEventListener("pointermove", (event) => { if (event.buttons) seek(event); });
  el.append(card);
  draw();
  return follow(film, { frames: draw, index: point, state: draw, round: draw });
}

export default { render };
