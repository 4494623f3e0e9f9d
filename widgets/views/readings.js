// What was read off one by one: how far it is from fitting, and how far the nearest is that was refused.

const PLOT = { width: 420, height: 290, left: 48, right: 412, top: 14, bottom: 196, decades: 9 };
const MOST_LABELS = 24;
const LONGEST_LABEL = 11;

/** Distances of 1 and less, on a logarithmic scale; 10⁻⁹ and less lie at the bottom. */
function heightOf(off) {
  const share = Math.min(1, Math.max(0, 1 + Math.log10(Math.max(off ?? 1, 1e-30)) / PLOT.decades));
  return PLOT.bottom - share * (PLOT.bottom - PLOT.top);
}

function decadeLines() {
  return [0, 3, 6, 9].flatMap((decade) => {
    const y = heightOf(10 ** -decade);
    return [drawn("line", { x1: PLOT.left, x2: PLOT.right, y1: y, y2: y, class: "lab-grid" }),
      drawn("text", { x: PLOT.left - 8, y: y + 4, "text-anchor": "end" }, decade ? power(10 ** -decade).replace("1·", "") : "1")];
  });
}

/** One thing that was read: a dot for it, one for the nearest other, and the gap between them. */
function readingMark({ what, off, other_off }, x, labelled) {
  const [low, high] = [heightOf(off), heightOf(other_off)];
  const short_ = what.length > LONGEST_LABEL ? `${what.slice(0, LONGEST_LABEL - 1)}…` : what;
  const label = labelled ? [drawn("text", { x, y: PLOT.bottom + 14, "text-anchor": "end", transform: `rotate(-50 ${x} ${PLOT.bottom + 14})` }, short_)] : [];
  return [drawn("line", { x1: x, x2: x, y1: low, y2: high, class: "lab-between" }),
    drawn("circle", { cx: x, cy: high, r: 4, class: "lab-dot lab-dot-psnr" }), drawn("circle", { cx: x, cy: low, r: 4, class: "lab-dot lab-dot-objective" }), ...label];
}

/** The plot with its words; `draw(readings, count, place)` marks one of them. */
function readingsPart(choose) {
  const svg = drawn("svg", { viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, class: "lab-plot", role: "img" });
  const said = element("p", { class: "lab-reading-now" });
  const node = element("div", { class: "lab-readings", hidden: true },
    element("h2", {}, "Read off, place by place", meaning("readings", "these distances")),
    element("p", { class: "lab-soft" }, element("span", { class: "lab-key lab-key-leak" }, "what fits"), " and ",
      element("span", { class: "lab-key lab-key-private" }, "the nearest that does not"), ": how much of it lies outside what was shared (log scale)"),
    svg, said);
  let x = () => 0, shown = 0;

  function draw(readings, count, place) {
    shown = readings.length;
    const every = Math.ceil(count / MOST_LABELS);
    x = (index) => PLOT.left + ((index + 0.5) / count) * (PLOT.right - PLOT.left);
    const now = readings[place - 1] ?? readings.at(-1);
    const index = readings.indexOf(now);
    svg.replaceChildren(...decadeLines(), drawn("line", { x1: x(index), x2: x(index), y1: PLOT.top - 6, y2: PLOT.bottom, class: "lab-cursor" }),
      ...readings.flatMap((reading, number) => readingMark(reading, x(number), number % every === 0)));
    const other = now.other ? `; the nearest other, “${now.other}”, ${short(now.other_off)}` : "";
    said.textContent = `Place ${index + 1}: “${now.what}” is ${short(now.off)} outside${other}.`;
    svg.setAttribute("aria-label", said.textContent);
  }

  function seek(event) {
    const bounds = svg.getBoundingClientRect();
    const at = ((event.clientX - bounds.left) / bounds.width) * PLOT.width;
    const far = Array.from({ length: shown }, (_, index) => Math.abs(x(index) - at));
    choose(far.indexOf(Math.min(...far)) + 1);
  }

  svg.addEventListener("pointerdown", (event) => { svg.setPointerCapture(event.pointerId); seek(event); });
  svg.addEventListener("pointermove", (event) => { if (event.buttons) seek(event); });
  return { node, draw };
}
