function condition({ title, applies, sentence }) {
  return element("li", { class: applies ? "lab-applies" : "" },
    element("b", {}, title), element("span", "lab-tag", applies ? "applies here" : "not here"), element("p", {}, sentence));
}

function render({ model, el }) {
  const list = element("ul", "lab-conditions");
  const card = element("article", { class: "lab-card", ariaLabel: "When the algebra fails" },
    element("h2", {}, "When the algebra fails"), soft("Five things to ask of any network before dividing."), list);

  function draw() {
    card.hidden = !model.get("conditions").length;
    list.replaceChildren(...model.get("conditions").map(condition));
  }

  el.append(card);
  model.on("change:conditions", draw);
  draw();
}
