const COPIED_MS = 2000;
const LARGEST_FILE = 24e6;
const FILES = [["png", "Picture", "secret beside reconstruction, PNG"], ["gif", "Replay", "the film, GIF"], ["json", "Run", "all of it, JSON"]];

/** Let the browser save bytes that it holds: the server hands out no files. */
function save(name, mime, buffer) {
  const url = URL.createObjectURL(new Blob([bytes(buffer)], { type: mime }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** Dark squares as one path, one unit each. */
function qrDrawing(rows) {
  const svg = drawn("svg", { viewBox: `0 0 ${rows.length} ${rows.length}`, class: "lab-qr", role: "img", "aria-label": "QR code of this page's link", "shape-rendering": "crispEdges" });
  const squares = rows.flatMap((row, y) => [...row].map((sign, x) => (sign === "1" ? `M${x} ${y}h1v1h-1z` : "")));
  svg.append(drawn("path", { d: squares.join("") }));
  return svg;
}

function render({ model, el, film, signal }) {
  const alone = film.ownsAddress; // a lesson is one of several parts of its page
  const place = element("p", "lab-address");
  const copy = element("button", { class: "lab-small lab-copy", onclick: take }, "Copy link");
  const code = element("button", { class: "lab-small", "aria-haspopup": "dialog", onclick: showCode }, "QR code");
  const said = saying();
  const tell = sender(model, said);
  const missing = soft();
  const picture = element("div");
  const written = element("p", "lab-address");
  const reached = soft();
  const board = dialog("QR code", picture, written, reached);
  const choices = element("fieldset", {}, element("legend", {}, "The link hides these controls from whoever opens it:"));
  const teacher = element("details", "lab-teacher", element("summary", {}, "For a lesson: hide controls"), choices);
  const file = element("input", { type: "file", class: "lab-run-file", accept: ".json,application/json", ariaLabel: "Open a run", onchange: open });
  const saves = FILES.map(([kind, name, title]) => element("button", { class: "lab-small", title, onclick: () => tell({ type: "save", as: kind }) }, `${name} (${kind.toUpperCase()})`));
  const exports = element("div", "lab-row", element("h2", {}, "This run as a file"), ...saves,
    element("label", "lab-button lab-small", file, element("span", {}, "Open a run")));
  const card = element("div", "lab-card lab-share",
    element("div", "lab-row", element("h2", {}, "This experiment as a link"), copy, ...(alone ? [code] : [])),
    place, missing, exports, said, ...(alone ? [board, teacher] : []));

  /** The whole address under Voila; in a notebook, the line of code that shows the same. */
  function address() {
    const query = model.get("link");
    if (!alone) return query ? `Lab.from_link("${query}")` : "Lab()";
    return `${location.origin}${location.pathname}${query ? `?${query}` : ""}${film.scene && `#scene=${film.scene}`}`;
  }

  async function take() {
    try {
      await navigator.clipboard.writeText(address());
      said.textContent = alone ? "The link is copied." : "The line of code is copied; run it in a cell.";
    } catch {
      getSelection().selectAllChildren(place);
      said.textContent = "This browser keeps its clipboard to itself: the link is selected, copy it by hand.";
    }
    setTimeout(() => { said.textContent = ""; }, COPIED_MS);
  }

  /** In the middle and as large as the window allows: for the camera of whoever sits in the last row. */
  function showCode() {
    written.textContent = address();
    tell({ type: "qr", address: address() });
    board.showModal();
  }

  function receive({ type, address: drawnFor, drawn: leadsTo, note, rows, kind, mime, sentence }, buffers) {
    if (type === "qr" && drawnFor === address()) {
      picture.replaceChildren(qrDrawing(rows));
      written.textContent = leadsTo;
      reached.textContent = note;
    }
    if (type === "opened") said.textContent = sentence;
    if (type === "stays") write();
    if (type === "file") {
      save(`gradient-lab.${kind}`, mime, buffers[0]);
      said.textContent = `The file gradient-lab.${kind} is on its way to your downloads.`;
    }
  }

  /** Show a run that was saved before. */
  async function open() {
    const [chosen] = file.files;
    if (!chosen) return;
    if (chosen.size > LARGEST_FILE) said.textContent = `${chosen.name} is larger than 24 MB; a run that this page has saved is smaller.`;
    else tell({ type: "open" }, [await chosen.arrayBuffer()]);
    file.value = "";
  }

  let known = "";
  function drawChoices() {
    const hidden = film.hidden;
    if (known === (known = JSON.stringify([hidden, model.get("can_hide")]))) return;
    const boxes = model.get("can_hide").map(({ path, title }) => element("label", {},
      element("input", { type: "checkbox", checked: hidden.includes(path), value: path, onchange: choose }), title));
    const focused = choices.contains(document.activeElement) ? document.activeElement.value : null;
    choices.replaceChildren(choices.firstChild, ...boxes);
    if (focused) choices.querySelector(`input[value="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  function choose() {
    tell({ type: "hide", paths: [...choices.querySelectorAll("input:checked")].map((box) => box.value) });
  }

  /** Runs on other inputs are kept by the command line alone (exports.py). */
  function offer() {
    for (const save of saves) save.hidden = Boolean(film.round.inputs);
  }

  function draw() {
    place.textContent = address();
    missing.textContent = model.get("left_out");
    drawChoices();
  }

  let isKnown = model.get("can_hide").length > 0, going = false; // whether the first experiment is known, which replaces nothing

  /** The address bar always holds the present experiment; each change can be left by the browser's back button. */
  function write() {
    if (alone && location.href !== address()) history[isKnown && !going ? "pushState" : "replaceState"](null, "", address());
    going = false;
    draw();
  }

  /** Back or forward: the experiment of that address, or where it cannot be had the address of the present one. */
  function go() {
    going = true;
    tell({ type: "go", query: location.search.slice(1) });
  }

  let told = film.scene;
  /** Another scene is one step, with the experiment that it brings; one that was come back to has its address already. */
  function staged(cameBack) {
    const isAnother = told !== (told = film.scene);
    if (cameBack || !isAnother) return;
    write();
    going = told !== "";
  }

  let before = "";
  function settle() {
    if (before === "loading" && film.state.status !== "loading" && going) write();
    before = film.state.status;
  }

  el.append(card);
  draw();
  model.on("change:link", write);
  model.on("change:left_out", draw);
  model.on("change:can_hide", () => {
    drawChoices();
    setTimeout(() => { isKnown = true; });
  });
  model.on("msg:custom", receive);
  if (alone) addEventListener("popstate", go, { signal });
  offer();
  return follow(film, { stage: staged, round: offer, state: () => { drawChoices(); settle(); } });
}
