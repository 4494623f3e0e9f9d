// Draw the page from what is written in it, and meanwhile open the line to its engine. A page without anything written
// in it (whoever serves another notebook by this template) is left to Voila's own front end.

const WRITTEN = "application/vnd.gradlab.page+json";
const read = (node) => JSON.parse(node.textContent);

function written() {
  const outputs = [...document.querySelectorAll('script[type="application/vnd.voila.cell-output+json"]')].map(read);
  return outputs.map(({ data }) => data?.[WRITTEN]).find(Boolean);
}

async function begin({ page, shared, models }) {
  let drawn;
  const shown = new Promise((done) => { drawn = done; });
  const line = read(document.getElementById("jupyter-config-data"));
  const engine = engineOf(line, (...message) => shown.then(() => widgets.receive(...message))); // in the order of their coming
  const widgets = widgetsOf(models, shared, engine);
  engine.reconnect();
  addEventListener("pagehide", (event) => event.persisted || leave(line));
  const cells = document.getElementById("rendered_cells"), place = document.createElement("div");
  cells.hidden = true;
  cells.before(place);
  await (await widgets.widget(page)).render({ el: place });
  drawn();
}

/** The engine ends with its page; a Jupyter server wants to be told its own token against forged requests. */
function leave({ baseUrl, kernelId }) {
  const form = new FormData();
  form.append("_xsrf", document.cookie.match(/\b_xsrf=([^;]*)/)?.[1] ?? "");
  navigator.sendBeacon(`${baseUrl}voila/api/shutdown/${kernelId}`, form);
}

function leaveToVoila() {
  const script = document.createElement("script");
  script.src = document.querySelector("[data-voila-front-end]").dataset.voilaFrontEnd;
  document.body.append(script);
}

const found = written();
if (found) begin(found);
else leaveToVoila();
