// Eight suspects, one of them the secret: to be chosen from while it is covered, by likeness once it is not.

const ASKS = "Choose as soon as you can tell.";
const NAMED = "The secret among seven others.";

/** 0 to count - 1 in a random order. */
function shuffled(count) {
  const order = [...Array(count).keys()];
  for (let last = count - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [order[last], order[other]] = [order[other], order[last]];
  }
  return order;
}

/** Likeness as a share; shapes that are each other's opposite have nothing in common either. */
const share = (likeness) => `${Math.round(100 * Math.max(0, likeness))} %`;

/** When it was known, in the middle of a sentence. */
const when = (frame) => (frame ? `at guess ${grouped(frame.iteration)}` : "before the first guess");

function render({ model, el, film }) {
  const title = element("h2");
  const answer = saying();
  const suspects = element("ul", "lab-suspects");
  const card = element("section", { class: "lab-card lab-below lab-guess", ariaLabel: "Which of these eight?", hidden: true }, title, suspects, answer);
  let dealt = [], chosen = null, known = new Uint8Array();

  /** Another round: its suspects in an order that says nothing. */
  function deal() {
    const { line_up: pictures, suspects: count, count: secrets, height, width } = film.round;
    card.hidden = !pictures || secrets > 1 || Boolean(film.sketched);
    if (card.hidden) return;
    const before = known, size = height * width * 3;
    known = bytes(pictures);
    if (known.length === before.length && known.every((value, place) => value === before[place])) return draw();
    chosen = null;
    dealt = shuffled(count).map((which, place) => suspect(which, known.subarray(which * size, (which + 1) * size), height, width, place));
    draw();
  }

  function suspect(which, pixels, height, width, place) {
    const canvas = element("canvas", { class: "lab-picture", ariaHidden: true });
    paint(canvas, pixels, height, width);
    const button = element("button", { ariaLabel: `Suspect ${place + 1}`, onclick: () => choose(which) }, canvas);
    const likeness = element("span", "lab-likeness");
    return { which, place, button, likeness, node: element("li", {}, button, likeness) };
  }

  /** Who has chosen sees the rest of the recording; a live run goes on by itself. */
  function choose(which) {
    chosen = { which, frame: film.shown };
    if (film.source === "recorded") film.play();
    draw();
  }

  function draw() {
    const found = film.ended && !film.concealed ? film.shown.suspects ?? [] : [];
    const ordered = found.length ? dealt.toSorted((one, other) => found[other.which] - found[one.which]) : dealt;
    if (ordered.some(({ node }, index) => suspects.children[index] !== node) || suspects.children.length !== ordered.length) suspects.replaceChildren(...ordered.map(({ node }) => node));
    for (const { which, place, button, likeness } of dealt) {
      const isSecret = which === 0 && !film.concealed;
      button.disabled = !film.concealed;
      button.dataset.answer = isSecret ? "secret" : "";
      button.ariaPressed = chosen?.which === which;
      button.ariaLabel = `Suspect ${place + 1}${isSecret ? ", the secret" : ""}${found.length ? `, likeness ${share(found[which])}` : ""}`;
      likeness.textContent = found.length ? share(found[which]) : "";
    }
    title.textContent = found.length ? "The eight suspects, by likeness" : film.concealed ? "What do you see?" : "The line-up";
    answer.textContent = found.length ? judged() : film.concealed ? waiting() : NAMED;
    card.toggleAttribute("data-ordered", found.length > 0);
  }

  const waiting = () => (chosen ? `You chose ${when(chosen.frame)}. The end of the run will tell.` : ASKS);

  /** Who knew it first. */
  function judged() {
    const first = film.frames[recognisedSince(film.frames)];
    const lineUp = first ? `the line-up knew it ${when(first)}` : "the line-up was never sure";
    if (!chosen) return "Outlined: the secret. 100 % is the same.";
    return chosen.which === 0 ? `You knew it ${when(chosen.frame)}, ${lineUp}.` : `You chose another; ${lineUp}.`;
  }

  /** Cover everything and ask for another secret; the suspects come with its round. */
  function begin() {
    film.cover(true);
    film.tell("look", "server");
    sender(model)({ type: "begin" });
  }

  el.append(card);
  deal();
  return follow(film, { round: deal, frames: draw, index: draw, state: draw, concealed: draw, ask: begin });
}
