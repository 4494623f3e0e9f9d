// The guided story. A scene sets the page, hides what it is not about, asks, and only then shows.

const ASKING = ["secret", "sent"]; // in sight while a question is open, if the scene shows them at all
const PAPER_ADDRESS = "https://arxiv.org/abs/2003.14053";

function render({ model, el, film, signal }) {
  const scenes = model.get("scenes"), chosen = new Map();
  let at = -1;

  const pills = element("ol", "lab-scenes", ...scenes.map(({ title }, index) => element("li", {}, element("button", { class: "lab-small", ariaLabel: `Scene ${index + 1}: ${title}`, onclick: () => go(index) }, String(index + 1)))));
  const back = element("button", { class: "lab-icon", ariaLabel: "Scene before", onclick: () => go(at - 1) }, "←");
  const next = element("button", { class: "lab-forward", onclick: () => (at + 1 < scenes.length ? go(at + 1) : leave()) });
  const free = small("Free play", () => leave());
  const title = element("h2", { class: "lab-unseen", tabIndex: -1 });
  const text = element("p");
  const question = element("p", "lab-question");
  const answers = element("div", { class: "lab-row", role: "group", ariaLabel: "Your prediction" });
  const because = element("p", { role: "status" });
  const further = soft();
  const card = element("div", { class: "lab-card lab-guide", hidden: true },
    element("div", "lab-guide-bar", pills, title, text, element("div", "lab-row lab-guide-ways", back, next, free)),
    element("div", "lab-row", question, answers), because, further);
  const told = element("span");
  const tell = sender(model, told);

  const scene = () => scenes[at];
  const isAnswered = () => chosen.has(scene().name);
  /** Whether there is nothing more to wait for. */
  const isOver = () => isAnswered() && (scene().peels ? ["done", "failed"].includes(film.peeled?.status) : !scene().runs || (film.ended && film.source !== "recorded"));

  function go(index) {
    enter(index);
    chosen.delete(scene().name);
    film.cover(true);
    film.scene = scene().name;
    stage();
    tell({ go: scene().name });
    scrollTo({ top: 0 });
    title.focus({ preventScroll: true });
  }

  function enter(index) {
    at = index;
    answers.replaceChildren(...scene().answers.map((words, which) => element("button", { onclick: () => predict(which) }, words)));
    draw();
  }

  function predict(which) {
    chosen.set(scene().name, which);
    if (scene().runs) tell({ run: true });
    stage();
    if (scene().peels) film.tell("peel");
    if (scene().runs || scene().peels) film.tell("look", "server");
  }

  function leave(cameBack = false) {
    at = -1;
    film.scene = "";
    stage(cameBack);
    film.tell("story-left");
  }

  /** Only what the scene is about is in sight, and of that nothing that would answer its question. */
  function stage(cameBack = false) {
    film.staged = at < 0 ? null : new Set(["guide", ...scene().shows.filter((part) => isAnswered() || ASKING.includes(part))]);
    film.tell("stage", cameBack);
    draw();
  }

  function draw() {
    card.hidden = at < 0;
    if (at < 0) return;
    const { name, title: words, text: what, question: asked, right, because: why, sentence } = scene();
    [...pills.children].forEach((pill, index) => {
      pill.firstChild.ariaCurrent = index === at ? "step" : "false";
      pill.firstChild.textContent = index === at ? `${index + 1} ${words}` : String(index + 1);
    });
    title.textContent = `${at + 1} of ${scenes.length}: ${words}`;
    [text.textContent, question.textContent] = [what, asked];
    [...answers.children].forEach((button, which) => {
      button.ariaPressed = chosen.get(name) === which;
      button.disabled = isAnswered();
      button.dataset.answer = isOver() ? (which === right ? "right" : "") : "";
    });
    because.replaceChildren(...(isOver() ? [`${chosen.get(name) === right ? "Right." : "Not so."} ${why} `, element("b", {}, sentence)] : isAnswered() ? ["Watch what comes of it …"] : []));
    further.replaceChildren(...(isOver() ? links(scene()) : []));
    back.disabled = at === 0;
    next.textContent = at + 1 < scenes.length ? "Next →" : "Free play →";
    free.hidden = at + 1 === scenes.length;
    next.toggleAttribute("data-ready", isOver());
    card.dataset.scene = name;
  }

  /** Where it goes on from here: lesson, paper, code. */
  function links({ lesson, paper, code }) {
    const parts = [];
    if (lesson) parts.push("Lesson: ", film.hasLessons ? element("a", { href: `${document.body.dataset.baseUrl}tree` }, lesson) : element("code", {}, `notebooks/${lesson}.ipynb`), " · ");
    if (paper) parts.push("Paper: ", element("a", { href: PAPER_ADDRESS }, paper), " · ");
    if (code) parts.push("Code: ", element("code", {}, code));
    return parts;
  }

  /** The scene that an address names, as a link or the browser's back button brings it. */
  const named = () => scenes.findIndex(({ name }) => `#scene=${name}` === location.hash);

  function follows() {
    const index = named();
    if (index < 0) return at >= 0 ? leave(true) : undefined;
    film.scene = scenes[index].name;
    enter(index);
    stage(true);
  }

  function start() {
    go(0);
  }

  el.append(card);
  if (film.ownsAddress) addEventListener("popstate", follows, { signal });
  if (film.ownsAddress && named() >= 0) go(named());
  return follow(film, { frames: draw, index: draw, state: draw, story: start, scene: () => next.click() });
}
