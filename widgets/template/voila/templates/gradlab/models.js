// The widgets of the page as their scripts see them: what anywidget's own front end gives them, and no more than our views ask for.

const REFERENCE = "anywidget:";

/** Put buffers where JSON could not hold them: `paths` are lists of names into `state`. */
function filled(state, paths, buffers) {
  paths.forEach((path, index) => {
    const place = path.slice(0, -1).reduce((within, name) => within[name], state);
    place[path.at(-1)] = buffers[index];
  });
  return state;
}

function decoded({ data }) {
  return Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
}

/** A script is loaded once, however many widgets it draws. */
const modules = new Map();

async function moduleOf(text) {
  if (!modules.has(text)) {
    const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    modules.set(text, import(url).finally(() => URL.revokeObjectURL(url)));
  }
  return (await modules.get(text)).default;
}

/** One widget: its state as Python keeps it, and its two ways to talk with Python. Nothing is written from here. */
function modelOf(id, { state, buffers = [] }, engine) {
  const listeners = new Map();
  const emit = (name, ...told) => [...(listeners.get(name) ?? [])].forEach((callback) => callback(...told));
  filled(state, buffers.map(({ path }) => path), buffers.map(decoded));
  const model = {
    widget_manager: { kernel: engine },
    get: (name) => state[name],
    on: (name, callback) => listeners.set(name, (listeners.get(name) ?? new Set()).add(callback)),
    off: (name, callback) => listeners.get(name)?.delete(callback),
    send: (content, _, sent = []) => engine.send({ comm_id: id, data: { method: "custom", content } }, sent),
  };

  /** What Python says. */
  function receive({ method, content, state: changed, buffer_paths = [] }, received) {
    if (method === "custom") return emit("msg:custom", content, received);
    if (method !== "update") return;
    Object.assign(state, filled(changed, buffer_paths, received));
    for (const name of Object.keys(changed)) emit(`change:${name}`, model, changed[name]);
  }

  return { model, receive };
}

/** All widgets of the page by their ids; `written` and `shared`, which all their scripts begin with, are put into the page by Python (pages/written.py). */
function widgetsOf(written, shared, engine) {
  const signal = new AbortController().signal; // the page lasts as long as its window
  const models = new Map(Object.entries(written).map(([id, each]) => [id, modelOf(id, each, engine)]));
  const ready = new Map();

  for (const css of new Set(Object.values(written).map(({ state }) => state._css).filter(Boolean))) {
    const style = document.createElement("style");
    style.textContent = css;
    document.head.append(style);
  }

  async function prepared({ model }) {
    const script = await moduleOf(shared + model.get("_esm"));
    const exports = await script.initialize?.({ model, host, signal });
    return { exports, render: ({ el, signal: wanted = signal }) => script.render({ model, el, host, signal: wanted }) };
  }

  const host = {
    /** A widget by the reference that another one's state holds. */
    getWidget(reference) {
      const id = reference.slice(REFERENCE.length);
      if (!ready.has(id)) ready.set(id, prepared(models.get(id)));
      return ready.get(id);
    },
  };

  Object.keys(written).forEach((id) => host.getWidget(REFERENCE + id)); // all scripts are loaded side by side
  return {
    widget: (id) => host.getWidget(REFERENCE + id),
    receive: (id, data, buffers) => models.get(id)?.receive(data, buffers),
  };
}
