function render({ model, el, film }) {
  const note = element("p", { class: "lab-soft lab-note", role: "status" });
  const tell = sender(model, note);
  const choose = (key, opens) => {
    tell({ choose: key });
    if (opens !== "compare") film.tell("look", "server");
    if (opens === "compare") film.tell("compare", true);
    else film.tell("uncompare");
    if (opens && opens !== "compare") film.tell("tab", opens);
  };
  const possible = model.get("entries").filter(({ opens }) => opens !== "compare" || film.parts.has("compare"));
  const buttons = possible.map(({ key, title, opens }) => element("button", { "data-key": key, onclick: () => choose(key, opens) }, title));

  let before = "";

  function draw() {
    const chosen = model.get("chosen");
    for (const button of buttons) button.ariaPressed = button.dataset.key === chosen;
    if (chosen !== before && model.get("entries").some(({ key, opens }) => key === before && opens === "compare")) film.tell("uncompare");
    before = chosen;
    note.textContent = model.get("note");
  }

  const compare = element("button", { onclick: () => film.tell("compare", false) }, "Side by side …");
  el.append(element("div", "lab-chips", ...buttons, ...(film.parts.has("compare") ? [compare] : [])), note);
  /** They change a client that the lab simulates; one that somebody else has is what it is. */
  function offer() {
    const titles = new Map(model.get("entries").map(({ key, title }) => [key, title]));
    for (const button of buttons) {
      button.textContent = titles.get(button.dataset.key) ?? "";
      button.hidden = Boolean(film.round.unknown) || !titles.has(button.dataset.key);
    }
  }

  model.on("change:chosen", draw);
  model.on("change:note", draw);
  model.on("change:entries", offer);
  draw();
  offer();
  return follow(film, { closed: (part) => tell({ closed: part }), round: offer });
}
