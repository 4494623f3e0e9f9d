/** A small picture of pixels as they are sent. */
function pictureOf({ pixels, height, width }) {
  const canvas = element("canvas", "lab-picture lab-thumbnail");
  paint(canvas, bytes(pixels), height, width);
  return canvas;
}

/** Several maps side by side as one picture, in shades of teal, with a line of paper between them. */
function mapCanvas({ shades, count, height, width }, dark) {
  const columns = Math.ceil(Math.sqrt(count));
  const rows = Math.ceil(count / columns);
  const [wide, tall] = [columns * (width + 1) - 1, rows * (height + 1) - 1];
  const [paper, from, to] = dark ? [[28, 34, 41], [35, 42, 50], [76, 195, 217]] : [[255, 255, 255], [243, 242, 238], [11, 114, 133]];
  const rgb = new Uint8Array(wide * tall * 3);
  for (let at = 0; at < wide * tall; at++) rgb.set(paper, at * 3);
  bytes(shades).forEach((shade, index) => {
    const [map, place] = [Math.floor(index / (height * width)), index % (height * width)];
    const y = Math.floor(map / columns) * (height + 1) + Math.floor(place / width);
    const x = (map % columns) * (width + 1) + (place % width);
    rgb.set(from.map((start, channel) => start + (shade / 255) * (to[channel] - start)), (y * wide + x) * 3);
  });
  const canvas = element("canvas", "lab-picture lab-maps");
  paint(canvas, rgb, tall, wide);
  return canvas;
}
