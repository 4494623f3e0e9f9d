// The derivation of x = (dL/dW_i) / (dL/db_i), step by step, with the numbers of this round.

const Z = "<msub><mi>z</mi><mi>i</mi></msub>";
const LAYER = formula(`<mi>z</mi><mo>=</mo><mi>W</mi><mi>x</mi><mo>+</mo><mi>b</mi>`);
const CHAIN = formula(`${slope(W)}<mo>=</mo>${slope(Z)}<msup><mi>x</mi><mi>⊤</mi></msup><mo>,</mo><mspace width="1.6em"/>${slope(B)}<mo>=</mo>${slope(Z)}`);
const RATIO = formula(`<mi>x</mi><mo>=</mo><mrow>${slope(W)}<mo>/</mo>${slope(B)}</mrow>`);
const BARS = { width: 420, height: 84, most: 256 };

function step(count, title, ...body) {
  return element("li", {}, element("h3", {}, title), ...body);
}

/** |dL/db_i| of every unit; the chosen one stands out. A wide layer shows the units around the chosen one. */
function slopeBars(data, pick) {
  const slopes = floats(data.slopes);
  const first = Math.max(0, Math.min(slopes.length - BARS.most, data.row - BARS.most / 2));
  const shown = [...slopes.subarray(first, first + BARS.most)].map(Math.abs);
  const most = Math.max(...shown, 1e-30);
  const wide = BARS.width / shown.length;
  const svg = drawn("svg", { viewBox: `0 0 ${BARS.width} ${BARS.height}`, class: "lab-slopes", preserveAspectRatio: "none", "aria-hidden": true });
  shown.forEach((value, index) => {
    const tall = Math.max(1, (value / most) * (BARS.height - 4));
    svg.append(drawn("rect", { x: index * wide + wide * 0.1, y: BARS.height - tall, width: wide * 0.8, height: tall, class: first + index === data.row ? "lab-picked" : "" }));
  });
  svg.addEventListener("click", (event) => {
    const bounds = svg.getBoundingClientRect();
    pick(first + Math.min(shown.length - 1, Math.floor(((event.clientX - bounds.left) / bounds.width) * shown.length)));
  });
  return svg;
}

function rowPicker(data, pick) {
  const name = element("output", {}, `row i = ${data.row} of ${data.rows}`);
  const slider = element("input", {
    type: "range", class: "lab-plain-range", min: 0, max: data.rows - 1, value: data.row, ariaLabel: "Row i of the layer",
    oninput: () => { name.textContent = `row i = ${slider.value} of ${data.rows}`; }, onchange: () => pick(slider.valueAsNumber),
  });
  return element("div", {}, slopeBars(data, pick), element("div", "lab-sliding", slider, name),
    soft(`Bars: |∂L/∂b| of each unit of ${data.layer}. The louder the unit, the safer the division.`));
}

function numbersTable(data) {
  const [weights, recovered, truth] = [data.weight_row, data.recovered, data.truth].map((buffer) => [...floats(buffer)]);
  const head = element("tr", {}, ...["j", "∂L/∂W", "÷ ∂L/∂b", "recovered x", ...(data.truth ? ["true x"] : [])].map((name) => element("th", { scope: "col" }, name)));
  const rows = weights.map((value, index) => element("tr", {},
    element("th", { scope: "row" }, String(data.positions[index])),
    ...[short(value, 5), short(data.divisor, 5), short(recovered[index], 4), ...(data.truth ? [short(truth[index], 4)] : [])].map((text) => element("td", {}, text))));
  return element("div", { class: "lab-scroll", tabIndex: 0, role: "region", ariaLabel: "Entries of the row" },
    element("table", "lab-table", element("thead", {}, head), element("tbody", {}, ...rows)));
}

function figure(title, alt, canvas) {
  canvas.setAttribute("role", "img");
  canvas.ariaLabel = alt;
  return element("figure", {}, canvas, element("figcaption", {}, title));
}

/** Many numbers as shades from ``low`` to ``high``: a strip for few, a square for many. */
function strip(values, low, high, dark) {
  const width = Math.min(values.length, Math.max(32, Math.ceil(Math.sqrt(values.length))));
  const height = Math.ceil(values.length / width);
  const shades = Uint8ClampedArray.from({ length: width * height }, (_, index) => (255 * (values[index] - low)) / (high - low || 1));
  return mapCanvas({ shades, count: 1, height, width }, dark);
}

function comparison(data, dark) {
  if (data.is_picture) return [
    ...(data.true_picture ? [figure("what entered the layer", "The true input: the private picture", pictureOf(data.true_picture))] : []),
    figure("what the division gives", "The recovered input as a picture", pictureOf(data.recovered_picture))];
  const [truth, recovered] = [floats(data.truth_all), floats(data.recovered_all)];
  const scale = truth.length ? truth : recovered;
  const low = scale.reduce((a, b) => Math.min(a, b), Infinity);
  const high = scale.reduce((a, b) => Math.max(a, b), -Infinity);
  const name = `${grouped(data.inputs)} features`;
  return [
    ...(truth.length ? [figure(`true: ${name}`, `The true ${name} as shades`, strip(truth, low, high, dark))] : []),
    figure(`recovered: ${name}`, `The recovered ${name} as shades`, strip(recovered, low, high, dark))];
}

/** The whole panel for one derivation; ``pick`` asks for another row. */
function algebraPanel(data, pick, dark) {
  if (data.readable === undefined) return [soft("The derivation appears as soon as the engine is ready.")];
  if (data.span) return spanPanel(data.span);
  if (!data.readable) return [element("p", {}, data.sentence)];
  return [
    element("p", "lab-verdict-line", data.sentence),
    data.notice ? element("p", { class: "lab-notice", role: "status" }, data.notice) : "",
    element("ol", "lab-steps",
      step(1, "A fully connected layer multiplies its input", math(LAYER)),
      step(2, "The chain rule puts that input into its gradient", math(CHAIN)),
      step(3, "So one division gives the input, whatever the rest of the network is", math(RATIO), rowPicker(data, pick)),
      step(4, "With the numbers that were sent", numbersTable(data),
        element("div", `lab-pair ${data.is_picture ? "" : "lab-pair-wide"}`, ...comparison(data, dark),
          ...(data.truth ? [element("p", "lab-error-size", `largest error ${short(data.error, 4)}`)] : [])))),
  ];
}
