// The plane: likeness upward, accuracy to the right; a grey dot for each shield of the study, a button for each run of the visitor's.

const AXIS = [0, 25, 50, 75, 100];

function render({ model, el, film }) {
  const said = saying();
  const tell = sender(model, said);
  const field = element("div", { class: "lab-plane-field", role: "group", ariaLabel: "Your runs, by what leaked and what the shield costs" });
  const told = soft();
  const card = foldable("lab-plane", "What leaks, what it costs",
    element("p", {}, "Put a shield on the phone and attack: each run that ends leaves a dot. Low and right is best. A click on a dot shows its run again."),
    element("p", { class: "lab-soft lab-legend", ariaHidden: true }, element("i", "lab-plane-naive"), "naive attacker ", element("i"), "knows the shield ", element("i", "lab-plane-"), "no such choice"),
    field, told, said);

  let shown = false;

  function place(node, { accuracy, leak }) {
    Object.assign(node.style, { left: `${100 * accuracy}%`, bottom: `${100 * leak}%` });
    return node;
  }

  function line(dots) {
    const svg = drawn("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": true });
    const front = dots.filter((dot) => dot.front).sort((one, other) => one.accuracy - other.accuracy);
    svg.append(drawn("polyline", { points: front.map(({ accuracy, leak }) => `${100 * accuracy},${100 - 100 * leak}`).join(" ") }));
    return svg;
  }

  const mark = (accuracy, leak, name, text) => place(element("span", { class: `lab-plane-${name}`, ariaHidden: true }, text), { accuracy, leak });

  function draw() {
    const { dots, told: words } = model.get("study"), own = model.get("dots"), held = field.querySelector(":focus")?.dataset.number;
    field.replaceChildren(line(dots), ...AXIS.flatMap((value) => [mark(value / 100, 0, "across", value), mark(0, value / 100, "up", value)]),
      mark(0.5, 0, "name", "accuracy, %"), mark(0, 1, "title", "likeness, %"),
      ...dots.map((dot) => place(element("i", { title: dot.title, "data-front": dot.front }), dot)),
      ...own.map((dot, index) => place(element("button", { class: `lab-plane-${dot.attacker}`, title: dot.title, ariaLabel: `${dot.title}. Show it again`, "data-number": dot.number, "data-newest": index === own.length - 1, onclick: () => open(dot) }), dot)));
    if (held) field.querySelector(`[data-number="${held}"]`)?.focus({ preventScroll: true });
    told.textContent = words;
    if (!shown && own.some(({ shielded }) => shielded)) card.open = shown = true; // once by itself
    said.textContent = model.get("without");
  }

  function open({ number }) {
    film.tell("look", "server");
    tell({ open: number });
  }

  el.append(card);
  draw();
  for (const name of ["dots", "study", "without"]) model.on(`change:${name}`, draw);
}
