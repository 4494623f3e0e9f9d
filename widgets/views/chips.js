async function render({ model, el, host }) {
  const film = await filmOf(model, host);
  const note = element("p", { class: "lab-soft lab-note", role: "status", "aria-live": "polite" });
  const choose = (key) => {
    try { model.send({ choose: key }); } catch { note.textContent = "The engine no longer answers; reload the page."; }
    if (key === "algebra") film.tell("tab", "algebra");
  };
  const buttons = model.get("entries").map(({ key, title }) => element("button", { type: "button", "data-key": key, onclick: () => choose(key) }, title));

  function draw() {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.key === model.get("chosen")));
    note.textContent = model.get("note");
  }

  el.append(element("div", { class: "lab-chips" }, ...buttons), note);
  model.on("change:chosen", draw);
  model.on("change:note", draw);
  draw();
}

export default { render };
