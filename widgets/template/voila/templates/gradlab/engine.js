// The line to the engine behind the page: of Jupyter's protocol v1.kernel.websocket.jupyter.org what a page of widgets needs.
// A message is n + 1 numbers of 64 bits (how many offsets, then the offsets), the channel, four parts of JSON, and buffers.

const PROTOCOL = "v1.kernel.websocket.jupyter.org";
const ENGINE_ENDED = 4001;
const WORD = 8;
const ENDED = new Set(["dead", "restarting", "autorestarting", "terminating"]);

/** Letters and digits that nobody else draws; `crypto.randomUUID` is there on secure origins alone. */
function unique() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** One message as bytes; `parts` are header, parent header, metadata and content, then buffers. */
function packed(channel, parts) {
  const encoder = new TextEncoder();
  const chunks = [encoder.encode(channel), ...parts.map((part) => {
    if (ArrayBuffer.isView(part)) return new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
    return part instanceof ArrayBuffer ? new Uint8Array(part) : encoder.encode(JSON.stringify(part));
  })];
  const offsets = [WORD * (chunks.length + 2)];
  for (const chunk of chunks) offsets.push(offsets.at(-1) + chunk.length);
  const message = new Uint8Array(offsets.at(-1)), numbers = new DataView(message.buffer);
  [offsets.length, ...offsets].forEach((number, index) => numbers.setBigUint64(WORD * index, BigInt(number), true));
  chunks.forEach((chunk, index) => message.set(chunk, offsets[index]));
  return message;
}

/** The type and the content of a message, and its buffers as bytes. */
function unpacked(data) {
  const numbers = new DataView(data), count = Number(numbers.getBigUint64(0, true));
  const offsets = Array.from({ length: count }, (_, index) => Number(numbers.getBigUint64(WORD * (1 + index), true)));
  const [, header, , , content, ...buffers] = offsets.slice(1).map((end, index) => new Uint8Array(data, offsets[index], end - offsets[index]));
  const read = (part) => JSON.parse(new TextDecoder().decode(part));
  return { type: read(header).msg_type, content: read(content), buffers };
}

/** Something that others may listen to, by the names that Jupyter's own signals have. */
function signal() {
  const slots = new Set();
  return { connect: (slot) => slots.add(slot), disconnect: (slot) => slots.delete(slot), emit: () => slots.forEach((slot) => slot()) };
}

/**
 * The engine of this page. What is sent before the line stands, or while it is cut, is kept and sent as soon as it does.
 * It has the names of JupyterLab's kernel connection as far as a view asks for them (playback/channel.js).
 */
function engineOf({ baseUrl, kernelId }, deliver) {
  const session = unique(), waiting = [];
  let socket = null;

  const engine = {
    id: kernelId, serverSettings: { baseUrl }, status: "unknown", connectionStatus: "connecting", isDisposed: false,
    statusChanged: signal(), connectionStatusChanged: signal(), disposed: signal(),

    /** Open the line; where it ends, whoever watches asks for it again. */
    async reconnect() {
      if (engine.isDisposed || socket?.readyState <= WebSocket.OPEN) return;
      socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}${baseUrl}api/kernels/${kernelId}/channels?session_id=${session}`, PROTOCOL);
      socket.binaryType = "arraybuffer";
      socket.addEventListener("open", opened);
      socket.addEventListener("message", (event) => receive(unpacked(event.data)));
      socket.addEventListener("close", ({ code }) => (code === ENGINE_ENDED ? end() : lineIs("connecting")));
    },

    /** Say something to the engine's side of a widget. Throws where nobody is there any more. */
    send(content, buffers) {
      if (engine.isDisposed) throw new Error("The engine has ended.");
      const header = { msg_id: unique(), msg_type: "comm_msg", session, username: "", date: new Date().toISOString(), version: "5.3" };
      const message = packed("shell", [header, {}, {}, content, ...buffers]);
      if (engine.connectionStatus === "connected") socket.send(message);
      else waiting.push(message);
    },
  };

  function lineIs(state) {
    engine.connectionStatus = state;
    engine.connectionStatusChanged.emit();
  }

  function opened() {
    for (const message of waiting.splice(0)) socket.send(message);
    lineIs("connected");
  }

  function end() {
    engine.isDisposed = true;
    engine.disposed.emit();
  }

  function receive({ type, content, buffers }) {
    if (type === "comm_msg") return deliver(content.comm_id, content.data, buffers);
    if (type !== "status") return;
    engine.status = content.execution_state;
    if (ENDED.has(engine.status)) end();
    engine.statusChanged.emit();
  }

  return engine;
}
