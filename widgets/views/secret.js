/** A padlock, drawn. */
function lock() {
  const svg = drawn("svg", { viewBox: "0 0 48 48", class: "lab-lock", "aria-hidden": "true" });
  svg.append(drawn("path", { d: "M15 22v-7a9 9 0 0 1 18 0v7" }), drawn("rect", { x: 9, y: 22, width: 30, height: 21, rx: 4 }), drawn("circle", { cx: 24, cy: 32, r: 2.5 }));
  return svg;
}

async function render({ model, el, host }) {
  const film = await filmOf(model, host);
  const canvas = element("canvas", { class: "lab-picture", role: "img" });
  const label = element("span", { class: "lab-soft" });
  const said = element("p", { class: "lab-soft lab-notes" });
  const toggle = element("button", { class: "lab-small", type: "button", onclick: () => film.cover(!film.covered) });
  const cover = element("div", { class: "lab-cover" }, lock(), element("b", {}, "Covered"), element("span", {}, "You see what the server sees: only the numbers."));

  function conceal() {
    const { concealed } = film;
    toggle.disabled = film.guessing;
    canvas.hidden = concealed;
    cover.hidden = !concealed;
    toggle.textContent = concealed ? "Reveal it" : "Hide it";
    toggle.setAttribute("aria-pressed", String(concealed));
    canvas.setAttribute("aria-label", concealed ? "The private picture, hidden." : `The private picture: ${film.round.alt}`);
  }

  function drawPictures() {
    const { images, count, height, width, grey = false } = film.round;
    const tiled = tile(bytes(images), count, height, width);
    paint(canvas, tiled.rgb, tiled.height, tiled.width);
    label.textContent = count > 1 ? `${count} pictures, ${width} × ${height} pixels each` : `${width} × ${height} pixels in ${grey ? "grey" : "colour"}`;
  }

  function drawOthers() {
    const { count, one, many } = film.round;
    show(canvas, { ...film.round, image: bytes(film.round.values) });
    label.textContent = count > 1 ? `${count} ${many}` : `1 ${one}`;
  }

  function draw() {
    const { notes = [], inputs } = film.round;
    if (!film.round.images && !inputs) return;
    if (inputs) drawOthers();
    else drawPictures();
    said.textContent = notes.join(" ");
    said.hidden = notes.length === 0;
    conceal();
  }

  el.append(
    element("article", { class: "lab-card lab-client", "aria-label": "Client" },
      element("span", { class: "lab-who" }, "Client"),
      element("h2", {}, "The secret picture"),
      element("p", { class: "lab-soft" }, "It never leaves the phone."),
      element("div", { class: "lab-frame" }, canvas, cover),
      element("div", { class: "lab-strip lab-strip-plain" }, label, toggle), said),
  );
  draw();
  return follow(film, { round: draw, concealed: conceal });
}

export default { render };
