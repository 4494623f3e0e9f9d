const LONG_NOTE = 120;

/** A note; of a long one what comes before its colon is in sight, the rest unfolds. */
function noted(text) {
  const [head] = text.split(":", 1);
  return text.length > LONG_NOTE && head.length < LONG_NOTE ? element("details", {}, element("summary", {}, head), element("p", {}, text)) : element("p", {}, text);
}

/** A padlock, drawn. */
function lock() {
  const svg = drawn("svg", { viewBox: "0 0 48 48", class: "lab-lock", "aria-hidden": true });
  svg.append(drawn("path", { d: "M15 22v-7a9 9 0 0 1 18 0v7" }), drawn("rect", { x: 9, y: 22, width: 30, height: 21, rx: 4 }), drawn("circle", { cx: 24, cy: 32, r: 2.5 }));
  return svg;
}

function render({ model, el, film }) {
  const canvas = element("canvas", { class: "lab-picture", role: "img" });
  const label = element("span", "lab-soft");
  const said = element("div", "lab-soft lab-notes");
  const toggle = small("", () => film.cover(!film.covered));
  const [covered, why] = [element("b"), element("span")];
  const cover = element("div", "lab-cover", lock(), covered, why);
  const told = saying();
  const tell = sender(model, told);
  const pen = element("button", { class: "lab-small lab-draw", hidden: true, onclick: () => (writes() ? openSheet() : openPad()) }, "Draw your own");
  const give = element("button", { class: "lab-small", hidden: true, onclick: copyLink }, "Send it as a secret");
  const frame = element("div", "lab-frame", canvas, cover);
  const strip = element("div", "lab-strip lab-strip-plain", label, element("span", "lab-row", pen, give, toggle));
  const heading = element("h2", {}, "The secret");
  let pad = null, sheet = null, asked = false, newest = null;
  const pads = {}; // a pad for pictures, another for molecules

  const one = () => film.round.one ?? "input";
  const writes = () => film.round.inputs === "text";
  const binds = () => film.round.inputs === "graphs";

  /** A sheet takes the place of the sentence. */
  function openSheet() {
    sheet ??= writingOf({ finish: write, close: () => showInPlace(sheet, false) });
    frame.after(sheet.node);
    showInPlace(sheet, true);
    told.textContent = "";
    sheet.begin();
  }

  /** It closes once it is taken; what is refused stays to be mended. */
  function write(text) {
    film.cover(true);
    tell({ type: "write", text });
  }

  /** The pad takes the place of the picture, and the server reads what is drawn. */
  function openPad() {
    const hears = { changed: read, finish, close: closePad };
    pad = pads[film.round.inputs] ??= binds() ? moleculeOf(model.get("atoms"), hears) : padOf(model.get("colours"), hears);
    frame.after(pad.node);
    film.stop();
    showInPlace(pad, true);
    told.textContent = "";
    pad.begin(binds() && !film.concealed ? shownMolecule(film.round, model.get("atoms")) : null);
  }

  function showInPlace({ node }, open) {
    node.hidden = !open;
    frame.hidden = strip.hidden = open;
  }

  function closePad() {
    showInPlace(pad, false);
    film.sketch(null);
    pen.focus({ preventScroll: true });
  }

  /** One drawing at a time is on its way; the newest follows when the server has answered. */
  function read(made) {
    newest = binds() ? made : made.slice();
    if (!asked) ask();
  }

  /** Cells travel as bytes, a molecule in words. */
  const say = (type, made) => (made instanceof Uint8Array ? tell({ type }, [made.slice().buffer]) : tell({ type, ...made }));

  function ask() {
    asked = true;
    told.textContent = "";
    say("sketch", newest);
    newest = null;
  }

  function finish(made) {
    closePad();
    film.cover(true);
    film.tell("look", "server");
    say("draw", made);
  }

  function receive({ type, sentence, sent, ...read }, buffers) {
    asked = false;
    if (type === "refused") told.textContent = sentence;
    if (type === "written") showInPlace(sheet, false);
    if (type === "read" && !pad.node.hidden) {
      film.sketch({ ...read, image: bytes(buffers[0]), sent: { ...sent, sample: buffers[1] } });
      pad.echo(film.sketched);
    }
    if (newest && pad && !pad.node.hidden) ask();
  }

  /** A friend who opens the link sees a covered secret, and has to attack it. */
  async function copyLink() {
    if (model.get("too_fine")) return void (told.textContent = model.get("too_fine"));
    const address = `${location.origin}${location.pathname}?${model.get("query")}`;
    try {
      await navigator.clipboard.writeText(address);
      told.textContent = `The link is copied. Whoever opens it finds a covered ${one()}, and has to attack it.`;
    } catch {
      told.textContent = address;
    }
  }

  function offer() {
    pen.textContent = writes() ? "Write your own" : "Draw your own";
    pen.hidden = !film.parts?.has("chips") || film.hidden.includes("draw");
    pen.disabled = !film.connected || !Object.keys(model.get("colours")).length;
    give.hidden = !film.ownsAddress || film.concealed || !(model.get("query") || model.get("too_fine"));
  }

  function conceal() {
    const { concealed } = film;
    const unknown = film.round.unknown;
    canvas.hidden = concealed || Boolean(unknown);
    cover.hidden = !canvas.hidden;
    toggle.hidden = Boolean(unknown);
    covered.textContent = unknown ? "Unknown" : "Covered";
    why.textContent = unknown ? `Nobody here knows it: all there is came in ${unknown}.` : "You see what the server sees: only the numbers.";
    toggle.textContent = concealed ? "Reveal it" : "Hide it";
    toggle.ariaPressed = concealed;
    offer();
    canvas.ariaLabel = concealed ? `The private ${one()}, hidden.` : `The private ${one()}: ${film.round.alt}${spelt(film.round)}`;
  }

  function drawPictures() {
    const { images, count, height, width, grey = false, unknown } = film.round;
    const colour = unknown ? "" : ` in ${grey ? "grey" : "colour"}`;
    label.textContent = count > 1 ? `${count} pictures, ${width} × ${height} pixels each` : `${width} × ${height} pixels${colour}`;
    if (unknown) return;
    const tiled = tile(bytes(images), count, height, width);
    paint(canvas, tiled.rgb, tiled.height, tiled.width);
  }

  function drawOthers() {
    const { count, one, many } = film.round;
    show(canvas, { ...film.round, image: bytes(film.round.values) });
    label.textContent = count > 1 ? `${count} ${many}` : `1 ${one}`;
  }

  function draw() {
    const { notes = [], inputs } = film.round;
    if (!film.round.images && !inputs && !film.round.unknown) return;
    if (inputs) drawOthers();
    else drawPictures();
    heading.textContent = `The secret ${one()}`;
    said.replaceChildren(...notes.map(noted));
    said.hidden = notes.length === 0;
    conceal();
  }

  el.append(
    element("article", { class: "lab-card lab-client", ariaLabel: "Client" },
      element("span", "lab-who", "Client"),
      heading,
      soft("It never leaves the phone."),
      frame, strip, told, said),
  );
  draw();
  offer();
  model.on("msg:custom", receive);
  for (const name of ["colours", "atoms", "query", "too_fine"]) model.on(`change:${name}`, offer);
  return follow(film, { round: draw, concealed: conceal, state: offer });
}
