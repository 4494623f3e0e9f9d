const TABS = [["algebra", "Algebra"], ["difference", "Difference"], ["numbers", "Numbers"]];
let panels = 0;

async function render({ model, el, host, signal }) {
  const film = await filmOf(model, host);
  const prefix = `lab-panel-${panels++}`; // aria-controls needs ids; they are unique on the page
  let current = "algebra";
  let wayDown = null;

  const pick = (row) => { try { model.send({ row }); } catch { /* the transport says that the engine is gone */ } };
  const descend = () => { try { model.send({ descend: true }); } catch { /* as above */ } };
  const tabs = TABS.map(([key, name]) => element("button", { type: "button", role: "tab", id: `${prefix}-${key}`, "aria-controls": prefix, "data-key": key, onclick: () => open(key) }, name));
  const list = element("div", { class: "lab-tabs", role: "tablist", "aria-label": "Analysis", onkeydown: move }, ...tabs);
  const body = element("div", { class: "lab-tab-body", role: "tabpanel", id: prefix, tabIndex: 0 });
  const card = element("article", { class: "lab-card lab-panel", "aria-label": "Analysis" }, list, body);

  function move(event) {
    const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!way) return;
    event.preventDefault();
    const index = (TABS.findIndex(([key]) => key === current) + way + TABS.length) % TABS.length;
    open(TABS[index][0]);
    tabs[index].focus();
  }

  function open(key) {
    current = key;
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", String(tab.dataset.key === key));
      tab.tabIndex = tab.dataset.key === key ? 0 : -1;
    }
    body.setAttribute("aria-labelledby", `${prefix}-${key}`);
    draw();
  }

  /** Where layers lie below the fully connected ones, the way down through them. */
  function below(dark) {
    wayDown = model.get("algebra").has_body ? descentSection(() => model.get("descent"), descend, dark) : null;
    return wayDown ? [wayDown.node] : [];
  }

  function draw() {
    const dark = el.closest(".lab")?.dataset.theme === "dark";
    const contents = { algebra: () => [...algebraPanel(model.get("algebra"), pick, dark), ...below(dark)], difference: () => differencePanel(film, dark), numbers: () => numbersPanel(film) };
    const held = body.contains(document.activeElement) && document.activeElement.type === "range";
    body.replaceChildren(...contents[current]());
    if (held) body.querySelector("input[type=range]")?.focus({ preventScroll: true });
  }

  /** Only these two follow the frame shown. */
  const follows = () => { if (current !== "algebra") draw(); };

  document.addEventListener("lab:tab", (event) => { open(event.detail); card.scrollIntoView({ block: "nearest" }); }, { signal });
  document.addEventListener("lab:theme", draw, { signal });
  model.on("change:algebra", () => { if (current === "algebra") draw(); });
  model.on("change:descent", () => { if (current === "algebra") wayDown?.update(true); });
  el.append(card);
  open(current);
  return follow(film, { frames: follows, index: follows, round: follows });
}

export default { render };
