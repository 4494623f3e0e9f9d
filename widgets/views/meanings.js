// What each read-out means, in one plain sentence, behind a small button that a keyboard reaches.

const MEANINGS = {
  objective: "What the attack lowers: how far the guess's gradient is from the shared one. It never sees the secret. With annealing each step blurs the guess anew, and the curve jumps.",
  nothing: "What an answer scores that knows nothing of what was sent. Whoever is not clearly better has learned little.",
  verdict: "Eight are lined up: the secret and seven others. Recognisable means that the reconstruction is most like the secret, and much alike. First place alone happens by chance once in eight times.",
  loop: "Each pair of strips is a layer: above numbers that were sent (of its loudest unit), below what the present guess would send in their place. The gap is one minus the cosine of the angle between all their numbers: 0 where both point the same way, 1 where they have nothing in common.",
  readings: "Whatever may stand there is listed, each word at each place or each atom with its neighbours: what share of its vector lies outside the space that the shared gradient spans? What was there is outside by rounding alone. C(C₃O) ×2: two C, each bound to a C with three bonds and an O. Where that space fills all directions, everything fits and nothing is told.",
  run: "Device: what computes. Iterations/s: guesses tried in a second. Seconds of attack: what the attack itself took, without the pauses of the watchable pace. Seconds left: an estimate at this pace.",
  sides: "Line: the main score over the iterations. Below: the score of the moment shown, and the seconds that this side has computed.",
};
let notes = 0;

/** A small "?" that opens the meaning of a read-out beside it; `readings`, if any, stand above the meaning. */
const meaning = (name, label = name, ...readings) => explained(MEANINGS[name], label, ...readings);

function explained(text, label, ...readings) {
  const note = element("span", { class: "lab-meaning-note", id: `lab-note-${notes++}`, role: "note", popover: "auto" }, ...readings, text);
  const button = element("button", { class: "lab-ask", ariaLabel: `What does ${label} mean?`, popoverTargetElement: note }, "?");
  note.addEventListener("toggle", (event) => { if (event.newState === "open") putBeside(note, button); });
  return element("span", "lab-asks", button, note);
}

/** Under the button, inside the window. */
function putBeside(note, button) {
  const { left, bottom, top } = button.getBoundingClientRect();
  const { width, height } = note.getBoundingClientRect();
  const below = bottom + 6 + height < innerHeight;
  note.style.left = `${Math.max(8, Math.min(left - 12, innerWidth - width - 8))}px`;
  note.style.top = `${below ? bottom + 6 : Math.max(8, top - height - 6)}px`;
}
