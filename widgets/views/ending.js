/** What the run came to, in human terms: from which guess on it was recognisable, and how little that took. */
function ending(film) {
  const first = film.frames[recognisedSince(film.frames)], last = film.frames.at(-1);
  if (film.round.unknown) return [`${last.verdict}:`, last.numbers?.sentences?.[0] ?? "nobody here knows the truth."];
  const guessed = last.downhill || (film.round.inputs && Number.isFinite(last.objective) && !last.readings?.length);
  const guesses = guessed ? ` and ${grouped(last.iteration)} ${last.iteration === 1 ? "guess" : "guesses"}` : "";
  if (!first) return [`${last.verdict}:`, `${grouped(film.round.numbers)} numbers${guesses} were not enough.`];
  const way = guessed ? `after ${grouped(first.iteration)} ${first.iteration === 1 ? "guess" : "guesses"}` : "by algebra";
  return [`${grouped(film.round.numbers)} numbers were enough:`, `recognisable ${way}, ${lasting(first.seconds)}.`];
}

function render({ model, el, film }) {
  const short = element("b");
  const rest = element("span");
  const next = element("button", { class: "lab-ask-next", onclick: ask });
  const why = element("p", "lab-why");
  const mend = element("button", { class: "lab-mend", onclick: () => { film.tell("look", "server"); tell({ type: "mend" }); } });
  const told = element("p", { class: "lab-unseen", role: "status" });
  const tell = sender(model, told);
  const card = element("section", { class: "lab-card lab-ending", ariaLabel: "What it came to", hidden: true }, element("p", {}, short, " ", rest), next, why, mend, told);

  /** In the story the next scene is what follows. */
  function ask() {
    if (film.scene) return film.tell("scene");
    film.tell("look", "server");
    if (model.get("opens")) film.tell("tab", model.get("opens"));
    tell({ type: "next" });
  }

  function draw() {
    const over = film.ended && Boolean(film.round.numbers);
    if (card.hidden && over) told.textContent = "";
    card.hidden = !over;
    if (!over) return;
    [short.textContent, rest.textContent] = ending(film);
    const poor = !film.scene && !film.round.unknown && film.frames.at(-1).verdict !== "Recognisable" && Boolean(model.get("mend"));
    why.textContent = poor ? `Likeliest cause: ${model.get("cause")}` : "";
    mend.textContent = `Mend it: ${model.get("mend")}`;
    why.hidden = mend.hidden = !poor;
    told.textContent = `${short.textContent} ${rest.textContent} ${why.textContent}`.trim();
    next.textContent = film.scene ? "Next scene →" : `${model.get("question")} →`;
    next.hidden = poor || !film.scene && (!model.get("question") || film.hidden.includes("chips") || Boolean(film.round.unknown));
  }

  el.append(card);
  draw();
  for (const name of ["question", "cause", "mend"]) model.on(`change:${name}`, draw);
  return follow(film, { frames: draw, index: draw, state: draw, round: draw, stage: draw });
}
