// The tour: six stops on request, one part of the page at each.

const STOPS = [
  ["secret", "The secret", "A phone trains a network on this picture, which never leaves the phone. On arrival it is covered, so that you can guess along; a button covers and reveals it."],
  ["sent", "What leaves the phone", "Only numbers: the gradient, layer by layer, which federated learning promises to be safe to share. Below each strip stands what the guess would send; the attack closes the gap."],
  ["server", "What the server makes of them", "It guesses a picture, asks what gradient that picture would have sent, and moves the guess. A line-up of eight pictures gives the verdict."],
  ["transport", "Do it yourself", "Attack it live starts a real run. Pause, step, and scrub through every frame; the small keys show the shortcuts."],
  ["controls", "Change one thing", "Train the network, change the loss, send more pictures at once: the numbers change with it. Undo takes it back. The chips set up the next questions."],
  ["panel", "Look closer", "The algebra that reads a layer like a book, the error map, the match of each layer, the scores and your past runs. Below: a link that holds all of it."],
];

/** The tour of a page; ``done`` gets the focus back. */
function tourOf(root, done) {
  const stops = STOPS.filter(([part]) => root.querySelector(`.lab-slot-${part}:not([hidden])`));
  const heading = element("h2", {});
  const text = element("p", {});
  const back = element("button", { class: "lab-small", type: "button", onclick: () => go(at - 1) }, "Back");
  const next = element("button", { class: "lab-small", type: "button", onclick: () => (at + 1 < stops.length ? go(at + 1) : end()) });
  const leave = element("button", { class: "lab-small", type: "button", onclick: end }, "End the tour");
  const card = element("div", { class: "lab-card lab-tour", role: "dialog", "aria-label": "Tour", onkeydown: press }, heading, text, element("div", { class: "lab-row" }, back, next, leave));
  let at = -1;

  function press(event) {
    event.stopPropagation();
    if (event.key === "Escape") end();
    if (event.key === "ArrowRight" && at + 1 < stops.length) go(at + 1);
    if (event.key === "ArrowLeft" && at > 0) go(at - 1);
  }

  function mark() {
    root.querySelector(".lab-toured")?.classList.remove("lab-toured");
    if (at >= 0) root.querySelector(`.lab-slot-${stops[at][0]}`).classList.add("lab-toured");
  }

  function go(stop) {
    at = stop;
    const [part, title, words] = stops[at];
    heading.textContent = `${at + 1} of ${stops.length}: ${title}`;
    text.textContent = words;
    card.setAttribute("aria-label", `Tour, stop ${at + 1} of ${stops.length}: ${title}. ${words}`);
    back.disabled = at === 0;
    next.textContent = at + 1 < stops.length ? "Next" : "Done";
    mark();
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    root.querySelector(`.lab-slot-${part}`).scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
    next.focus({ preventScroll: true });
  }

  function end() {
    at = -1;
    mark();
    card.remove();
    done();
  }

  return () => {
    if (card.isConnected || !stops.length) return;
    root.firstElementChild.append(card);
    go(0);
  };
}
