const LUCK = "Right, and before the attack had begun: one in eight by chance. Press Attack it live and see.";

/** 0 to count - 1 in a random order. */
function shuffled(count) {
  const order = [...Array(count).keys()];
  for (let last = count - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [order[last], order[other]] = [order[other], order[last]];
  }
  return order;
}

async function render({ model, el, host }) {
  const film = await filmOf(model, host);
  const title = element("h2", {}, "Which of these eight did the phone train on?");
  const answer = element("p", { class: "lab-soft", role: "status", "aria-live": "polite" });
  const suspects = element("div", { class: "lab-suspects" });
  const enough = element("button", { class: "lab-small", type: "button", onclick: close }, "Show me");
  const card = element("section", { class: "lab-card lab-guess", "aria-label": "Guess first", hidden: true }, title, answer, suspects, element("div", { class: "lab-row" }, enough));
  let wanted = false;

  /** Hide the secret and ask for another one; the suspects come with the new round. */
  function begin() {
    wanted = true;
    film.guess(true);
    card.hidden = false;
    card.dataset.active = "true";
    enough.textContent = "Show me";
    answer.textContent = "A new secret has been drawn. Press Attack it live, and choose as soon as you know.";
    suspects.replaceChildren();
    try { model.send({ type: "begin" }); } catch { /* the transport says that the engine is gone */ }
  }

  function deal() {
    const { line_up: pictures, suspects: count, height, width } = film.round;
    if (!pictures) return;
    if (!wanted) return leave();
    wanted = false;
    const size = height * width * 3;
    suspects.replaceChildren(...shuffled(count).map((which, place) => suspect(bytes(pictures).subarray(which * size, (which + 1) * size), height, width, which === 0, place)));
  }

  function suspect(pixels, height, width, secret, place) {
    const canvas = element("canvas", { class: "lab-picture", "aria-hidden": "true" });
    paint(canvas, pixels, height, width);
    const button = element("button", { type: "button", "aria-label": `Suspect ${place + 1}`, onclick: () => judge(button, secret) }, canvas);
    return button;
  }

  function judge(button, secret) {
    const frame = film.source === "live" ? film.shown : null;
    button.dataset.answer = secret ? "right" : "wrong";
    if (!secret) return void (answer.textContent = "Not that one. Watch a little longer.");
    answer.textContent = frame ? `Right. You knew it at iteration ${film.counted(frame)}, from numbers alone.` : LUCK;
    reveal();
  }

  function reveal() {
    delete card.dataset.active;
    enough.textContent = "Close";
    film.guess(false);
    film.cover(false);
  }

  function close() {
    if (card.dataset.active) return reveal();
    card.hidden = true;
  }

  /** Another experiment was chosen: this game is over. */
  function leave() {
    if (card.hidden) return;
    reveal();
    card.hidden = true;
  }

  el.append(card);
  return follow(film, { round: deal, ask: begin });
}

export default { render };
