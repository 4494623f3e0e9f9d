// Whether the engine behind a page can still be reached: told by the channel to it, not by silence, which may be work.

const GONE = new Set(["dead", "restarting", "autorestarting", "terminating"]);
const PATIENCE = 4;

const TROUBLE = {
  gone: "The engine has ended: it was stopped, or its memory ran out. What you have seen stays and can be replayed; reload the page to go on with this experiment.",
  away: "The connection is cut; the page keeps trying. What you have seen can be replayed meanwhile.",
  silent: "The engine has not answered for a while. Wait for it, or reload the page to begin this experiment again.",
};

/**
 * Watch the channel of a widget's model. `told(trouble)` hears of each change: "" or a key of TROUBLE.
 * An engine that has ended stays ended: one started anew under its name knows nothing of this page.
 */
function channelOf(model, told, signal) {
  const kernel = model.widget_manager?.kernel;
  const engine = model.get("engine");
  let trouble = "", ended = false, unanswered = 0;

  function judge() {
    if (kernel && (kernel.isDisposed || GONE.has(kernel.status) || kernel.connectionStatus === "disconnected")) ended = true;
    const away = kernel !== undefined && kernel.connectionStatus !== "connected";
    const silent = unanswered > PATIENCE && kernel?.status !== "busy";
    const now = ended ? "gone" : away ? "away" : silent ? "silent" : "";
    if (now === trouble) return;
    const before = trouble;
    trouble = now;
    told(now, before);
  }

  const signals = [kernel?.statusChanged, kernel?.connectionStatusChanged, kernel?.disposed].filter(Boolean);
  for (const each of signals) each.connect(judge);
  signal.addEventListener("abort", () => signals.forEach((each) => each.disconnect(judge)));

  return {
    /** A message was sent that wants an answer. Counted, not timed: a browser that slept has not been ignored. */
    asked() {
      unanswered += 1;
      judge();
    },
    /** The engine has said something; by another name it is another one. */
    heard(name = engine) {
      unanswered = 0;
      if (name !== engine) ended = true;
      judge();
    },
    /** Nothing can be sent any more. */
    lost() {
      ended = true;
      judge();
    },
  };
}
