const ETHICS = "Your picture stays in this session. Do not upload other people's faces.";
const LARGEST_SIDE = 224;
const LARGEST_FILE = 8e6;
const SMALL_FILE = 1e6;
const LARGEST_UPDATE = 24e6;
const READ = "image/png,image/jpeg,image/webp,image/gif,image/bmp,image/tiff,image/avif";
const MOST_PILLS = 12;
const FOLLOW_MS = 300; // without another change, until what was chosen is attacked
let names = 0;

/** Whether a file is sent untouched: a small one, or a PNG with 16 bits, of which the browser would keep 8. */
async function sentWhole(file) {
  const start = new Uint8Array(await file.slice(0, 25).arrayBuffer());
  const deep = start[1] === 0x50 && start[2] === 0x4e && start[24] === 16;
  return file.size <= (deep ? LARGEST_FILE : SMALL_FILE);
}

/** The picture in a file, at most 224 pixels a side, as a PNG; the file as it is where the browser cannot read it. */
async function shrunk(file) {
  if (await sentWhole(file)) return file.arrayBuffer();
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => null);
  if (!bitmap) return file.arrayBuffer();
  const scale = Math.min(1, LARGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = element("canvas", { width: Math.max(1, Math.round(bitmap.width * scale)), height: Math.max(1, Math.round(bitmap.height * scale)) });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return (await new Promise((done) => canvas.toBlob(done, "image/png"))).arrayBuffer();
}

/** One choice as a pill, with what its attack costs and comes to where that is told; a real radio button does the work for keys and readers. */
function pill(group, { value, label, seconds, outcome, failed }, current, choose) {
  const input = element("input", { type: "radio", name: group, checked: value === current, onchange: () => choose(value) });
  const cost = Number.isFinite(seconds) && lasting(seconds);
  const grey = [cost, failed].filter(Boolean).join(", ");
  const described = [cost && `about ${cost} of computing`, outcome].filter(Boolean).join("; ");
  if (described) input.setAttribute("aria-description", described);
  return element("label", { class: "lab-pill", title: outcome ?? "" }, input, element("span", {}, label, ...(grey ? [element("small", { class: "lab-cost", ariaHidden: true }, grey)] : [])));
}

const unfolded = new Set();

/** All choices; of many the first ones and the one that is made, and a button shows the others. */
function choice(control, edit) {
  if (!control.sight && control.options.length > MOST_PILLS) return select(control, edit);
  const group = `lab-choice-${names++}`;
  const pills = control.options.map((option) => [option, pill(group, option, control.value, edit)]);
  const behind = pills.filter(([{ value }], index) => index >= control.sight && value !== control.value).map(([, node]) => node);
  const more = element("button", { class: "lab-small lab-more", onclick: () => fold(!unfolded.has(control.path)) });

  function fold(open) {
    unfolded[open ? "add" : "delete"](control.path);
    for (const node of behind) node.hidden = !open;
    more.textContent = open ? "fewer" : `${behind.length} more …`;
    more.ariaExpanded = open;
  }

  fold(unfolded.has(control.path));
  return element("div", "lab-pills", ...pills.map(([, node]) => node), ...(behind.length ? [more] : []));
}

function select(control, edit) {
  const box = element("select", { ariaLabel: control.title, onchange: () => edit(control.options[box.selectedIndex].value) },
    ...control.options.map(({ value, label }) => element("option", { selected: value === control.value }, label)));
  return box;
}

function numberBox(control, edit) {
  const { low, high, step, value } = control;
  return element("input", {
    type: "number", class: "lab-number", min: low, max: high, step, value, ariaLabel: control.title,
    onchange: (event) => edit(event.target.value === "" ? null : event.target.valueAsNumber),
  });
}

function number(control, edit) {
  const box = numberBox(control, edit);
  if (control.suggestions) return element("div", "lab-pills", ...suggested(control, edit), box);
  return control.slider ? element("div", "lab-sliding", slider(control, box, edit), box) : box;
}

function suggested(control, edit) {
  const group = `lab-choice-${names++}`;
  return control.suggestions.map((value) => pill(group, { value, label: String(value) }, control.value, edit));
}

/** A slider over the bounds, logarithmic where the option says so. */
function slider(control, box, edit) {
  const { low, high, log, whole, value } = control;
  const place = (number) => (log ? Math.log(number / low) / Math.log(high / low) : (number - low) / (high - low));
  const there = (share) => {
    const number = log ? low * (high / low) ** share : low + share * (high - low);
    return whole ? Math.round(number) : Number(number.toFixed(2));
  };
  const input = element("input", {
    type: "range", class: "lab-plain-range", min: 0, max: 1, step: 0.005, value: Math.min(1, place(value)), ariaLabel: control.title, "aria-valuetext": value,
    oninput: () => { box.value = there(input.valueAsNumber); input.ariaValueText = box.value; },
    onchange: () => edit(there(input.valueAsNumber)),
  });
  return input;
}

function render({ model, el, film }) {
  const pictures = new Map();
  const mine = element("canvas", { class: "lab-picture lab-mine", role: "img", ariaLabel: "The picture as the phone takes it", hidden: true });
  let isInGallery = true;
  const edit = (path, value) => change({ type: "edit", path, value });
  const tell = sender(model);

  let waiting = 0;
  /** A change, and once no other follows for a moment its answer. */
  function change(content, buffers) {
    tell(content, buffers);
    clearTimeout(waiting);
    waiting = setTimeout(() => tell({ type: "follow" }), FOLLOW_MS);
  }

  function thumbUrl(name) {
    if (!pictures.has(name)) pictures.set(name, URL.createObjectURL(new Blob([bytes(model.get("thumbs")[name].png)], { type: "image/png" })));
    return pictures.get(name);
  }

  function gallery(control) {
    const known = control.options.filter(({ value }) => model.get("thumbs")[value]);
    const group = `lab-choice-${names++}`;
    const thumbs = known.map(({ value }) => {
      const { title } = model.get("thumbs")[value];
      const input = element("input", { type: "radio", name: group, ariaLabel: title, "data-chosen": value === control.value, onchange: () => choose(input, value) });
      return element("label", { class: "lab-thumb", title }, input, element("img", { src: thumbUrl(value), alt: "", width: 40, height: 40 }));
    });
    const file = element("input", { type: "file", accept: READ, class: "lab-file", ariaLabel: "Your own picture", onchange: () => upload(file) });
    const fromDisk = element("label", { class: "lab-thumb lab-own", title: "Your own picture" }, file, element("span", { ariaHidden: true }, "+"));
    const captured = element("input", { type: "file", accept: ".safetensors", class: "lab-file", ariaLabel: "An update that a client sent", onchange: () => openUpdate(captured) });
    const update = element("label", { class: "lab-button lab-small lab-update", title: "A file that lab.capture wrote where a client trains: weights, update, recipe; at most 24 MB" }, captured, element("span", {}, "Open an update"));
    const offers = { upload: fromDisk, camera: camera.node, update };
    const [fromFile, fromCamera, fromClient] = Object.keys(offers).map((name) => (film.hidden.includes(name) ? [] : [offers[name]]));
    const ethics = fromFile.length + fromCamera.length ? [element("p", "lab-ethics", ETHICS)] : [];
    isInGallery = known.some(({ value }) => value === control.value);
    drawMine();
    return element("div", {}, element("div", "lab-thumbs", ...thumbs, mine, ...fromFile), element("div", "lab-row", ...fromCamera, ...fromClient), ...ethics);
  }

  /** A picture that is none of the gallery's, as the phone takes it: cut to a square and scaled. */
  function drawMine() {
    const { images, height, width } = film.round;
    mine.hidden = isInGallery || film.concealed || !images;
    if (!mine.hidden) paint(mine, bytes(images).subarray(0, 3 * height * width), height, width);
  }

  async function upload(input) {
    const file = input.files[0];
    if (!file) return;
    const data = await shrunk(file);
    input.value = "";
    if (data.byteLength > LARGEST_FILE) return complain("picture", `${file.name} is larger than 8 MB and not a picture that this browser can read; choose a PNG or JPEG file.`);
    own(file.name, data);
  }

  /** What a client sent, in the place of one that the lab simulates. */
  async function openUpdate(input) {
    const [file] = input.files;
    if (!file) return;
    if (file.size > LARGEST_UPDATE) complain("picture", `${file.name} is larger than 24 MB; a page takes smaller updates, and gradlab run --update takes this one.`);
    else tell({ type: "update", name: file.name }, [await file.arrayBuffer()]);
    input.value = "";
  }

  function choose(thumb, value) {
    for (const other of body.querySelectorAll("[data-chosen]")) other.dataset.chosen = other === thumb;
    film.cover(false);
    edit("picture", value);
  }

  /** A picture that the reader has chosen is no secret to the reader. */
  function own(name, data) {
    film.cover(false);
    change({ type: "upload", name }, [data]);
  }

  const camera = cameraPart((data) => own("camera.png", data), (sentence) => complain("picture", sentence));

  const makers = {
    gallery, choice: (control) => choice(control, (value) => edit(control.path, value)),
    number: (control) => number(control, (value) => edit(control.path, value)),
  };

  function row(control) {
    const sentence = element("p", { class: "lab-error", "data-path": control.path, role: "alert" });
    const input = makers[control.kind](control);
    const text = control.help && `${control.help[0].toUpperCase()}${control.help.slice(1)}${control.unit && ` (${control.unit})`}.`;
    const help = element("span", { class: "lab-help", id: `lab-help-${names++}` }, text);
    return element("fieldset", { class: "lab-control", "aria-describedby": help.id, "data-control": control.path },
      element("legend", {}, control.title), input, sentence, help);
  }

  function complain(path, text) {
    const place = [...body.querySelectorAll(".lab-error")].find((node) => node.dataset.path === path) ?? body.querySelector(".lab-error");
    if (place) place.textContent = text;
  }

  const heading = element("h2", {}, "Change the experiment");
  const undo = small("Undo", () => change({ type: "undo" }));
  const atOnce = element("input", { type: "checkbox", checked: model.get("at_once"), onchange: () => tell({ type: "at_once", wanted: atOnce.checked }) });
  const follows = element("label", "lab-at-once", atOnce, "Attack after each change");
  const body = element("div", "lab-form", soft("The controls appear as soon as the engine is ready."));
  const card = element("details", { class: "lab-card lab-folds lab-rail", open: true, ariaLabel: "Change the experiment" },
    element("summary", {}, heading), body);
  let advancedOpen = false;

  function draw() {
    const controls = model.get("controls");
    undo.disabled = !model.get("changed");
    if (!controls.length) return;
    const focused = el.contains(document.activeElement) ? focusPlace(document.activeElement) : null;
    const seen = controls.filter(isSeen);
    const folded = ({ advanced }) => advanced && !film.state.only?.length; // what a teacher names stands open
    const rows = seen.filter(folded).map(row);
    const advanced = element("details", { class: "lab-advanced", open: advancedOpen, ontoggle: () => { advancedOpen = advanced.open; } },
      element("summary", {}, "Advanced"), ...rows);
    body.replaceChildren(...seen.filter((control) => !folded(control)).map(row), ...(rows.length ? [advanced] : []), element("div", "lab-row lab-form-end", undo, ...(film.parts?.has("transport") ? [follows] : [])));
    conceal();
    showErrors();
    if (focused) restoreFocus(focused);
  }

  /** A teacher may hide controls, or show a few only. */
  function isSeen({ path, advanced }) {
    const { hidden = [], only = [] } = film.state;
    return !hidden.includes(path) && !(advanced && hidden.includes("advanced")) && (!only.length || only.includes(path));
  }

  /** Where the focus is, in terms that survive a redraw. */
  function focusPlace(node) {
    if (node === undo) return { path: null };
    const field = node.closest("[data-control]");
    return field && { path: field.dataset.control, type: node.type, checked: node.checked };
  }

  function restoreFocus({ path, type, checked }) {
    if (path === null) return undo.focus();
    const inputs = [...body.querySelectorAll("[data-control]")].find((node) => node.dataset.control === path)?.querySelectorAll("input, select") ?? [];
    [...inputs].find((input) => input.type === type && (type !== "radio" || input.checked === Boolean(checked)))?.focus({ preventScroll: true });
  }

  function showErrors() {
    const errors = model.get("errors");
    for (const place of body.querySelectorAll(".lab-error")) place.textContent = errors[place.dataset.path] ?? "";
  }

  /** Which picture is chosen is no secret only as long as the picture itself is none. */
  function conceal() {
    drawMine();
    for (const input of body.querySelectorAll("[data-chosen]")) input.checked = input.dataset.chosen === "true" && !film.concealed;
  }

  /** A value that was refused, at once or later, does not stay in its control. */
  function settled(content) {
    if (content.type === "settled") draw();
  }

  el.append(card);
  if (el.closest(".lab")?.clientWidth < 820) card.open = false;
  let visible = "";
  const redraw = () => { // the state changes often, what is hidden seldom
    const { hidden, only } = film.state;
    if (visible !== (visible = JSON.stringify([hidden, only]))) draw();
  };
  redraw();
  model.on("change:controls", draw);
  model.on("change:changed", draw);
  model.on("change:errors", showErrors);
  model.on("msg:custom", settled);

  const end = follow(film, { state: redraw, concealed: conceal, round: drawMine, begun: () => clearTimeout(waiting) });
  return () => {
    clearTimeout(waiting);
    end();
    camera.end();
    pictures.forEach((url) => URL.revokeObjectURL(url));
  };
}
