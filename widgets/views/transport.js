const PRIMARY = {
  loading: ["Attack it live", "start"], ready: ["Attack it live", "start"], running: ["Pause", "pause"],
  paused: ["Resume", "start"], finished: ["Attack again", "start"], failed: ["Try again", "start"],
};
const SETTLE_MS = 400;
const FORETOLD_S = 10;
const MARGIN = 10; // pixels below the line that stays in view
const PACES = [[6, "Watchable, 6 s"], [0, "As fast as it goes"]];

/** Keys do not steal from whoever is typing or moving a slider. */
function isBusy(target) {
  return target instanceof Element && target.closest("input, select, textarea, button, summary, a, [role=tab]") !== null;
}

function badge(film) {
  const frame = film.shown;
  if (film.source === "recorded") return [`Recorded on ${film.recording.date}`, `${film.recording.iterations} iterations in ${lasting(film.recording.seconds)} of ${film.recording.device}`];
  const newest = film.frames.at(-1);
  const parts = [film.source === "live" ? film.state.device : SOURCES[film.source]];
  if (newest?.iterations_per_second) parts.push(`${short(newest.iterations_per_second, 0)} iterations/s`);
  if (frame) parts.push(`${lasting(frame.seconds)} of attack`);
  if (film.state.status === "running" && newest?.seconds_left) parts.push(`${lasting(newest.seconds_left)} left`);
  return parts;
}

function render({ model, el, film, signal }) {
  const message = element("p", { class: "lab-message", role: "status" });
  const tell = sender(model, message);
  const begun = (content) => {
    film.stop();
    film.tell("begun");
    if (content.type === "start") film.tell("look", "server");
    tell(content);
  };

  const primary = element("button", { class: "lab-primary", onclick: act });
  const guess = element("button", { title: "Another picture, covered: which of the eight is it?", onclick: () => film.tell("ask") }, "New secret");
  const steps = element("div", { class: "lab-group", role: "group", ariaLabel: "Step" }, element("span", { class: "lab-group-name", ariaHidden: true }, "Step"),
    ...[1, 10, 100].map((count) => element("button", { ariaLabel: `Step ${count}`, onclick: () => begun({ type: "step", count }) }, String(count))));
  const reset = element("button", { class: "lab-icon", ariaLabel: "Reset", title: "Reset (r)", onclick: () => begun({ type: "reset" }) }, "↺");
  const replay = element("button", { class: "lab-icon", onclick: toggleReplay });
  const scrub = element("input", { type: "range", class: "lab-scrub", min: 0, max: 0, step: 1, ariaLabel: "Iteration shown", oninput: () => film.show(scrub.valueAsNumber) });
  const pace = element("div", { class: "lab-group lab-pace", role: "group", ariaLabel: "Pace" },
    ...PACES.map(([seconds, name]) => element("button", { "data-seconds": seconds, onclick: () => tell({ type: "pace", seconds }) }, name)));
  const badges = element("span", "lab-badge");
  const reload = element("button", { class: "lab-small", hidden: true, onclick: () => location.reload() }, "Reload");
  const keys = element("p", { class: "lab-keys", ariaHidden: true },
    ...[["space", "attack, pause"], ["←  →", "frame by frame"], ["?", "all keys"]].flatMap(([key, means]) => [element("kbd", {}, key), `${means} `]));
  const card = element("div", "lab-card lab-transport",
    element("div", "lab-row", primary, ...(film.parts?.has("guess") ? [guess] : []), steps, reset, element("div", "lab-row lab-film", replay, scrub)),
    element("div", "lab-row lab-under", message, reload, keys, element("div", "lab-row lab-pacing", pace, meaning("run", "this run", badges))));

  let role = "", since = 0;

  /** The main button does what it said for a moment longer, so that a double click does not start and pause. */
  function act() {
    const wanted = performance.now() - since < SETTLE_MS && role !== "start" ? null : role;
    if (wanted) begun({ type: wanted });
  }

  function toggleReplay() {
    if (film.playing) film.stop();
    else film.play();
  }

  function showState() {
    const { status, message: sentence, pace_seconds } = film.state;
    const [name, command] = PRIMARY[status] ?? PRIMARY.ready;
    if (command !== role) since = performance.now();
    role = command;
    primary.textContent = name;
    primary.disabled = !film.connected;
    guess.disabled = !film.connected || !film.round.line_up;
    guess.hidden = Boolean(film.round.inputs); // it deals pictures of the gallery
    message.textContent = film.troubled || sentence || foretold();
    message.classList.toggle("lab-bad", status === "failed" || film.troubled !== "");
    reload.hidden = film.troubled === "" || film.trouble === "away";
    for (const button of pace.children) button.ariaPressed = Number(button.dataset.seconds) === pace_seconds;
    card.dataset.status = film.connected ? status : "lost";
    card.dataset.trouble = film.trouble;
    showFrame();
  }

  /** What an attack will take where nobody has begun one: the clock of this machine, the pace not counted. */
  function foretold() {
    const seconds = film.state.expected_seconds;
    return film.state.status === "ready" && film.source === "live" && seconds >= FORETOLD_S ? `This attack takes about ${lasting(seconds)} of computing here.` : "";
  }

  function showFrame() {
    scrub.max = Math.max(0, film.frames.length - 1);
    scrub.value = Math.max(0, film.position);
    scrub.disabled = film.frames.length < 2;
    scrub.style.setProperty("--lab-done", `${(100 * scrub.value) / Math.max(1, scrub.max)}%`);
    scrub.ariaValueText = film.shown ? `iteration ${film.shown.iteration}, ${film.shown.verdict}` : "no frames";
    replay.textContent = film.playing ? "❚❚" : "▶";
    replay.ariaLabel = film.playing ? "Pause the replay" : "Replay";
    replay.title = film.playing ? "Pause the replay (p)" : "Replay (p)";
    replay.disabled = film.frames.length < 2;
    badges.replaceChildren(...badge(film).filter(Boolean).map((text) => element("span", {}, text)));
  }

  const shortcuts = {
    " ": () => act(), p: toggleReplay, r: () => begun({ type: "reset" }),
    ArrowLeft: () => film.show(film.position - 1), ArrowRight: () => film.show(film.position + 1),
  };

  function press(event) {
    const shortcut = shortcuts[event.key];
    if (!shortcut || event.ctrlKey || event.metaKey || event.altKey || isBusy(event.target) || !el.isConnected) return;
    const page = el.closest(".lab"); // on a page with several lessons each hears its own keys
    if (!page?.contains(event.target) && (event.target !== document.body || document.querySelectorAll(".lab").length > 1)) return;
    event.preventDefault();
    shortcut();
  }

  /** On a phone the card sinks until its first line alone is in view; how tall the rest is depends on what it says. */
  const sinking = new ResizeObserver(() => {
    const { top, bottom } = card.getBoundingClientRect();
    const below = bottom - primary.getBoundingClientRect().bottom - MARGIN;
    card.closest(".lab-slot")?.style.setProperty("--lab-sunk", `${Math.max(0, below)}px`);
  });

  document.addEventListener("keydown", press, { signal });
  signal.addEventListener("abort", () => sinking.disconnect());
  el.append(card);
  sinking.observe(card);
  showState();
  return follow(film, { state: showState, round: showState, frames: showFrame, index: showFrame });
}
