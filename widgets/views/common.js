// Helpers that stand in front of each view's script.

/** An element with a class or with properties and attributes ("aria-*", "data-*", "role"), and children; a button sends no form. */
function element(tag, given = {}, ...children) {
  const node = document.createElement(tag);
  if (tag === "button") node.type = "button";
  for (const [name, value] of Object.entries(given.length ? { class: given } : given)) {
    if (name === "class") node.className = value;
    else if (name.includes("-") || name === "role" || name === "for") node.setAttribute(name, value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

/** A line that stays in the background. */
const soft = (...children) => element("p", "lab-soft", ...children);

/** One that a screen reader is told of whenever it changes. */
const saying = () => element("p", { class: "lab-soft", role: "status" });

/** A small button. */
const small = (text, onclick) => element("button", { class: "lab-small", onclick }, text);

/** A card that folds, under a heading. */
const foldable = (name, heading, ...children) => element("details", { class: `lab-card lab-folds ${name}`, ariaLabel: heading }, element("summary", {}, element("h2", {}, heading)), ...children);

/** A window over the page, with a button that closes it; Escape does too. */
function dialog(name, ...children) {
  const close = small("Close", () => opened.close());
  const opened = element("dialog", { class: "lab-dialog", ariaLabel: name }, ...children, close);
  return opened;
}

/** An element of a drawing. */
function drawn(tag, attributes = {}, text = "") {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  return node;
}

/** The bytes of a binary trait or buffer. */
function bytes(buffer) {
  if (!buffer) return new Uint8Array();
  return buffer instanceof ArrayBuffer ? new Uint8Array(buffer) : new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/** The float32 numbers of a binary trait, copied because a buffer may lie unaligned. */
function floats(buffer) {
  return new Float32Array(bytes(buffer).slice().buffer);
}

/** Draw height x width x 3 bytes on a canvas, one canvas pixel for each. */
function paint(canvas, rgb, height, width) {
  const context = canvas.getContext("2d");
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const image = context.createImageData(width, height);
  for (let from = 0, to = 0; from < rgb.length; from += 3, to += 4) {
    image.data[to] = rgb[from];
    image.data[to + 1] = rgb[from + 1];
    image.data[to + 2] = rgb[from + 2];
    image.data[to + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** By modality how inputs are drawn on a canvas: each file of ``shown/`` adds its own. */
const SHOWN = {};

/** What stands where there is no picture yet. */
const BLANK = { image: new Uint8Array(3).fill(128), height: 1, width: 1 };

/** Draw what a frame, a round or a past run shows, whatever kind of input that is; ``again`` draws it in other colours. */
function show(canvas, what) {
  canvas.dataset.inputs = what.inputs ?? "images";
  canvas.again = () => SHOWN[canvas.dataset.inputs](canvas, what);
  canvas.again();
}

/** What inputs that are no pictures are, in words; empty where nothing is said of them. */
const spelt = ({ words }) => words?.told?.map((text) => ` ${text}.`).join("") ?? "";

/** A number as a reader wants it: short, with a true minus sign; zeros alone are said of zero alone. */
function short(value, digits = 2) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size < 0.5 * 10 ** -digits || size >= 1e5 ? power(value) : value.toFixed(digits);
  return text.replace("-", "−");
}

/** The measure that a modality is judged by, of a round or of what is kept of one; null before there is a round. */
const mainOf = ({ main, measures = [] }) => measures.find(({ name }) => name === main) ?? null;

/** A value of a measure with its unit. */
const measured = ({ digits, unit }, value) => `${short(value, digits)}${unit && ` ${unit}`}`;

/** A length of time as one would say it. */
function lasting(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  if (seconds < 0.01) return "under 0.01 s";
  if (seconds < 100) return `${seconds.toFixed(seconds < 1 ? 2 : seconds < 10 ? 1 : 0)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

/** 3·10⁻⁷ instead of 3e-7. */
function power(value) {
  const [mantissa, exponent] = value.toExponential(0).split("e");
  const raised = [...String(Number(exponent))].map((sign) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign] ?? "⁻").join("");
  return `${mantissa}·10${raised}`;
}

/** 97,738 */
function grouped(count) {
  return Number(count).toLocaleString("en-GB");
}

/** How much a verdict says that leaks. */
const STRENGTH = { Recognisable: "strong", "Taking shape": "some", "Explains it": "strong", "Explains it, as others do": "some" };

/** What a film's source is called. */
const SOURCES = { recorded: "Recorded run", live: "Live run", kept: "Past run of this session", file: "Run from a file" };

/** The film that a view shows. */
async function filmOf(model, host) {
  return (await host.getWidget(model.get("film"))).exports;
}

const KEPT = "This is kept, and done as soon as the engine of this page answers.";
const ENDED = "The engine has ended; reload the page.";

/** Sends a message to a view's kernel side; what becomes of it where nobody hears it now is said in ``place``, else by the transport alone. */
function sender(model, place = {}) {
  return (content, buffers) => {
    try {
      model.send(content, undefined, buffers);
      if ((model.widget_manager?.kernel?.connectionStatus ?? "connected") !== "connected") place.textContent = KEPT;
    } catch {
      place.textContent = ENDED;
    }
  };
}

/** The frame shown, or the nearest one before it (else after it) of which the layers were looked at. */
function lookedAt(film) {
  const looked = (frame) => frame.layers?.length;
  return film.frames.findLast((frame, index) => index <= film.position && looked(frame)) ?? film.frames.find(looked);
}

/** The place of the frame from which on the picture stays recognisable; as many as there are frames where it never is. */
function recognisedSince(frames) {
  return frames.findLastIndex((frame) => frame.verdict !== "Recognisable") + 1;
}

/** Subscribe to several events of the film; returns the function that ends all subscriptions. */
function follow(film, events) {
  const ends = Object.entries(events).map(([name, callback]) => film.on(name, callback));
  return () => ends.forEach((end) => end());
}

/** Several pictures in a near-square grid, as the session tiles a batch; empty places are white. */
function tile(rgb, count, height, width) {
  const columns = Math.ceil(Math.sqrt(count));
  const rows = Math.ceil(count / columns);
  const grid = new Uint8Array(rows * height * columns * width * 3).fill(255);
  for (let index = 0; index < count; index++) {
    const top = Math.floor(index / columns) * height;
    const left = (index % columns) * width;
    for (let row = 0; row < height; row++) {
      const from = (index * height + row) * width * 3;
      grid.set(rgb.subarray(from, from + width * 3), ((top + row) * columns * width + left) * 3);
    }
  }
  return { rgb: grid, height: rows * height, width: columns * width };
}

