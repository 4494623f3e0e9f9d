// Who attacks a shield: one who has never heard of it, or one who knows it.

const WHO = { naive: "naive", knowing: "knows it" };

function render({ model, el, film }) {
  const refused = element("p", { class: "lab-error", role: "alert" });
  const tell = sender(model, refused);
  const buttons = Object.entries(WHO).map(([value, title]) => element("button", { "data-value": value, onclick: () => tell({ attacker: value }) }, title));
  const card = element("section", { class: "lab-card lab-below", ariaLabel: "Attacker", hidden: true },
    element("div", { class: "lab-group", role: "group", ariaLabel: "Attacker" }, element("span", { class: "lab-group-name", ariaHidden: true }, "Attacker"), ...buttons), refused);

  function draw() {
    const who = model.get("attacker");
    card.hidden = !who || Boolean(film.round.unknown) || film.hidden.includes("attack.reading");
    for (const button of buttons) button.ariaPressed = button.dataset.value === who;
    refused.textContent = model.get("refused");
  }

  el.append(card);
  draw();
  for (const name of ["attacker", "refused"]) model.on(`change:${name}`, draw);
  return follow(film, { round: draw, state: draw });
}
