// What was read off one by one: how far it is from fitting, and how far the nearest is that was refused.

const PLOT = { width: 300, height: 236, left: 34, right: 296, top: 10, bottom: 150, decades: 9 };
const MOST_LABELS = 24;
const LONGEST_LABEL = 14;
const EVERY_NUMBERED = 5;

/** Distances of 1 and less, on a logarithmic scale; 10⁻⁹ and less lie at the bottom. */
function heightOf(off) {
  const share = Math.min(1, Math.max(0, 1 + Math.log10(Math.max(off ?? 1, 1e-30)) / PLOT.decades));
  return PLOT.bottom - share * (PLOT.bottom - PLOT.top);
}

function decadeLines() {
  return [0, 3, 6, 9].flatMap((decade) => {
    const y = heightOf(10 ** -decade);
    return [drawn("line", { x1: PLOT.left, x2: PLOT.right, y1: y, y2: y, class: "lab-grid" }),
      drawn("text", { x: PLOT.left - 6, y: y + 4, "text-anchor": "end" }, decade ? power(10 ** -decade).replace("1·", "") : "1")];
  });
}

/** One thing that was read: a dot for it, one for the nearest other, and the gap between them. */
function readingMark({ off, other_off }, x, now) {
  const [low, high] = [heightOf(off), heightOf(other_off)];
  return [drawn("line", { x1: x, x2: x, y1: low, y2: high, class: "lab-between" }),
    drawn("circle", { cx: x, cy: high, r: now ? 5 : 3.5, class: "lab-dot lab-dot-psnr" }), drawn("circle", { cx: x, cy: low, r: now ? 5 : 3.5, class: "lab-dot lab-dot-objective" })];
}

/** Its name, slanted; where several things stand at one place, every fifth place has its number instead. */
function readingLabel({ what }, number, x, several, every) {
  const y = PLOT.bottom + 14;
  if (several) return (number + 1) % EVERY_NUMBERED && number ? [] : [drawn("text", { x, y, "text-anchor": "middle" }, String(number + 1))];
  const name = what.length > LONGEST_LABEL ? `${what.slice(0, LONGEST_LABEL - 1)}…` : what;
  return number % every ? [] : [drawn("text", { x, y, "text-anchor": "end", transform: `rotate(-50 ${x} ${y})` }, name)];
}

/** `seek` gets where a finger or a pressed pointer is, in the units of a drawing of this width. */
function followPointer(svg, width, seek) {
  const tell = ({ clientX }) => {
    const bounds = svg.getBoundingClientRect();
    seek(((clientX - bounds.left) / bounds.width) * width);
  };
  svg.addEventListener("pointerdown", (event) => { svg.setPointerCapture(event.pointerId); tell(event); });
  svg.addEventListener("pointermove", (event) => { if (event.buttons) tell(event); });
}

/** The plot with its words; `draw(readings, count, place, round)` marks one of them. */
function readingsPart(choose) {
  const svg = drawn("svg", { viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, class: "lab-plot", role: "img" });
  const by = element("span"), ends = soft();
  const value = () => [element("dt"), element("dd")];
  const [right, other] = [value(), value()];
  const [found, nearest] = [["leak", right], ["private", other]].map(([key, [name, size]]) => element("div", {}, element("span", `lab-key lab-key-${key}`), name, size));
  const said = element("dl", "lab-reading-now", found, nearest);
  const node = element("div", { class: "lab-readings", hidden: true },
    element("h2", {}, by, meaning("readings", "these distances")),
    soft(element("span", "lab-key lab-key-leak", "what fits"), " and ",
      element("span", "lab-key lab-key-private", "the nearest that does not"), ": how much of it lies outside what was shared (log scale)"),
    said, svg, ends);
  let x = () => 0, shown = 0;

  function draw(readings, count, place, { read_by = "place", count: several = 1, span }) {
    shown = readings.length;
    by.textContent = `Read off, ${read_by} by ${read_by}`;
    said.style.display = shown ? "" : "none";
    if (!shown) return ended(span);
    const every = Math.ceil(count / MOST_LABELS);
    x = (index) => PLOT.left + ((index + 0.5) / count) * (PLOT.right - PLOT.left);
    const now = readings[place - 1] ?? readings.at(-1), index = readings.indexOf(now);
    svg.setAttribute("viewBox", `0 0 ${PLOT.width} ${several > 1 ? PLOT.bottom + 22 : PLOT.height}`);
    ends.textContent = span ? taken(span) : "";
    svg.replaceChildren(...decadeLines(), drawn("line", { x1: x(index), x2: x(index), y1: PLOT.top - 6, y2: PLOT.bottom, class: "lab-cursor" }),
      ...readings.flatMap((reading, number) => [...readingMark(reading, x(number), reading === now), ...readingLabel(reading, number, x(number), several > 1, every)]));
    right[0].textContent = `${index + 1}: ${now.what}`;
    right[1].textContent = short(now.off);
    nearest.hidden = !now.other;
    other[0].textContent = now.other;
    other[1].textContent = short(now.other_off);
    const beside = now.other ? `; the nearest other, “${now.other}”, ${short(now.other_off)}` : "";
    svg.ariaLabel = `${read_by[0].toUpperCase()}${read_by.slice(1)} ${index + 1}: “${now.what}” is ${short(now.off)} outside${beside}.`;
  }

  /** Nothing stands out: why. */
  function ended(span) {
    svg.setAttribute("viewBox", `0 0 ${PLOT.width} ${PLOT.bottom + 10}`);
    svg.replaceChildren(...decadeLines());
    ends.textContent = wall(span);
    svg.ariaLabel = ends.textContent;
  }

  function seek(at) {
    if (!shown) return;
    const far = Array.from({ length: shown }, (_, index) => Math.abs(x(index) - at));
    choose(far.indexOf(Math.min(...far)) + 1);
  }

  followPointer(svg, PLOT.width, seek);
  return { node, draw };
}
