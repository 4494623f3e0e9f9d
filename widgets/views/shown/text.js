// Sentences: a row of letters each, UTF-8 with zeros behind, in letters as large as fit.

const PAGE_OF_TEXT = { side: 720, margin: 36, largest: 60, least: 14 };

/** The words of a sentence in lines no wider than the page. */
function wrapped(context, text) {
  const widest = PAGE_OF_TEXT.side - 2 * PAGE_OF_TEXT.margin;
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = lines.at(-1) ? `${lines.at(-1)} ${word}` : word;
    if (context.measureText(longer).width <= widest || !lines.at(-1)) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

SHOWN.text = (canvas, { image, height, width }) => {
  const { side, margin, largest, least } = PAGE_OF_TEXT;
  const letters = bytes(image);
  const texts = Array.from({ length: height }, (_, row) => new TextDecoder().decode(letters.slice(row * width, (row + 1) * width)).replaceAll("\0", ""));
  Object.assign(canvas, { width: side, height: side });
  const context = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  let size = largest, sentences = [];
  const lines = () => sentences.reduce((sum, each) => sum + each.length + 0.5, -0.5);
  do {
    context.font = `${size}px ${style.getPropertyValue("--lab-serif") || "serif"}`;
    sentences = texts.map((text) => wrapped(context, text));
    size -= 2;
  } while (1.3 * size * lines() > side - 2 * margin && size > least);
  context.fillStyle = style.color;
  context.textBaseline = "top";
  let down = margin;
  for (const each of sentences) {
    for (const line of each) {
      context.fillText(line, margin, down);
      down += 1.3 * size;
    }
    down += 0.65 * size;
  }
};
