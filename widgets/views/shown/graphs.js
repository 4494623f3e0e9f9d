// Graphs: atoms where their bonds hold them, a bond the darker the likelier it is; several of them in a grid, twins with their names.

const ATOM = { side: 224, among_others: 150, radius: 9, margin: 0.1, sharp: 3 }; // a wide card shows it three times as large, and lines stay sharp

/** Each kind of atom in a colour of its own that is told from the ground; the first, of which most are, in that of writing. */
const inkOf = (kind, kinds, dark) => (kind ? `hsl(${(360 * kind) / kinds} ${dark ? "75% 70%" : "70% 32%"})` : "");

SHOWN.graphs = (canvas, { image, height, width, words }) => {
  const kinds = words.kinds.length, each = kinds + width;
  const side = height > 1 ? ATOM.among_others : ATOM.side, columns = Math.ceil(Math.sqrt(height));
  Object.assign(canvas, { width: ATOM.sharp * side * columns, height: ATOM.sharp * side * Math.ceil(height / columns) });
  const context = canvas.getContext("2d"), { color } = getComputedStyle(canvas);
  const dark = canvas.closest(".lab")?.dataset.theme === "dark";
  const values = floats(image), ground = dark ? "#2a3138" : "#f3f2ee";
  context.scale(ATOM.sharp, ATOM.sharp);
  Object.assign(context, { strokeStyle: color, font: "bold 12px sans-serif", textAlign: "center", textBaseline: "middle" });

  function graph(number) {
    const [left, top] = [side * (number % columns), side * Math.floor(number / columns)];
    const row = (node) => values.subarray((number * width + node) * each, (number * width + node + 1) * each);
    const place = (node) => words.places[number][node].map((share, axis) => (axis ? top : left) + side * (ATOM.margin + (1 - 2 * ATOM.margin) * share));
    for (let one = 0; one < width; one += 1) {
      for (let other = 0; other < one; other += 1) {
        const likely = row(one)[kinds + other];
        if (likely < 0.05) continue;
        context.globalAlpha = likely;
        context.beginPath();
        context.moveTo(...place(one));
        context.lineTo(...place(other));
        context.stroke();
      }
    }
    context.globalAlpha = 1;
    for (let node = 0; node < width; node += 1) {
      const own = [...row(node).subarray(0, kinds)];
      const likeliest = own.indexOf(Math.max(...own));
      if (own[likeliest] < 0.5) continue;
      context.fillStyle = ground;
      context.beginPath();
      context.arc(...place(node), ATOM.radius, 0, 2 * Math.PI);
      context.fill();
      context.fillStyle = inkOf(likeliest, kinds, dark) || color;
      context.fillText(words.kinds[likeliest], ...place(node));
    }
  }

  for (let number = 0; number < height; number += 1) graph(number);
};
