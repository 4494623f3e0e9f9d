// Several runs on one clock. Each moment holds one frame a side; the slider moves all of them together.

const SPARK = { width: 200, height: 56 };

/** The main score over the iterations so far; the dashed line is the moment shown. */
function spark(moments, side, iterations, at, main) {
  const svg = drawn("svg", { viewBox: `0 0 ${SPARK.width} ${SPARK.height}`, class: "lab-spark", preserveAspectRatio: "none", "aria-hidden": true });
  const x = (iteration) => (iteration / Math.max(1, iterations)) * SPARK.width;
  const score = (frame) => frame.measures[main?.name];
  const y = (value) => SPARK.height - 2 - (Math.max(0, Math.min(main.full, value)) / main.full) * (SPARK.height - 4);
  const points = moments.map((moment) => moment[side]).filter((frame) => Number.isFinite(score(frame)));
  svg.append(
    drawn("line", { x1: x(at), x2: x(at), y1: 0, y2: SPARK.height }),
    drawn("path", { d: points.map((frame, index) => `${index ? "L" : "M"}${x(frame.iteration).toFixed(1)} ${y(score(frame)).toFixed(1)}`).join("") }));
  return svg;
}

/** How many iterations the longest of them takes, as far as the runs have told. */
const longest = (moments) => Math.max(1, ...(moments.at(-1) ?? []).map((frame) => frame.iterations));

function sideCard({ title, labels }, index, mainNow) {
  const canvas = element("canvas", { class: "lab-picture", role: "img" });
  const word = element("b");
  const detail = element("span");
  const strip = element("div", "lab-strip lab-verdict", word, detail);
  const numbers = soft();
  const curve = element("div");
  const node = element("article", { class: "lab-side", ariaLabel: `${title}: ${labels[index]}` },
    element("h3", {}, `${title}: `, element("mark", {}, labels[index])), element("div", "lab-frame", canvas), strip, curve, numbers);

  function draw(moments, at) {
    const frame = moments[at]?.[index];
    show(canvas, frame ?? BLANK);
    canvas.ariaLabel = frame ? `${labels[index]}, iteration ${frame.iteration}: ${frame.verdict.toLowerCase()}.` : `${labels[index]}: no reconstruction yet.`;
    strip.dataset.strength = STRENGTH[frame?.verdict] ?? "none";
    word.textContent = frame?.verdict ?? "Waiting";
    detail.textContent = frame?.line_up ?? "";
    const main = mainNow(), score = frame?.measures[main?.name];
    numbers.textContent = frame ? [...(Number.isFinite(score) ? [told(main, score)] : []), lasting(frame.seconds)].join(" · ") : "";
    curve.replaceChildren(spark(moments, index, longest(moments), frame?.iteration ?? 0, main));
    node.dataset.verdict = frame?.verdict ?? "";
  }
  return { node, draw };
}

/** A score beside no title of its own: the unit says what it is, or else the name. */
const told = (measure, value) => (measure.unit ? measured(measure, value) : `${measure.title} ${measured(measure, value)}`);

function secretCard(secret) {
  const canvas = element("canvas", { class: "lab-picture", role: "img", ariaLabel: `The private ${secret.one}: ${secret.alt}` });
  if (secret.inputs) show(canvas, { ...secret, image: bytes(secret.values) });
  else {
    const tiled = tile(bytes(secret.images), secret.count, secret.height, secret.width);
    paint(canvas, tiled.rgb, tiled.height, tiled.width);
  }
  return element("article", { class: "lab-side lab-secret", ariaLabel: "The secret" }, element("h3", {}, "The secret"), element("div", "lab-frame", canvas));
}

/** No more stand beside one another; Python refuses them (contrasts.py). */
const MOST_SIDES = 6;

function render({ model, el, film }) {
  const what = element("select", { onchange: () => fillValues() });
  const [one, other] = [element("select"), element("select")];
  const labelled = (name, box) => element("label", {}, name, box);
  const go = small("Compare the two", () => compare([value(one), value(other)]));
  const all = small("", () => compare(contrast().options.slice(0, MOST_SIDES).map((option) => option.value)));
  const close = element("button", { class: "lab-small lab-close", onclick: leave }, "Close");
  const said = saying();
  const tell = sender(model, said);
  const sides = element("div", "lab-sides");
  const slider = element("input", { type: "range", class: "lab-scrub", min: 0, max: 0, step: 1, value: 0, ariaLabel: "Moment shown on all sides", oninput: () => { at = slider.valueAsNumber; draw(); } });
  const clock = element("output");
  const card = element("section", { class: "lab-card lab-compare-card", ariaLabel: "Side by side", hidden: true },
    element("h2", {}, "Side by side: same secret, same seed, one clock, one difference", meaning("sides", "a side")),
    element("div", "lab-compare-head", labelled("What differs", what), labelled("Left", one), labelled("Right", other), go, all, close),
    sides, element("div", "lab-clock", slider, clock), said);

  let moments = [], cards = [], at = 0;

  const contrast = () => model.get("contrasts")[what.selectedIndex] ?? { options: [] };
  const value = (box) => contrast().options[box.selectedIndex]?.value;

  function fill() {
    const before = what.value;
    what.replaceChildren(...model.get("contrasts").map(({ path, title }) => element("option", { value: path }, title)));
    const paths = model.get("contrasts").map(({ path }) => path);
    what.value = paths.includes(before) ? before : paths.includes("distance") ? "distance" : paths[0];
    fillValues();
  }

  function fillValues() {
    const { options, value: present } = contrast();
    const [first, second] = [Math.max(0, options.findIndex((option) => option.value === present)), options.findIndex((option) => option.value !== present)];
    [[one, first], [other, second]].forEach(([box, index]) => {
      box.replaceChildren(...options.map(({ label }) => element("option", {}, label)));
      box.selectedIndex = index;
    });
    all.hidden = options.length < 3;
    all.textContent = options.length > MOST_SIDES ? `The first ${MOST_SIDES}` : `All ${options.length}`;
  }

  function compare(values) {
    if (new Set(values).size < values.length) return void (said.textContent = "Choose two different values.");
    tell({ type: "compare", path: what.value, values });
  }

  /** The form says what is being compared, also where a chip chose it. */
  function reflect({ title, labels }) {
    const found = model.get("contrasts").findIndex((each) => each.title === title);
    if (found < 0) return;
    what.selectedIndex = found;
    fillValues();
    [one, other].forEach((box, index) => {
      const place = contrast().options.findIndex(({ label }) => label === labels[index]);
      if (place >= 0) box.selectedIndex = place;
    });
  }

  function clear() {
    reflect(model.get("shown"));
    moments = [];
    at = 0;
    cards = model.get("shown").labels.map((_, index) => sideCard(model.get("shown"), index, () => mainOf(model.get("secrets")[0] ?? {})));
    sides.replaceChildren(...cards.map(({ node }) => node));
    draw();
  }

  function showSecret() {
    sides.querySelector('[aria-label="The secret"]')?.remove();
    if (model.get("secrets").length) sides.prepend(secretCard(model.get("secrets")[0]));
  }

  function receive(content, buffers) {
    if (content.type === "clear") clear();
    if (content.type !== "moment" || !cards.length) return;
    const following = at >= moments.length - 1;
    moments.push(content.sides.map((frame, index) => ({ ...frame, image: bytes(buffers[index]) })));
    if (following) at = moments.length - 1;
    draw();
    requestAnimationFrame(() => requestAnimationFrame(() => tell({ type: "drawn", id: content.id })));
  }

  function draw() {
    for (const side of cards) side.draw(moments, at);
    slider.max = Math.max(0, moments.length - 1);
    slider.value = at;
    slider.disabled = moments.length < 2;
    slider.style.setProperty("--lab-done", `${(100 * at) / Math.max(1, moments.length - 1)}%`);
    const iteration = Math.max(0, ...(moments[at] ?? []).map((frame) => frame.iteration));
    clock.textContent = moments.length ? `iteration ${iteration} of ${longest(moments)}` : "";
    slider.ariaValueText = clock.textContent || "nothing yet";
    card.dataset.moments = moments.length;
  }

  function showState() {
    const { status, message } = model.get("state");
    card.dataset.status = status ?? "idle";
    const verdicts = (moments.at(-1) ?? []).map((frame, index) => `${model.get("shown").labels[index]}: ${frame.verdict.toLowerCase()}`);
    said.textContent = status === "finished" && verdicts.length ? `${message} ${verdicts.join("; ")}.` : message ?? "";
  }

  /** Open with the pair that a chip names, or with the form's choices. */
  function open(preset) {
    card.hidden = false;
    if (preset) tell({ type: "preset" });
    card.scrollIntoView({ block: "nearest" });
    what.focus({ preventScroll: true });
  }

  /** What an earlier chip or question has opened does not stay beside another one. */
  function leave() {
    if (card.hidden) return;
    card.hidden = true;
    tell({ type: "stop" });
    film.tell("closed", "compare");
  }

  el.append(card);
  fill();
  showState();
  model.on("change:contrasts", fill);
  model.on("change:secrets", showSecret);
  model.on("change:state", showState);
  model.on("msg:custom", receive);
  return follow(film, { compare: open, uncompare: leave });
}
