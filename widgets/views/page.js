const STORED = "gradient-lab-theme";

/** What the reader chose, else what JupyterLab or the system says. */
function wantedTheme() {
  const chosen = localStorage.getItem(STORED);
  if (chosen) return chosen;
  const jupyter = document.body.dataset.voila ? undefined : document.body.dataset.jpThemeLight;
  if (jupyter) return jupyter === "false" ? "dark" : "light";
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

const PAPER = "After “Inverting Gradients: How easy is it to break privacy in federated learning?” "
  + "(Geiping, Bauermeister, Dröge, Moeller, NeurIPS 2020). Everything is computed on this machine.";

function arrow() {
  return element("div", { class: "lab-arrow", "aria-hidden": "true" }, "→");
}

async function render({ model, el, host, signal }) {
  const slot = (name) => element("div", { class: `lab-slot lab-slot-${name}`, "data-slot": name });
  const theme = element("button", { class: "lab-icon", type: "button", title: "Light or dark", onclick: () => paintTheme(root.dataset.theme === "dark" ? "light" : "dark", true) }, "◐");
  const alone = document.body.dataset.voila !== undefined; // JupyterLab has a main landmark of its own
  const root = element("div", { class: "lab", ...(alone && { role: "main" }) },
    element("div", { class: "lab-page" },
      element("div", { class: "lab-header" },
        element("h1", {}, "Can a gradient keep a secret?"),
        element("nav", { "aria-label": "Page" }, theme),
        element("p", {}, "A phone trains a network on a private picture and sends only numbers. Watch what the server makes of them.")),
      element("section", { class: "lab-story", "aria-label": "From the secret to the leak" }, slot("secret"), arrow(), slot("sent"), arrow(), slot("theatre")),
      element("section", { class: "lab-run", "aria-label": "Run" }, slot("transport"), slot("guess")),
      element("section", { "aria-label": "Try next" }, slot("chips")),
      element("section", { class: "lab-lower", "aria-label": "Experiment and analysis" }, slot("rail"), slot("curve"), slot("panel"), slot("conditions")),
      element("p", { class: "lab-footer" }, PAPER)));

  function paintTheme(name, chosen = false) {
    root.dataset.theme = name;
    document.body.dataset.labTheme = name;
    document.dispatchEvent(new CustomEvent("lab:theme"));
    theme.setAttribute("aria-label", name === "dark" ? "Light theme" : "Dark theme");
    if (chosen) localStorage.setItem(STORED, name);
  }

  paintTheme(wantedTheme());
  el.append(root);
  await Promise.all([...root.querySelectorAll("[data-slot]")].map(async (place) => {
    const child = await host.getWidget(model.get(place.dataset.slot));
    await child.render({ el: place, signal });
  }));
  root.dataset.ready = "true";
  document.dispatchEvent(new CustomEvent("lab:ready"));
}

export default { render };
