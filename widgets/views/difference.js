// Where the reconstruction is wrong: |original - reconstruction| of the frame shown.

const FULL_SCALE = 0.2;

/** The private pictures in the order in which the batch was rebuilt. */
function pairedTruth(round, matched) {
  const { images, count, height, width } = round;
  const all = bytes(images);
  const size = height * width * 3;
  const ordered = new Uint8Array(all.length);
  matched.forEach((place, index) => ordered.set(all.subarray(index * size, (index + 1) * size), place * size));
  return tile(ordered, count, height, width);
}

/** A heat map from paper (equal) to orange (a fifth of the full range or more), and the mean difference. */
function heat(truth, image, dark) {
  const rgb = new Uint8Array(truth.length);
  const from = dark ? [28, 34, 41] : [250, 249, 246];
  const to = dark ? [255, 139, 77] : [194, 65, 12];
  let sum = 0;
  for (let at = 0; at < truth.length; at += 3) {
    const gap = (Math.abs(truth[at] - image[at]) + Math.abs(truth[at + 1] - image[at + 1]) + Math.abs(truth[at + 2] - image[at + 2])) / 765;
    sum += gap;
    const share = Math.min(1, gap / FULL_SCALE);
    for (let channel = 0; channel < 3; channel++) rgb[at + channel] = from[channel] + share * (to[channel] - from[channel]);
  }
  return { rgb, mean: sum / (truth.length / 3) };
}

function differencePanel(film, dark) {
  const frame = film.shown;
  if (film.round.unknown) return [soft(`Nobody here knows the ${film.round.one}, so there is nothing to hold the reconstruction against; tab Numbers says what speaks for it.`)];
  if (film.round.inputs) return [soft(`No difference of two ${film.round.many} is drawn here; tab Numbers says how alike they are.`)];
  if (!frame || !film.round.images) return [soft("There is no reconstruction yet to compare with.")];
  const matched = (frame.numbers ?? film.frames.at(-1).numbers)?.pictures?.map((picture) => picture.matched) ?? [...Array(film.round.count).keys()];
  const truth = pairedTruth(film.round, matched);
  if (truth.rgb.length !== frame.image.length) return [soft("This run and the present picture differ in size; attack again to compare.")];
  const { rgb, mean } = heat(truth.rgb, frame.image, dark);
  const map = element("canvas", "lab-picture");
  paint(map, rgb, frame.height, frame.width);
  const [secret, guess] = [truth.rgb, frame.image].map((pixels) => {
    const canvas = element("canvas", "lab-picture lab-thumbnail");
    paint(canvas, pixels, frame.height, frame.width);
    return canvas;
  });
  return [
    element("p", {}, `At iteration ${frame.iteration} a pixel is off by ${short(100 * mean, 1)} % of the full range on average.`),
    element("div", "lab-compare",
      element("div", "lab-pair lab-pair-column", figure("secret", "The private picture", secret), figure("rebuilt", "The reconstruction", guess)),
      figure("|secret − rebuilt|", `Heat map of the difference, ${short(100 * mean, 1)} percent on average`, map)),
    element("div", "lab-scale", element("span", {}, "equal"), element("i"), element("span", {}, "off by 20 % or more"))];
}
