// The formulas of the division, as MathML.

const slope = (what) => `<mfrac><mrow><mi>∂</mi><mi>L</mi></mrow><mrow><mi>∂</mi>${what}</mrow></mfrac>`;
const W = "<msub><mi>W</mi><mi>i</mi></msub>";
const B = "<msub><mi>b</mi><mi>i</mi></msub>";
const formula = (inner) => `<math display="block">${inner}</math>`;

/** A place for markup that is built from constants and numbers only. */
function math(markup) {
  const place = element("div", "lab-math");
  place.innerHTML = markup;
  return place;
}
