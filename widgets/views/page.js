const STORED = "gradient-lab-theme";

/** What the reader chose, else what JupyterLab or the system says. */
function wantedTheme() {
  const chosen = localStorage.getItem(STORED);
  if (chosen) return chosen;
  const jupyter = document.body.dataset.voila ? undefined : document.body.dataset.jpThemeLight;
  if (jupyter) return jupyter === "false" ? "dark" : "light";
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

const PAPER = "After “Inverting Gradients: How easy is it to break privacy in federated learning?” "
  + "(Geiping, Bauermeister, Dröge, Moeller, NeurIPS 2020). Everything is computed on this machine.";

/** Sections from top to bottom: class, name and the parts in each, some in one column; what a page has no view of is left out. */
const SECTIONS = [
  ["lab-told", "The story", ["guide"]],
  ["lab-story", "From the secret to the leak", [["secret", "shield"], "sent", ["server", "attacker", "guess"]]],
  ["lab-run", "Run", ["ending", "transport"]],
  ["lab-next", "Try next", ["chips", "presets", "landscape", "plane", "compare", "doctor"]],
  ["lab-beside", "Convergence and experiment", ["curve", "controls"]],
  ["lab-lower", "Analysis", ["panel", "conditions"]],
  ["lab-foot", "Share and export", ["share"]],
];

function arrow() {
  return element("div", { class: "lab-arrow", ariaHidden: true }, "→");
}

function section([style, name, parts], present) {
  const slot = (part) => element("div", { class: `lab-slot lab-slot-${part}`, "data-slot": part });
  const place = (part) => (Array.isArray(part) ? element("div", "lab-column", ...part.filter(present).map(slot)) : slot(part));
  const slots = parts.filter((part) => [part].flat().some(present)).map(place);
  const content = style === "lab-story" ? slots.flatMap((slot, index) => (index ? [arrow(), slot] : [slot])) : slots;
  return slots.length ? [element("section", { class: style, ariaLabel: name }, ...content)] : [];
}

const KEYS = [["space", "attack, pause, go on"], ["← →", "frame by frame"], ["p", "replay"], ["r", "reset"], ["l", "copy the link"], ["t", "the story"], ["b", "projector"], ["d", "dark or light"], ["?", "this list"]];

function isTyping({ target, ctrlKey, metaKey, altKey }) {
  return ctrlKey || metaKey || altKey || !(target instanceof Element) || target.closest("input, select, textarea, dialog") !== null || !(target === document.body || target.closest(".lab"));
}

/** Where a kernel answers, the pictures kept for readers without one are not shown on the screen. */
function hideStills(content) {
  if (content?.type !== "here" || document.getElementById("lab-no-stills")) return;
  document.head.append(element("style", { id: "lab-no-stills" }, "@media screen { .lab-still { display: none; } }"));
}

/** The way to the course, where the server of this page has it. */
function lessonsLink() {
  return element("a", { href: `${document.body.dataset.baseUrl}tree` }, "Lessons");
}

/** All keys in one list. */
function keysDialog() {
  return dialog("Keys", element("h2", {}, "Keys"),
    element("dl", {}, ...KEYS.flatMap(([key, means]) => [element("dt", {}, key), element("dd", {}, means)])));
}

async function render({ model, el, host, signal, film }) {
  const whole = model.get("whole");
  const theme = element("button", { class: "lab-icon", title: "Light or dark", onclick: () => chooseTheme(root.dataset.theme === "dark" ? "light" : "dark") }, "◐");
  const story = element("button", { class: "lab-small lab-tell", onclick: () => film.tell("story") }, "The story");
  const map = element("button", { class: "lab-small lab-to-map", onclick: () => film.tell("map") }, "Map");
  const projector = element("button", { class: "lab-small lab-projector", ariaPressed: false, title: "Large text for a lecture hall (b)", onclick: project }, "Projector");
  const header = element("div", "lab-header",
    element("h1", {}, "Can a gradient keep a secret?"),
    element("nav", { class: "lab-row", ariaLabel: "Page" }, ...(model.get("guide") ? [story] : []), ...(model.get("landscape") ? [map] : []), projector, theme),
    element("p", {}, "A phone sends only numbers. Watch the server turn them back."));
  const alone = whole && document.body.dataset.voila !== undefined; // JupyterLab has a main landmark of its own
  const root = element("div", { class: "lab", ...(alone && { role: "main" }) },
    element("div", `lab-page ${whole ? "lab-full" : "lab-lesson"}`,
      ...(whole ? [header] : []),
      ...SECTIONS.flatMap((layout) => section(layout, (part) => Boolean(model.get(part)))),
      ...(whole ? [element("p", "lab-footer", ...(model.get("lessons") ? [lessonsLink(), " · "] : []), PAPER)] : [])));

  function project() {
    const wanted = root.toggleAttribute("data-projector");
    projector.ariaPressed = wanted;
  }

  function chooseTheme(name) {
    localStorage.setItem(STORED, name);
    document.dispatchEvent(new CustomEvent("lab:theme", { detail: name }));
  }

  function paintTheme(name) {
    root.dataset.theme = name;
    if (whole) document.body.dataset.labTheme = name;
    theme.ariaLabel = name === "dark" ? "Light theme" : "Dark theme";
    for (const canvas of root.querySelectorAll("canvas[data-inputs]")) canvas.again(); // in the ink of this theme
  }

  /** A teacher's link may hide whole parts, and a scene those that it is not about. */
  function hide() {
    for (const slot of root.querySelectorAll("[data-slot]")) slot.hidden = film.hidden.includes(slot.dataset.slot) || film.staged?.has(slot.dataset.slot) === false;
    for (const column of root.querySelectorAll(".lab-column")) column.hidden = [...column.children].every((slot) => slot.hidden);
    story.hidden = map.hidden = Boolean(film.staged);
    map.hidden ||= film.hidden.includes("landscape");
  }

  /** What has been set off is brought into view, wherever on the page it was. */
  function look(part) {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    root.querySelector(`.lab-slot-${part}:not([hidden])`)?.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
  }

  film.hasLessons = model.get("lessons");
  film.parts = new Set(SECTIONS.flatMap(([, , parts]) => parts.flat()).filter((part) => Boolean(model.get(part))));
  const keys = keysDialog();
  if (whole) root.append(keys);
  const shortcuts = { t: () => film.tell("story"), b: project, d: () => theme.click(), l: () => root.querySelector(".lab-copy")?.click(), "?": () => keys.showModal() };
  document.addEventListener("keydown", (event) => {
    const shortcut = whole && !isTyping(event) && !keys.open && shortcuts[event.key];
    if (shortcut) shortcut();
  }, { signal });
  paintTheme(wantedTheme());
  document.addEventListener("lab:theme", (event) => paintTheme(event.detail), { signal });
  const conceal = () => root.toggleAttribute("data-concealed", film.concealed);
  if (whole) film.cover(true);
  conceal();
  el.append(root);
  await Promise.all([...root.querySelectorAll("[data-slot]")].map(async (place) => {
    const child = await host.getWidget(model.get(place.dataset.slot));
    await child.render({ el: place, signal });
  }));
  hide();
  model.on("msg:custom", hideStills);
  try { model.send({ type: "hello" }); } catch { /* nobody answers: the still pictures stay */ }
  root.dataset.ready = "true";
  document.dispatchEvent(new CustomEvent("lab:ready"));
  return follow(film, { state: hide, concealed: conceal, look, stage: hide, "story-left": () => story.focus() });
}
