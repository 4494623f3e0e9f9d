const MOST_BARS = 5;

/** The layers with the longest updates, in the network's order. */
function longest(layers) {
  const floor = layers.map((layer) => layer.norm).sort((a, b) => b - a)[MOST_BARS - 1] ?? -1;
  return layers.filter((layer) => layer.norm >= floor).slice(0, MOST_BARS);
}

function bar(layer, longestNorm) {
  const fill = element("i", {});
  fill.style.width = `${Math.max(2, (100 * layer.norm) / (longestNorm || 1))}%`;
  return element("li", { title: `${layer.name}: ${grouped(layer.count)} numbers` },
    element("span", {}, layer.name), element("span", { class: "lab-bar" }, fill), element("span", {}, short(layer.norm)));
}

async function render({ model, el, host }) {
  const film = await filmOf(model, host);
  const count = element("p", { class: "lab-soft" });
  const bars = element("ul", { class: "lab-bars", "aria-label": "Length of the update, layer by layer" });
  const rest = element("p", { class: "lab-soft lab-rest" });
  const wall = element("div", { class: "lab-wall", "aria-hidden": "true" });

  function draw() {
    const { layers = [], numbers, tensors, kind, sample } = film.round;
    if (numbers === undefined) return;
    count.textContent = `The ${kind}: ${grouped(numbers)} numbers in ${tensors} tensors.`;
    const shown = longest(layers);
    const most = Math.max(...shown.map((layer) => layer.norm));
    bars.replaceChildren(...shown.map((layer) => bar(layer, most)));
    rest.textContent = layers.length > shown.length ? `and ${layers.length - shown.length} shorter layers` : "";
    wall.textContent = [...floats(sample)].map((value) => value.toFixed(4).replace("-", "−")).join("  ");
  }

  el.append(
    element("article", { class: "lab-card lab-sent", "aria-label": "Sent over the network" },
      element("span", { class: "lab-who" }, "Sent over the network"),
      element("h2", {}, "Only numbers left the phone", meaning("sent", "a bar")), count, bars, rest, wall),
  );
  draw();
  return follow(film, { round: draw });
}

export default { render };
