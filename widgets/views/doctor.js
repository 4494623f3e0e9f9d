function render({ model, el, film }) {
  const list = element("div", "lab-cases");
  const title = element("h3");
  const cause = element("p");
  const said = saying();
  const tell = sender(model, said);
  const mend = element("button", { class: "lab-mend", onclick: () => tell({ mend: true }) });
  const story = element("div", { class: "lab-case", hidden: true }, title, cause, mend, said);
  const heading = element("h2");
  const introduction = soft();
  const findings = element("ul", "lab-findings");
  const card = element("details", { class: "lab-card lab-folds lab-doctor", ariaLabel: "When attacks fail" },
    element("summary", {}, heading), introduction, findings, list, story);

  /** Of an update that somebody sent the doctor tells what it is; its client cannot be changed. */
  function drawFindings() {
    const { unknown } = film.round;
    const told = model.get("diagnosis");
    heading.textContent = unknown ? "What the doctor says of this update" : "When attacks fail: causes and cures";
    introduction.textContent = unknown ? (told.length ? `Told by the numbers in ${unknown} and what its recipe says, before any attack.` : "The doctor is looking at it.") : "Each of these is attacked as it stands, and comes out badly. See why, and mend it with one click.";
    findings.replaceChildren(...(unknown ? told : []).map((sentence) => element("li", {}, sentence)));
    findings.hidden = !unknown;
    list.hidden = Boolean(unknown);
    if (unknown) card.open = true;
  }

  function drawCases() {
    list.replaceChildren(...model.get("cases").map(({ name, title: text }) =>
      element("button", { class: "lab-small", "data-name": name, onclick: () => tell({ show: name }) }, text)));
    drawCase();
  }

  function drawCase() {
    const { name, title: text, cause: why, change, mended } = model.get("case");
    for (const button of list.children) button.ariaPressed = button.dataset.name === name;
    story.hidden = !name;
    if (!name) return;
    card.open = true;
    title.textContent = text;
    cause.textContent = why;
    mend.textContent = `Mend it: ${change}`;
    mend.hidden = mended;
    drawVerdict();
  }

  function drawVerdict() {
    const { name, mended } = model.get("case");
    if (!name) return;
    const over = film.state.status === "finished" && film.source === "live";
    const verdict = over ? film.frames.at(-1)?.verdict : null;
    said.textContent = verdict ? `${mended ? "After the change" : "As it stands"}: ${verdict.toLowerCase()}.` : "";
    story.dataset.verdict = verdict ?? "";
    story.dataset.mended = mended;
  }

  el.append(card);
  drawCases();
  drawFindings();
  model.on("change:diagnosis", drawFindings);
  model.on("change:cases", drawCases);
  model.on("change:case", drawCase);
  return follow(film, { state: drawVerdict, frames: drawVerdict, round: drawFindings });
}
