// A picture from the camera: taken, cut to a square and shrunk in the browser; the stream ends with it.

const CAMERA_SIDE = 224;

/** The middle square of what the camera shows, as a PNG. */
async function snapshot(video) {
  const side = Math.min(video.videoWidth, video.videoHeight);
  const canvas = element("canvas", { width: CAMERA_SIDE, height: CAMERA_SIDE });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(video, (video.videoWidth - side) / 2, (video.videoHeight - side) / 2, side, side, 0, 0, CAMERA_SIDE, CAMERA_SIDE);
  return (await new Promise((done) => canvas.toBlob(done, "image/png"))).arrayBuffer();
}

/** The camera's part of the form; ``use`` gets the bytes of a picture, ``complain`` a sentence. */
function cameraPart(use, complain) {
  const video = element("video", { class: "lab-video", muted: true, playsInline: true, ariaLabel: "What the camera sees" });
  const take = small("Take the picture", shoot);
  const cancel = small("Cancel", () => end(true));
  const open = small("Camera", begin);
  const box = element("div", { class: "lab-camera", hidden: true }, video, element("div", "lab-row", take, cancel));
  let stream = null;

  async function begin() {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
    } catch {
      return complain("The camera cannot be used: there is none, it is busy, or the browser was not allowed to. Choose a picture from a file instead.");
    }
    video.srcObject = stream;
    await video.play();
    [box.hidden, open.hidden] = [false, true];
    take.focus();
  }

  async function shoot() {
    use(await snapshot(video));
    end(true);
  }

  function end(focus) {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = video.srcObject = null;
    [box.hidden, open.hidden] = [true, false];
    if (focus) open.focus();
  }

  return { node: element("div", "lab-camera-part", open, box), end: () => end(false) };
}
