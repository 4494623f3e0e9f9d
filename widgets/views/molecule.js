// A paper to draw a molecule on: atoms of a few kinds and their bonds; by pointer, finger and keyboard alike.

const PAPER = { side: 320, margin: 32, radius: 15, reach: 22, apart: 0.16, turns: 12, undos: 50 };

/** The editor; `changed` gets the molecule after every change, `finish` when it is to be attacked. */
function moleculeOf({ kinds, most, bonds: mostBonds }, { changed, finish, close }) {
  const past = [];
  let atoms = [], bonds = [], chosen = -1, kind = 0, from = null;

  const svg = drawn("svg", { viewBox: `0 0 ${PAPER.side} ${PAPER.side}`, class: "lab-paper lab-molecule", tabindex: 0, role: "application", "aria-roledescription": "molecule editor",
    "aria-label": "Your molecule: arrow keys choose an atom, Enter adds one bound to it, B begins a bond and ends it, Delete removes, Control Z takes back" });
  const said = element("p", { class: "lab-soft lab-molecule-said", role: "status" });
  const pills = kinds.map((name, index) => element("button", { onclick: () => choose(index) }, name));
  const less = small("Remove", remove);
  const back = small("Undo", undo);
  const attack = element("button", { class: "lab-attack-drawing", onclick: () => finish(told()) }, "Attack my molecule");
  const read = element("canvas", { class: "lab-picture", ariaHidden: true });
  const node = element("div", "lab-pad", element("div", "lab-frame", svg), said,
    element("div", { class: "lab-inks lab-kinds", role: "group", ariaLabel: "Kind of the next atom" }, ...pills),
    element("p", "lab-echo lab-soft", read, "What the server reads meanwhile"),
    element("div", "lab-row", less, back, small("Clear", clear), small("Close", close)),
    attack);

  const onPaper = (share) => PAPER.margin + (PAPER.side - 2 * PAPER.margin) * share;
  const within = (share) => Math.min(1, Math.max(0, share));
  const friends = (atom) => bonds.filter((bond) => bond.includes(atom)).map(([one, other]) => (one === atom ? other : one));
  const far = ({ x, y }, [a, b]) => Math.hypot(x - a, y - b);
  const named = (atom) => `${kinds[atoms[atom].kind]}, atom ${atom + 1} of ${atoms.length}`;
  const told = () => ({ kinds: atoms.map((atom) => atom.kind), bonds: bonds.flat(), places: atoms.flatMap(({ x, y }) => [x, y]) });

  function draw() {
    const line = ([one, other]) => drawn("line", { x1: onPaper(atoms[one].x), y1: onPaper(atoms[one].y), x2: onPaper(atoms[other].x), y2: onPaper(atoms[other].y) });
    svg.replaceChildren(...bonds.map(line), ...atoms.flatMap((atom, index) => [
      drawn("circle", { cx: onPaper(atom.x), cy: onPaper(atom.y), r: PAPER.radius, class: index === from ? "lab-bond-from" : index === chosen ? "lab-chosen" : "" }),
      drawn("text", { x: onPaper(atom.x), y: onPaper(atom.y) + 5, "text-anchor": "middle" }, kinds[atom.kind])]));
    back.disabled = past.length === 0;
    less.disabled = chosen < 0;
    attack.disabled = atoms.length === 0;
    pills.forEach((pill, index) => pill.ariaPressed = index === kind);
  }

  /** After a change; what it is said of comes with it. */
  function redraw(sentence) {
    said.textContent = sentence;
    draw();
    if (atoms.length) changed(told());
  }

  function keep() {
    past.push([atoms.map((atom) => ({ ...atom })), bonds.slice(), chosen]);
    if (past.length > PAPER.undos) past.shift();
  }

  function undo() {
    if (!past.length) return;
    [atoms, bonds, chosen] = past.pop();
    from = null;
    redraw("Taken back.");
  }

  function clear() {
    keep();
    [atoms, bonds, chosen, from] = [[], [], -1, null];
    redraw("An empty paper.");
  }

  function refuse(sentence) {
    said.textContent = sentence;
    return false;
  }

  const isFree = (...ends) => ends.every((atom) => friends(atom).length < mostBonds) || refuse(`An atom takes at most ${mostBonds} bonds; remove one, or bind another atom.`);

  /** A new atom, bound to another if there is one. */
  function add(x, y, other) {
    if (atoms.length >= most) return refuse(`A molecule has at most ${most} atoms here; remove one first.`);
    if (other >= 0 && !isFree(other)) return false;
    keep();
    atoms.push({ kind, x: within(x), y: within(y) });
    if (other >= 0) bonds.push([other, atoms.length - 1]);
    chosen = atoms.length - 1;
    redraw(`${named(chosen)} added${other >= 0 ? `, bound to ${kinds[atoms[other].kind]}, atom ${other + 1}` : ""}.`);
  }

  /** Bind two atoms, or part them. */
  function bind(one, other) {
    const there = bonds.findIndex((bond) => bond.includes(one) && bond.includes(other));
    if (there < 0 && !isFree(one, other)) return;
    keep();
    if (there < 0) bonds.push([Math.min(one, other), Math.max(one, other)]);
    else bonds.splice(there, 1);
    chosen = other;
    redraw(`Atoms ${one + 1} and ${other + 1} are ${there < 0 ? "bound" : "no longer bound"}.`);
  }

  function remove() {
    if (chosen < 0) return;
    keep();
    const [gone, next] = [chosen, friends(chosen)[0] ?? -1];
    const sentence = `${named(gone)} removed.`;
    bonds = bonds.filter((bond) => !bond.includes(gone)).map((bond) => bond.map((atom) => atom - (atom > gone)));
    atoms.splice(gone, 1);
    chosen = next - (next > gone);
    from = null;
    redraw(sentence);
  }

  function pick(atom) {
    chosen = atom;
    said.textContent = atom < 0 ? "No atom is chosen." : `${named(atom)}: bound to ${friends(atom).map((other) => kinds[atoms[other].kind]).join(", ") || "nothing"}.`;
    draw();
  }

  /** The kind of the next atom. */
  function choose(index) {
    kind = index;
    draw();
  }

  /** Where there is most room around an atom. */
  function room(atom) {
    const { x, y } = atoms[atom];
    const around = Array.from({ length: PAPER.turns }, (_, turn) => (2 * Math.PI * turn) / PAPER.turns).map((turn) => [within(x + PAPER.apart * Math.cos(turn)), within(y + PAPER.apart * Math.sin(turn))]);
    const nearest = (place) => Math.min(...atoms.map((other) => far(other, place)));
    return around.reduce((best, place) => (nearest(place) > nearest(best) + 1e-9 ? place : best));
  }

  /** The nearest atom that lies in this direction. */
  function towards([right, down]) {
    if (chosen < 0) return pick(atoms.length ? 0 : -1);
    const { x, y } = atoms[chosen];
    const lies = atoms.map((atom, index) => [index, (atom.x - x) * right + (atom.y - y) * down, far(atom, [x, y])]).filter(([, along, away]) => along > 0.5 * away);
    if (lies.length) pick(lies.reduce((best, other) => (other[2] < best[2] ? other : best))[0]);
  }

  function press(event) {
    const control = event.ctrlKey || event.metaKey;
    const does = { Enter: () => (chosen < 0 ? add(0.5, 0.5, -1) : add(...room(chosen), chosen)), Delete: remove, Backspace: remove, b: bondByKey };
    does[" "] = does.Enter;
    const letter = kinds.findIndex((name) => name.toLowerCase() === event.key.toLowerCase());
    const act = control ? event.key === "z" && undo : MOVES[event.key] ? () => towards(MOVES[event.key]) : does[event.key.length > 1 ? event.key : event.key.toLowerCase()] ?? (letter >= 0 && (() => choose(letter)));
    if (!act) return;
    event.preventDefault();
    event.stopPropagation(); // space and arrows mean something else elsewhere on the page
    act();
  }

  /** The first B marks an atom, the second binds the one chosen then to it. */
  function bondByKey() {
    if (chosen < 0) return;
    const first = from;
    from = first === null ? chosen : null;
    if (first !== null && first !== chosen) return bind(first, chosen);
    said.textContent = first === null ? `A bond of ${named(chosen)}: choose the other atom and press B.` : "No bond.";
    draw();
  }

  function placeOf({ clientX, clientY }) {
    const { left, top, width } = svg.getBoundingClientRect();
    return [clientX - left, clientY - top].map((at) => ((PAPER.side * at) / width - PAPER.margin) / (PAPER.side - 2 * PAPER.margin));
  }

  const atomAt = (place) => atoms.findIndex((atom) => far(atom, place) < PAPER.reach / (PAPER.side - 2 * PAPER.margin));

  svg.addEventListener("pointerdown", (event) => {
    svg.setPointerCapture(event.pointerId);
    from = atomAt(placeOf(event));
    if (from < 0) from = null;
    draw();
  });
  svg.addEventListener("pointerup", (event) => {
    const place = placeOf(event), atom = atomAt(place), began = from;
    from = null;
    if (began === null) return void (atom < 0 ? add(...place, chosen) : draw());
    if (atom < 0) add(...place, began);
    else if (atom === began) pick(chosen === atom ? -1 : atom);
    else bind(began, atom);
    draw();
  });
  svg.addEventListener("pointercancel", () => { from = null; draw(); });
  svg.addEventListener("keydown", press);

  /** Begin with a molecule, or with none. */
  function begin(first) {
    [atoms, bonds] = [first?.atoms ?? [], first?.bonds ?? []];
    [chosen, from] = [-1, null];
    past.length = 0;
    svg.focus({ preventScroll: true });
    redraw(atoms.length ? "Tap the paper to add an atom; drag from atom to atom to bind or part them." : "Tap the paper to add an atom.");
  }

  return { node, begin, echo: (found) => show(read, found) };
}

/** The one molecule that is shown, as the editor takes it; null where it shows another thing, or more than fits. */
function shownMolecule({ inputs, values, words, width, count }, { kinds, most }) {
  if (inputs !== "graphs" || count !== 1 || words.kinds.length !== kinds.length) return null;
  const rows = floats(values), each = kinds.length + width;
  const row = (node) => [...rows.subarray(node * each, (node + 1) * each)];
  const kept = Array.from({ length: width }, (_, node) => node).filter((node) => row(node).slice(0, kinds.length).includes(1));
  if (kept.length > most) return null;
  const atoms = kept.map((node) => ({ kind: row(node).indexOf(1), x: words.places[0][node][0], y: words.places[0][node][1] }));
  const bonds = kept.flatMap((one, first) => kept.slice(0, first).flatMap((other, second) => (row(one)[kinds.length + other] > 0 ? [[second, first]] : [])));
  return { atoms, bonds };
}
