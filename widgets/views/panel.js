const TABS = { algebra: "Algebra", difference: "Difference", layers: "Per-layer match", numbers: "Numbers", history: "History" };
let panels = 0;

function render({ model, el, film, signal }) {
  const prefix = `lab-panel-${panels++}`; // aria-controls needs ids; they are unique on the page
  const keys = model.get("tabs");
  let current = keys[0];
  let wayDown = null;

  const tell = sender(model);
  const pick = (row) => tell({ row });
  const restore = (number) => tell({ restore: number });
  const watch = (wanted) => tell({ watch: wanted });
  const descend = () => tell({ descend: true });
  const tabs = keys.map((key) => element("button", { role: "tab", id: `${prefix}-${key}`, "aria-controls": prefix, "data-key": key, onclick: () => open(key) }, TABS[key]));
  const list = element("div", { class: "lab-tabs", role: "tablist", ariaLabel: "Analysis", onkeydown: move }, ...tabs);
  const body = element("div", { class: "lab-tab-body", role: "tabpanel", id: prefix, tabIndex: 0 });
  const card = element("article", { class: "lab-card lab-panel", ariaLabel: "Analysis" }, list, body);

  const shown = () => keys.filter((key) => !film.hidden.includes(key));

  function move(event) {
    const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!way) return;
    event.preventDefault();
    const there = shown();
    open(there[(there.indexOf(current) + way + there.length) % there.length]);
    tabs[keys.indexOf(current)].focus();
  }

  function open(key) {
    if ((key === "layers") !== (current === "layers")) watch(key === "layers");
    current = key;
    for (const tab of tabs) {
      tab.ariaSelected = tab.dataset.key === key;
      tab.tabIndex = tab.dataset.key === key ? 0 : -1;
    }
    body.setAttribute("aria-labelledby", `${prefix}-${key}`);
    draw();
  }

  /** A teacher's link may hide tabs. */
  function hide() {
    for (const tab of tabs) tab.hidden = film.hidden.includes(tab.dataset.key);
    if (film.hidden.includes(current) && shown().length) open(shown()[0]);
  }

  /** Where layers lie below the fully connected ones, the way down through them. */
  function below(dark) {
    wayDown = model.get("algebra").has_body ? descentSection(() => model.get("descent"), descend, dark) : null;
    return wayDown ? [wayDown.node] : [];
  }

  function draw() {
    const dark = el.closest(".lab")?.dataset.theme === "dark";
    const contents = { algebra: () => [...algebraPanel(model.get("algebra"), pick, dark), ...below(dark)], difference: () => differencePanel(film, dark), layers: () => layersPanel(film), numbers: () => numbersPanel(film), history: () => historyPanel(model.get("history"), restore) };
    const held = body.contains(document.activeElement) && document.activeElement.type === "range";
    body.replaceChildren(...contents[current]());
    if (held) body.querySelector("input[type=range]")?.focus({ preventScroll: true });
  }

  /** These follow the frame shown. */
  const follows = () => { if (["difference", "layers", "numbers"].includes(current)) draw(); };

  function jump(key) {
    if (!keys.includes(key)) return;
    open(key);
    card.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("lab:theme", draw, { signal });
  model.on("change:algebra", () => { if (current === "algebra") draw(); });
  model.on("change:history", () => { if (current === "history") draw(); });
  model.on("change:descent", () => { if (current === "algebra") wayDown?.update(); });
  el.append(card);
  open(current);
  hide();
  return follow(film, { frames: follows, index: follows, round: follows, state: hide, tab: jump });
}
