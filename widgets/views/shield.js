// The client's shield: which, how strong, and what that costs; the price of each strength is told while it is turned.

function render({ model, el, film }) {
  const which = element("select", { ariaLabel: "Shield of the phone", disabled: true, onchange: () => tell({ defence: which.value }) }, element("option", {}, "none"));
  const value = element("span", "lab-dial");
  const dial = element("input", { type: "range", class: "lab-plain-range", min: 1, step: 1, ariaLabel: "Strength of the shield", oninput: turn, onchange: () => tell({ strength: dial.valueAsNumber }) });
  const turns = element("div", { class: "lab-row", hidden: true }, dial, value);
  const told = element("span", { role: "status" });
  const price = soft(told);
  const promised = element("p");
  const promises = element("details", "lab-soft", element("summary", {}, "What it promises"), promised);
  const refused = element("p", { class: "lab-error", role: "alert" });
  const tell = sender(model, refused);
  const card = element("section", { class: "lab-card lab-below lab-shield", ariaLabel: "Shield" },
    element("div", "lab-row", element("b", {}, "Shield"), which), turns, price, promises, refused);

  function say(step) {
    value.textContent = step.value;
    told.textContent = step.told.join(" ");
    promised.textContent = step.promised.join(" ");
    promises.hidden = !step.promised.length;
    dial.ariaValueText = `${dial.value} of ${dial.max}: ${step.value}`;
  }

  function turn() {
    say(model.get("shield").steps[dial.value - 1]);
  }

  function draw() {
    const { defence, place, steps = [] } = model.get("shield");
    card.hidden = Boolean(film.round.unknown) || film.hidden.includes("defence");
    refused.textContent = model.get("refused");
    if (!defence) return;
    const several = defence === "several" ? [{ value: defence, label: defence }] : [];
    which.replaceChildren(...[...model.get("choices"), ...several].map(({ value: name, label }) => element("option", { value: name, selected: name === defence }, label)));
    which.disabled = false;
    turns.hidden = !steps.length;
    Object.assign(dial, { max: steps.length, value: place });
    if (price.childElementCount < 2) price.append(explained(model.get("priced"), "the price"));
    say(model.get("shield"));
  }

  promises.hidden = true;
  el.append(card);
  draw();
  for (const event of ["change:shield", "change:refused", "msg:custom"]) model.on(event, draw);
  return follow(film, { round: draw, state: draw });
}
