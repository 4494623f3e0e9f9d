/** Why there is nothing to see. */
const EMPTY = {
  ready: "Nothing yet. Press Attack it live.", loading: "The phone has not sent its numbers yet.", running: "The first guess is on its way.",
  paused: "Paused before the first guess.", finished: "The attack has ended without a guess.", failed: "The attack has failed before its first guess.",
};

const TWIN = " Right: another graph with the same gradient. Nobody can tell the two apart.";

/** Speak at most once in a while: only a new verdict is news. */
function announcer(region) {
  let said = "";
  return (text) => {
    if (text === said) return;
    said = text;
    region.textContent = text;
  };
}

function render({ model, el, film }) {
  const caption = soft();
  const canvas = element("canvas", { class: "lab-picture", role: "img" });
  const empty = element("p", "lab-empty");
  const word = element("b");
  const detail = element("span");
  const strip = element("div", "lab-strip lab-verdict", word, detail, meaning("verdict", "the verdict"));
  const ways = element("div", { class: "lab-ways", hidden: true });
  const region = element("p", { class: "lab-unseen", role: "status" });
  const say = announcer(region);
  let drawnFrames = 0;

  const card = element("article", { class: "lab-card lab-server", ariaLabel: "Server" },
    element("span", "lab-who", "Server"),
    element("h2", {}, "What the server can see"),
    caption, element("div", "lab-frame", canvas, empty), strip, ways, region);

  /** The drawing that the reader is making, as one division reads it out of its gradient. */
  function drawSketch() {
    show(canvas, film.sketched);
    empty.hidden = true;
    const { words, told } = film.sketched, lost = words?.told?.some((text) => text.includes("unknown")) ?? false;
    canvas.ariaLabel = `Your drawing, as the server reads it.${spelt(film.sketched)}`;
    caption.textContent = words ? `Read while you draw.${lost ? ` ${told}` : words.twins ? TWIN : ""}` : "Read while you draw: one division of the numbers that a fully connected network would send.";
    strip.dataset.strength = lost ? "none" : "strong";
    [word.textContent, detail.textContent] = lost ? ["It is lost", "so far"] : ["It follows", "no guessing at all"];
    card.dataset.sketched = "true";
  }

  /** What equations give; there is nothing to see before the last layer is off. */
  function drawPeeled({ picture, sentence = "", seconds }) {
    show(canvas, picture ? { ...picture, image: bytes(picture.pixels) } : BLANK);
    empty.hidden = Boolean(picture);
    empty.textContent = sentence;
    canvas.ariaLabel = picture ? "What the algebra gives" : "No picture yet.";
    caption.textContent = "Solved, not guessed.";
    strip.dataset.strength = STRENGTH[picture?.verdict] ?? "none";
    [word.textContent, detail.textContent] = picture ? [picture.verdict, `solved in ${lasting(seconds)}`] : ["Solving", "no guess at all"];
    drawWays(picture);
  }

  /** What both ways came to, side by side. */
  function drawWays(picture) {
    const main = mainOf(film.round), last = film.frames.at(-1), guessed = last?.measures?.[main?.name];
    ways.hidden = !picture || picture.psnr_db === null || !Number.isFinite(guessed);
    if (ways.hidden) return;
    const side = (value, count) => element("div", {}, `${grouped(count)} guesses`, element("b", {}, measured(main, value)));
    ways.replaceChildren(side(guessed, last.iteration), side(picture.psnr_db, 0));
  }

  function draw() {
    ways.hidden = true;
    if (film.sketched) return drawSketch();
    if (film.peeled) return drawPeeled(film.peeled);
    delete card.dataset.sketched;
    const frame = film.shown;
    show(canvas, frame ?? BLANK);
    drawnFrames += frame ? 1 : 0;
    empty.hidden = Boolean(frame);
    empty.textContent = EMPTY[film.state.status] ?? EMPTY.ready;
    canvas.ariaLabel = frame ? `Reconstruction, iteration ${frame.iteration}: ${frame.verdict.toLowerCase()}.${spelt(frame)}` : "No reconstruction yet.";
    caption.textContent = frame ? `${SOURCES[film.source]}. Iteration ${film.counted(frame)}.${frame.words?.twins ? TWIN : ""}` : "It only knows the numbers and the network.";
    judge(frame);
    Object.assign(card.dataset, { frames: film.frames.length, drawn: drawnFrames, source: film.source, iteration: frame?.iteration ?? "" });
  }

  function judge(frame) {
    strip.dataset.strength = STRENGTH[frame?.verdict] ?? "none";
    word.textContent = frame?.verdict ?? "Waiting";
    detail.textContent = frame?.line_up ?? "no guess yet";
    if (frame && !film.playing) say(`${frame.verdict}, ${frame.line_up}.`);
  }

  el.append(card);
  draw();
  return follow(film, { frames: draw, index: draw, state: draw });
}
