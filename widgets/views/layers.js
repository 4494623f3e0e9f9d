// Shared against candidate update, layer by layer: does the guess already send what the client sent?

const LAYER_MEANINGS = {
  cosine: "Cosine: whether both point the same way. 1 is the same direction, 0 has nothing in common, −1 is the opposite.",
  length: "Length: how long the candidate's numbers are, in lengths of the shared ones. 1 is equal; a loss by direction alone does not look at it.",
};

/** A bar from the middle for a cosine: to the right is agreement. */
function cosineBar(cosine) {
  const fill = element("i");
  const width = 50 * Math.min(1, Math.abs(cosine ?? 0));
  Object.assign(fill.style, { width: `${width}%`, left: `${cosine < 0 ? 50 - width : 50}%` });
  return element("span", { class: `lab-cosine ${cosine < 0 ? "lab-against" : ""}`, ariaHidden: true }, fill);
}

/** Near 1 the digits that matter are those of 1 - cosine. */
function cosineText(cosine) {
  if (cosine === null || cosine === undefined) return "silent";
  if (cosine >= 1) return "1";
  return cosine > 0.995 ? `1 − ${short(1 - cosine, 4)}` : short(cosine, 3);
}

function layerRow(layer) {
  return element("tr", {},
    element("th", { scope: "row", title: `${grouped(layer.count)} numbers` }, layer.name),
    element("td", {}, cosineBar(layer.cosine)), element("td", {}, cosineText(layer.cosine)), element("td", {}, layer.ratio === null ? "silent" : `× ${short(layer.ratio, 3)}`));
}

function layersPanel(film) {
  const frame = lookedAt(film);
  if (!frame) return [soft(film.source === "recorded" ? "The recording holds no layers; a live run does." : "The layers are compared while the attack runs.")];
  const head = element("tr", {}, ...["Layer", "", "Cosine", "Length"].map((name) => (name ? element("th", { scope: "col" }, name) : element("td"))));
  return [
    element("p", {}, `At iteration ${frame.iteration}: what the candidate would send beside what the client sent.`),
    element("div", { class: "lab-scroll", tabIndex: 0, role: "region", ariaLabel: "Match of each layer" },
      element("table", "lab-table lab-layers", element("thead", {}, head), element("tbody", {}, ...frame.layers.map(layerRow)))),
    ...Object.values(LAYER_MEANINGS).map((text) => soft(text))];
}
