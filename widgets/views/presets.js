function render({ model, el, film }) {
  const list = element("div", "lab-cases");
  const said = saying();
  const tell = sender(model, said);
  const story = element("dl", { class: "lab-preset", hidden: true });
  const card = foldable("lab-presets", "From the papers", list, story, said);

  function drawPresets() {
    list.replaceChildren(...model.get("presets").map(({ name, title }) => element("button", { class: "lab-small", "data-name": name, onclick: () => run(name) }, title)));
    draw();
  }

  function run(name) {
    tell({ show: name });
    film.tell("look", "server");
  }

  function draw() {
    const { name, explanation, paper_item, scaled_down, expected } = model.get("shown");
    for (const button of list.children) button.ariaPressed = button.dataset.name === name;
    story.hidden = !name;
    const over = film.state.status === "finished" && film.source !== "recorded" ? film.frames.at(-1)?.verdict : "";
    const told = [["What it shows", explanation], ["Paper", paper_item], ["Scaled down", scaled_down], ["Verdict seen before", `${expected}${over ? `; this run: ${over.toLowerCase()}` : ""}`]];
    story.replaceChildren(...told.flatMap(([title, text]) => [element("dt", {}, title), element("dd", {}, text ?? "")]));
  }

  el.append(card);
  drawPresets();
  model.on("change:presets", drawPresets);
  model.on("change:shown", draw);
  return follow(film, { state: draw });
}
