// What words are checked against: the directions that the gradient of the first attention tells.

const DELTA = "<msub><mi>δ</mi><mi>t</mi></msub>";
const A = "<msub><mi>a</mi><mi>t</mi></msub>";
const MAPS = formula(`<msub><mi>z</mi><mi>t</mi></msub><mo>=</mo><mi>W</mi>${A}`);
const SUM = formula(`<mfrac><mrow><mi>∂</mi><mi>L</mi></mrow><mrow><mi>∂</mi><mi>W</mi></mrow></mfrac><mo>=</mo><munder><mo>∑</mo><mi>t</mi></munder>${DELTA}<msup>${A}<mi>⊤</mi></msup>`);
const LIES = formula(`${A}<mo>∈</mo><mi>span</mi>`);
const SPAN = { width: 512, height: 70, decades: 9 };

/** Every direction as a bar, on a logarithmic scale; those that are told stand out. */
function directionBars({ rank, width, shares }) {
  const svg = drawn("svg", { viewBox: `0 0 ${SPAN.width} ${SPAN.height}`, class: "lab-slopes", preserveAspectRatio: "none", role: "img", "aria-label": `${rank} of ${width} directions are told.` });
  const wide = SPAN.width / width;
  floats(shares).forEach((share, index) => {
    const tall = Math.max(2, SPAN.height * Math.max(0, 1 + Math.log10(Math.max(share, 1e-30)) / SPAN.decades));
    svg.append(drawn("rect", { x: index * wide + wide * 0.1, y: SPAN.height - tall, width: wide * 0.8, height: tall, class: index < rank ? "lab-picked" : "" }));
  });
  return svg;
}

function spanPanel(span) {
  return [element("ol", "lab-steps",
    step(1, "Attention begins with a linear layer, the same at every place", math(MAPS)),
    step(2, "Its gradient is a sum over the places of (output gradient) times (input)", math(SUM)),
    step(3, `So every input lies in its row space: ${span.rank} of ${span.width} directions`, math(LIES), directionBars(span),
      soft("Bars: singular values of the shared gradient, on a logarithmic scale. Pale ones are rounding.")),
    step(4, "Words can be listed: each is put at each place and held against these directions", element("p", {}, wall(span))))];
}
