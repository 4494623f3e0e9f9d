// The other way in, without a guess: one division, then layer after layer undone by its equations, down to the picture.

const REVEAL_MS = 450;
const over = (what) => `<mrow><mi>∂</mi><mi>L</mi><mo>/</mo><mi>∂</mi>${what}</mrow>`;
const number = (value, digits = 4) => `<mn>${short(value, digits)}</mn>`;

/** x = (dL/dW_i) / (dL/db_i), and the same with the numbers that were sent for one value. */
function quotient({ slope: top, bias_slope: bottom, value }) {
  const found = `<mo>=</mo><mfrac class="lab-of-phone">${number(top)}${number(bottom)}</mfrac><mo>=</mo>${number(value)}`;
  return math(formula(`<mi>x</mi><mo>=</mo><mfrac>${over(W)}${over(B)}</mfrac>${found}`));
}

const listed = (names) => [names.slice(0, -1).join(", "), names.at(-1)].filter(Boolean).join(" and ");

/** Whether the equations of a layer suffice, with whose help, and how well they were solved. */
function told({ name, kind, shape, pictures, unknowns, rank, joint, condition, residual }) {
  const own = rank >= unknowns ? "they tell every unknown" : `alone they leave ${grouped(unknowns - rank)} open`;
  const others = joint.filter((other) => other !== name);
  const sharp = condition === null ? "" : ` Condition ${short(condition, 0)}: the faintest direction shows ${short(condition, 0)} times less than the strongest.`;
  return `${kind[0].toUpperCase()}${kind.slice(1)}; its input is ${pictures > 1 ? `${pictures} pictures of ` : ""}${shape.join(" × ")}. Rank ${grouped(rank)} of its equations: ${own}.`
    + `${others.length ? ` Solved together with ${listed(others)}.` : ""} Residual ${short(residual)}: the share of the equations left unexplained.${sharp} Error: how far the map is from the true one, relative to its size.`;
}

/** A layer that is off: what entered it, its name, and what undoing it took. */
function off(canvas, name, why, ...lines) {
  Object.assign(canvas, { ariaHidden: true, className: "lab-picture lab-maps" });
  return element("li", {}, canvas, element("b", {}, name, why), ...lines.filter(Boolean).map((text) => element("span", "lab-soft", text)));
}

const erring = (error) => (error === null ? "" : `error ${short(error, 4)}`);

/** Every layer that is off, the last one first; what entered the lowest is the picture. */
function steps({ division, layers, picture }, dark) {
  const shown = [];
  if (division?.maps) shown.push(off(mapCanvas(division.maps, dark), `${division.layer} off`, "", `${grouped(division.count)} divisions`, lasting(division.seconds), erring(division.error)));
  layers.forEach((layer, place) => {
    const { name, maps, equations, unknowns, seconds, error } = layer;
    const lowest = picture && place === layers.length - 1;
    shown.push(off(lowest ? pictureOf(picture) : mapCanvas(maps, dark), `${name} off`, explained(told(layer), name), `${grouped(equations)} equations`, `${grouped(unknowns)} unknowns`, lasting(seconds), erring(error)));
  });
  return shown;
}

/** The card's other face; `draw` follows what has been solved, new layers one after another. */
function peelingOf() {
  const sum = element("div", "lab-quotient");
  const list = element("ol", { class: "lab-peeled", ariaLabel: "Layers undone by algebra" });
  const said = saying();
  const node = element("div", "lab-peeling", sum, list, said);

  function draw(found, dark) {
    const { sentence = "", note, layers = [], division, picture } = found;
    const before = list.children.length;
    sum.replaceChildren(...(division ? [quotient(division)] : []));
    list.replaceChildren(...steps({ ...found, layers }, dark));
    [...list.children].slice(before).forEach((step, place) => {
      step.classList.add("lab-appears");
      step.style.animationDelay = `${place * REVEAL_MS}ms`;
    });
    const read = picture && [picture.verdict, picture.psnr_db === null ? "" : `: ${short(picture.psnr_db, 1)} dB`, `, in ${lasting(found.seconds)}.`].join("");
    said.textContent = [read, sentence, note].filter(Boolean).join(" ");
  }

  return { node, draw };
}
