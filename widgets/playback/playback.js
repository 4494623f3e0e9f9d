// The run as the browser holds it: every kept frame, which one is shown, and the replay.
// It has no view. It never writes to the kernel while replaying, so it outlives the kernel.

const REPLAY_SECONDS = 6;
const MOST_FRAMES = 400;
const HEARTBEAT_MS = 5000;
const LOADED_AGAIN = "gradient-lab-loaded-again";
const READING_MS = 2000;
const PATIENCE_MS = 60000;

/** Get a page with another engine, once: a server whose engines all end at once is not asked for ever. */
function loadAgain() {
  if (Date.now() - Number(sessionStorage.getItem(LOADED_AGAIN)) < PATIENCE_MS) return;
  sessionStorage.setItem(LOADED_AGAIN, String(Date.now()));
  setTimeout(() => location.reload(), READING_MS);
}

function initialize({ model, signal }) {
  const listeners = new Map();
  const emit = (name, detail) => (listeners.get(name) ?? []).forEach((callback) => callback(detail));
  const query = model.get("reads_address") && document.body.dataset.voila !== undefined ? location.search : "";
  let blank = query.length > 1; // a link asks for another experiment than the recorded one
  let kept = [], before = []; // the frames of the run, and what the curve shows of the run before it
  const film = {
    /** The frames of the run shown; none while a drawing is being made, which no run is of. */
    get frames() { return film.sketched ? [] : kept; },
    get previous() { return film.sketched ? [] : before; },
    index: -1,
    source: "recorded",
    playing: false,
    trouble: "",
    covered: false,
    get state() { return model.get("state"); },
    /** Whether the engine can be asked for anything. */
    get connected() { return ["", "silent", "unreached"].includes(film.trouble); },
    /** What keeps it from answering, in a sentence; empty where nothing does. */
    get troubled() { return TROUBLE[film.trouble] ?? ""; },
    get round() { return blank ? {} : model.get("round"); },
    get recording() { return blank ? {} : model.get("recording"); },
    /** Whether the address of the page is the link of its experiment. */
    get ownsAddress() { return model.get("reads_address") && document.body.dataset.voila !== undefined; },
    get hidden() { return film.state.hidden ?? []; },
    /** The position of the frame shown, -1 where there is none. */
    get position() { return film.index < 0 ? film.frames.length - 1 : Math.min(film.index, film.frames.length - 1); },
    get shown() { return film.frames[film.position] ?? null; },
    /** How many the run takes: of closed forms only their frames tell. */
    get iterations() { return film.source === "recorded" ? film.recording.iterations : Math.max(film.state.iterations, kept.at(-1)?.iterations ?? 0); },
    /** "97 of 200"; "4" alone while the way down the layers goes on, whose end nobody knows. */
    counted(frame) {
      const open = film.state.status === "running" && frame.iteration >= film.iterations;
      return open ? `${frame.iteration}` : `${frame.iteration} of ${film.iterations}`;
    },
    on(name, callback) {
      listeners.set(name, [...(listeners.get(name) ?? []), callback]);
      return () => listeners.set(name, listeners.get(name).filter((other) => other !== callback));
    },
    show(index) {
      stop();
      move(index);
    },
    /** Whether nothing may give the secret away. */
    get concealed() { return film.covered; },
    /** Whether the last frame of a run that is over is shown. */
    get ended() { return kept.length > 0 && film.index < 0 && !film.sketched && (film.source === "recorded" || film.state.status === "finished"); },
    /** The parts in sight while a scene of the story is told, and its name; null and empty in free play. */
    staged: null, scene: "",
    /** What the server reads of a drawing that is being made, and what was `sent` of it; null where nobody draws. */
    sketched: null,
    sketch(read) {
      film.sketched = read;
      emit("round");
      emit("frames");
    },
    /** What the algebra has solved so far; null where it is guesses that are shown. */
    peeled: null,
    peel(found) {
      if (found === film.peeled) return;
      film.peeled = found;
      emit("frames");
    },
    /** What left the phone, in numbers. */
    get sent() { return film.sketched?.sent ?? film.round; },
    cover(wanted) {
      film.covered = wanted;
      emit("concealed");
    },
    /** Tell the other views of this page something: "tab", "ask" ... */
    tell: emit,
    play, stop, send,
  };

  /** Show a frame; the last one means "whatever is newest". */
  function move(index) {
    film.index = index >= film.frames.length - 1 ? -1 : Math.max(0, index);
    emit("index");
    uncoverAtTheEnd();
  }

  /** The end gives the secret away: of the recording, or of a run. */
  function uncoverAtTheEnd() {
    if (film.covered && film.ended) film.cover(false);
  }

  function send(content) {
    try {
      model.send(content);
    } catch {
      channel.lost();
    }
  }

  const channel = channelOf(model, (trouble, before) => {
    film.trouble = trouble;
    emit("state");
    if (before === "away" && trouble === "") send({ type: "hello" }); // what was missed meanwhile
    if (trouble === "missed" && film.ownsAddress) loadAgain();
  }, signal);

  // ---- replay -------------------------------------------------------------
  let ticket = 0;

  /** How far into the replay a frame stands: by the logarithm of its iteration, because a guess changes most at the beginning. */
  const share = (frame) => Math.log1p(frame.iteration) / Math.log1p(Math.max(1, film.frames.at(-1).iteration));

  /** Play to the end, or only to the frame at `until`. */
  function play(until = Infinity) {
    if (film.frames.length < 2) return;
    const from = film.position >= film.frames.length - 1 ? 0 : film.position;
    const started = performance.now() - share(film.frames[from]) * REPLAY_SECONDS * 1000;
    const mine = ++ticket;
    film.playing = true;
    const tick = (now) => {
      if (mine !== ticket || signal.aborted) return;
      const passed = (now - started) / 1000 / REPLAY_SECONDS;
      const next = film.frames.findLastIndex((frame) => share(frame) <= passed);
      if (next >= Math.min(until, film.frames.length - 1)) return finish(until);
      if (next !== film.position) move(next);
      requestAnimationFrame(tick);
    };
    move(from);
    requestAnimationFrame(tick);
  }

  function finish(until) {
    stop();
    move(Math.min(until, film.frames.length - 1));
  }

  function stop() {
    ticket += 1;
    if (!film.playing) return;
    film.playing = false;
    emit("index");
  }

  // ---- what the kernel sends ----------------------------------------------
  let run = null;

  function begin(newRun, source) {
    stop();
    if (film.source !== "recorded" && kept.length > 1) before = kept.map(({ iteration, objective, measures }) => ({ iteration, objective, measures }));
    run = newRun;
    film.source = source;
    kept = [];
    film.index = -1;
    unveil();
  }

  /** A run is of the round that is there, also where that is the recorded one, of which no change was told. */
  function unveil() {
    if (!blank) return;
    blank = false;
    emit("round");
  }

  function receive(content, buffers) {
    if (content.type === "clear" && content.run !== run) {
      begin(content.run, "live");
      emit("frames");
    }
    if (content.type === "frame") add(content, [...buffers]);
    if (content.type === "history") restore(content, buffers);
    if (content.type === "pulse") channel.heard(content.engine);
  }

  /** A frame with its pictures, which are taken off the front of the buffers. */
  function pictured(frame, buffers) {
    return { ...frame, image: bytes(buffers.shift()), downhill: frame.moves ? bytes(buffers.shift()) : null };
  }

  function add(frame, buffers) {
    if (frame.run !== run) begin(frame.run, "live");
    kept.push(pictured(frame, buffers));
    thin();
    channel.heard();
    emit("frames");
    // Two animation frames later the picture is on the screen: only then may the next one come.
    requestAnimationFrame(() => requestAnimationFrame(() => send({ type: "drawn", frame: frame.id })));
  }

  /** Keep frames evenly spread and never too many, as the session does. */
  function thin() {
    if (kept.length <= MOST_FRAMES) return;
    kept = kept.filter((_, index, all) => index % 2 === 0 || index === all.length - 1);
    if (film.index >= 0) film.index = Math.floor(film.index / 2);
  }

  /** All frames kept so far: for a browser that joins late. */
  function restore(content, buffers) {
    if (!content.frames.length) return;
    begin(content.frames[0].run, content.source);
    const waiting = [...buffers];
    kept = content.frames.map((frame) => pictured(frame, waiting));
    emit("frames");
  }

  const pulse = setInterval(() => {
    if (channel.cut) return;
    send({ type: "heartbeat" });
    channel.asked();
  }, HEARTBEAT_MS);

  // ---- the recording, until the first live frame ----------------------------
  function load() {
    const { frames, height, width, pixels, downhill } = film.recording;
    const [all, moves] = [bytes(pixels), bytes(downhill)];
    const size = height * width;
    if (!frames) return void (film.source = "live");
    kept = frames.map((frame, index) => ({ ...frame, height, width, image: all.subarray(3 * index * size, 3 * (index + 1) * size), downhill: moves.subarray(index * size, (index + 1) * size) }));
    const asks = recognisedSince(kept); // what is it? The rest is played to whoever has answered, or asks for it
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) film.index = asks;
    else play(asks);
  }

  model.on("msg:custom", receive);
  model.on("change:state", () => {
    emit("state");
    if (film.source === "live") uncoverAtTheEnd();
  });
  model.on("change:round", () => {
    blank = false;
    emit("round");
  });
  signal.addEventListener("abort", () => clearInterval(pulse));
  load();
  if (query.length > 1) send({ type: "open", query });
  send({ type: "hello" });
  return film;
}

export default { initialize };
