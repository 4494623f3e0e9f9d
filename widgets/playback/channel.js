// Whether the engine behind a page can still be reached: told by the channel to it, not by silence, which may be work.

const GONE = new Set(["dead", "restarting", "autorestarting", "terminating"]);
const PATIENCE = 4;
const KNOCK_MS = 2000;

const TROUBLE = {
  missed: "The engine of this page had ended before the page reached it; reload the page to get another one.",
  gone: "The engine has ended: it was stopped, or its memory ran out. What you have seen stays and can be replayed; reload the page to go on with this experiment.",
  unreached: "The engine of this page cannot be reached yet. The page keeps trying and keeps what you ask for; or reload it.",
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
  let trouble = "", ended = false, unanswered = 0, knocking = 0;
  let reached = kernel === undefined || kernel.connectionStatus === "connected";

  const isCut = () => trouble === "away" || trouble === "unreached";

  function judge() {
    if (kernel && (kernel.isDisposed || GONE.has(kernel.status) || kernel.connectionStatus === "disconnected")) ended = true;
    const away = kernel !== undefined && kernel.connectionStatus !== "connected";
    reached ||= !away;
    const silent = unanswered > PATIENCE && kernel?.status !== "busy";
    const now = ended ? (reached ? "gone" : "missed") : away ? (reached ? "away" : "unreached") : silent ? "silent" : "";
    if (now === trouble) return;
    const before = trouble;
    trouble = now;
    clearInterval(knocking);
    if (isCut()) knocking = setInterval(knock, KNOCK_MS);
    told(now, before);
  }

  /** Ask the server whether the engine is still there. Jupyter tries the line ever more rarely, and an engine without one is freed soon. */
  async function knock() {
    if (!isCut() || !kernel.serverSettings) return;
    const answer = await fetch(`${kernel.serverSettings.baseUrl}api/kernels/${kernel.id}`, { cache: "no-store" }).catch(() => null);
    if (!isCut() || !answer) return;
    if (answer.status === 404) ended = true;
    else if (answer.ok) kernel.reconnect().catch(() => null); // its end is told by the signals
    judge();
  }

  const signals = [kernel?.statusChanged, kernel?.connectionStatusChanged, kernel?.disposed].filter(Boolean);
  for (const each of signals) each.connect(judge);
  window.addEventListener("online", knock, { signal });
  signal.addEventListener("abort", () => {
    signals.forEach((each) => each.disconnect(judge));
    clearInterval(knocking);
  });

  return {
    /** Whether nothing can reach the engine now. */
    get cut() { return isCut(); },
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
