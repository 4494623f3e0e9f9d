// The way down: each layer below the fully connected ones undone by two linear systems, down to the picture.

const X = "<mi>x</mi>";
const WEIGHT_SYSTEM = formula(`${X}<mo>⋆</mo>${slope("<mi>z</mi>")}<mo>=</mo>${slope("<mi>W</mi>")}`);
const FORWARD_SYSTEM = formula(`<mi>W</mi><mo>∗</mo>${X}<mo>=</mo><mi>z</mi><mo>−</mo><mi>b</mi>`);
const MAP_COLUMNS = 4;
const REVEAL_MS = 450;
const INVITATION = "Below the fully connected layer the algebra goes on: what entered each convolution solves two linear systems, one from its weights' gradient, one from its output. Where skips or a pooling hide the outputs, the first must do: patches overlap, and that tells their places apart. Solve from the top down, and the picture comes out at the bottom.";

const counted = (count, one) => `${grouped(count)} ${one}${count === 1 ? "" : "s"}`;
const listed = (names) => [names.slice(0, -1).join(", "), names.at(-1)].filter(Boolean).join(" and ");

/** Several maps side by side as one picture, in shades of teal, with a line of paper between them. */
function mapCanvas({ shades, count, height, width }, dark) {
  const columns = Math.min(count, MAP_COLUMNS);
  const rows = Math.ceil(count / columns);
  const [wide, tall] = [columns * (width + 1) - 1, rows * (height + 1) - 1];
  const [paper, from, to] = dark ? [[28, 34, 41], [35, 42, 50], [76, 195, 217]] : [[255, 255, 255], [243, 242, 238], [11, 114, 133]];
  const rgb = new Uint8Array(wide * tall * 3);
  for (let at = 0; at < wide * tall; at++) rgb.set(paper, at * 3);
  bytes(shades).forEach((shade, index) => {
    const [map, place] = [Math.floor(index / (height * width)), index % (height * width)];
    const y = Math.floor(map / columns) * (height + 1) + Math.floor(place / width);
    const x = (map % columns) * (width + 1) + (place % width);
    rgb.set(from.map((start, channel) => start + (shade / 255) * (to[channel] - start)), (y * wide + x) * 3);
  });
  const canvas = element("canvas", { class: "lab-picture lab-maps" });
  paint(canvas, rgb, tall, wide);
  return canvas;
}

function system(markup, size) {
  return element("div", { class: "lab-system" }, math(markup), element("span", { class: "lab-soft" }, size));
}

/** Whether the equations suffice, and with whose help. */
function told(layer) {
  const each = layer.shape.join(" × ");
  const sum = `${counted(layer.equations, "equation")} for ${counted(layer.unknowns, "unknown")} (${layer.pictures > 1 ? `${layer.pictures} pictures of ${each}` : each})`;
  const enough = layer.rank >= layer.unknowns;
  const own = enough ? `Rank ${grouped(layer.rank)}: they tell every unknown.` : `Rank ${grouped(layer.rank)}: alone they leave ${grouped(layer.unknowns - layer.rank)} open.`;
  const others = layer.joint.filter((name) => name !== layer.name);
  return `${sum}. ${own}${others.length ? ` Solved together with ${listed(others)}.` : ""}`;
}

/** How close the map came to the truth, how well the system was solved, and how sharply it tells. */
function quality({ condition, residual, error }) {
  const held = error === null ? "" : `Relative error ${short(error)}: how far the map is from the true one. `;
  const sharp = condition === null ? "" : ` Condition ${short(condition, 0)}: the faintest direction shows ${short(condition, 0)} times less than the strongest.`;
  return `${held}Residual ${short(residual)}: the share of the equations left unexplained.${sharp}`;
}

function layerStep(layer, dark) {
  const few = layer.recovered.count < layer.channels ? `${layer.recovered.count} of ${layer.channels}` : layer.channels;
  const systems = [system(WEIGHT_SYSTEM, `${counted(layer.weight_equations, "equation")}: one for each weight`)];
  if (layer.forward_equations) systems.push(system(FORWARD_SYSTEM, `${counted(layer.forward_equations, "equation")}: one for each output that tells its z`));
  const pair = [["true", layer.truth], ["recovered", layer.recovered]].filter(([, maps]) => maps).map(([which, maps]) =>
    figure(`${which}: ${few} channels${layer.pictures > 1 ? ", first picture" : ""}`, `The ${which} input of ${layer.name} as shades, ${few} channels`, mapCanvas(maps, dark)));
  return [
    element("h3", {}, `The input of ${layer.name}`), soft(`${layer.kind[0].toUpperCase()}${layer.kind.slice(1)}.`),
    element("div", { class: "lab-systems" }, ...systems),
    element("p", {}, told(layer)), element("div", { class: "lab-pair lab-pair-wide" }, ...pair), soft(quality(layer))];
}

function pictureStep({ picture, seconds }) {
  const psnr = picture.psnr_db === null ? "" : `: ${short(picture.psnr_db, 1)} dB`;
  const words = `${picture.verdict}${psnr} in ${lasting(seconds)} of algebra.`;
  const name = picture.recovered.count > 1 ? "pictures" : "picture";
  return [element("h3", {}, `The ${name}`), element("p", {}, words),
    element("div", { class: "lab-pair" },
      ...(picture.truth ? [figure("the secret", `The private ${name}`, pictureOf(picture.truth))] : []),
      figure("read off", `The ${name} that the algebra gives`, pictureOf(picture.recovered)))];
}

/** The section with its button; ``update`` draws what has been found so far, new steps one after another. */
function descentSection(read, ask, dark) {
  const button = element("button", { onclick: () => { if (button.getAttribute("aria-disabled") !== "true") ask(); } }, "Undo the layers below");
  const status = element("p", { class: "lab-descent-status", role: "status" });
  const steps = element("ol", { class: "lab-steps" });
  let revealed = 0;

  function place(index, content, animated) {
    const known = steps.children[index];
    if (known) return known.replaceChildren(...content);
    const item = element("li", {}, ...content);
    if (animated) {
      revealed = Math.max(performance.now(), revealed + REVEAL_MS);
      item.classList.add("lab-appears");
      item.style.animationDelay = `${revealed - performance.now()}ms`;
    }
    steps.append(item);
  }

  function update(animated) {
    const data = read();
    const contents = (data.layers ?? []).map((layer) => layerStep(layer, dark));
    if (data.picture) contents.push(pictureStep(data));
    while (steps.children.length > contents.length) steps.lastChild.remove();
    contents.forEach((content, index) => place(index, content, animated));
    status.textContent = [data.sentence, data.note].filter(Boolean).join(" ");
    status.classList.toggle("lab-verdict-line", data.status === "done");
    button.setAttribute("aria-disabled", data.status === "waiting" || data.status === "running");
  }

  const node = element("section", { class: "lab-descent", "aria-label": "Keep going down" },
    element("h3", {}, "Keep going down"), element("p", {}, INVITATION), button, status, steps);
  update(false);
  return { node, update };
}
