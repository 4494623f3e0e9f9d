async function render({ model, el, host }) {
  const film = await filmOf(model, host);
  const canvas = element("canvas", { class: "lab-picture", role: "img" });
  const label = element("span", { class: "lab-soft" });
  const said = element("p", { class: "lab-soft lab-notes" });
  const toggle = element("button", { class: "lab-small", type: "button", "aria-pressed": "false", onclick: () => hide(!hidden) });
  let hidden = false;

  function hide(wanted) {
    hidden = wanted || film.guessing;
    toggle.disabled = film.guessing;
    canvas.classList.toggle("lab-hidden", hidden);
    toggle.textContent = hidden ? "Reveal it" : "Hide it";
    toggle.setAttribute("aria-pressed", String(hidden));
    canvas.setAttribute("aria-label", hidden ? "The private picture, hidden." : `The private picture: ${film.round.alt}`);
  }

  function draw() {
    const { images, count, height, width, grey = false, notes = [] } = film.round;
    if (!images) return;
    const tiled = tile(bytes(images), count, height, width);
    paint(canvas, tiled.rgb, tiled.height, tiled.width);
    label.textContent = count > 1 ? `${count} pictures, ${width} × ${height} pixels each` : `${width} × ${height} pixels in ${grey ? "grey" : "colour"}`;
    said.textContent = notes.join(" ");
    said.hidden = notes.length === 0;
    hide(hidden);
  }

  el.append(
    element("article", { class: "lab-card lab-client", "aria-label": "Client" },
      element("span", { class: "lab-who" }, "Client"),
      element("h2", {}, "The secret picture"),
      element("p", { class: "lab-soft" }, "It never leaves the phone."),
      element("div", { class: "lab-frame" }, canvas),
      element("div", { class: "lab-strip lab-strip-plain" }, label, toggle), said),
  );
  draw();
  return follow(film, { round: draw, guess: () => hide(film.guessing) });
}

export default { render };
