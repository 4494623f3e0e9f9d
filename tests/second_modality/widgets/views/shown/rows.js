// Rows of a table: a line each, every number as a bar below the name of its column.

SHOWN.rows = (canvas, { image, height, width, words }) => {
  const [wide, high, head] = [64, 40, 18];
  Object.assign(canvas, { width: wide * width, height: head + high * height });
  const context = canvas.getContext("2d");
  const values = floats(image);
  context.font = "12px sans-serif";
  words.columns.forEach((name, column) => context.fillText(name, wide * column + 2, 12));
  values.forEach((value, place) => context.fillRect(wide * (place % width), head + high * Math.floor(place / width), Math.max(1, (wide - 6) * value), high - 8));
};
