// The way down: each layer below the fully connected ones undone by two linear systems, down to the picture.

const X = "<mi>x</mi>";
const WEIGHT_SYSTEM = formula(`${X}<mo>⋆</mo>${slope("<mi>z</mi>")}<mo>=</mo>${slope("<mi>W</mi>")}`);
const FORWARD_SYSTEM = formula(`<mi>W</mi><mo>∗</mo>${X}<mo>=</mo><mi>z</mi><mo>−</mo><mi>b</mi>`);
const INVITATION = "Below the fully connected layer the algebra goes on: what entered each convolution solves two linear systems, one from its weights' gradient, one from its output. Where skips or a pooling hide the outputs, the first must do: patches overlap, and that tells their places apart. Solve from the top down, and the picture comes out at the bottom.";

const system = (markup, what) => element("div", "lab-system", math(markup), element("span", "lab-soft", what));

/** The section with its button; ``update`` draws what has been found so far. */
function descentSection(read, ask, dark) {
  const button = element("button", { onclick: () => { if (button.getAttribute("aria-disabled") !== "true") ask(); } }, "Undo the layers below");
  const peeling = peelingOf();

  function update() {
    const { status } = read();
    peeling.draw(read(), dark);
    button.ariaDisabled = status === "waiting" || status === "running";
  }

  const node = element("section", { class: "lab-descent", ariaLabel: "Keep going down" },
    element("h3", {}, "Keep going down"), element("p", {}, INVITATION),
    element("div", "lab-systems", system(WEIGHT_SYSTEM, "an equation for each weight"), system(FORWARD_SYSTEM, "one for each output that tells its z")),
    button, peeling.node);
  update();
  return { node, update };
}
