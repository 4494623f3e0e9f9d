// Graphs: atoms where their bonds hold them, a bond the darker the likelier it is; a picture for each graph, side by side.

SHOWN.graphs = (canvas, { image, height, width, words }) => {
  const kinds = words.kinds.length;
  const [nodes, count] = [width, height];
  const each = kinds + nodes;
  const side = 224;
  const fine = 3; // a wide card shows it three times as large, and lines stay sharp
  Object.assign(canvas, { width: fine * side * count, height: fine * side });
  const context = canvas.getContext("2d");
  context.scale(fine, fine);
  const values = floats(image);
  context.font = "bold 12px sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let graph = 0; graph < count; graph += 1) {
    const row = (node) => values.subarray((graph * nodes + node) * each, (graph * nodes + node + 1) * each);
    const place = (node) => words.places[graph][node].map((share) => side * (0.1 + 0.8 * share)).map((x, axis) => (axis ? x : x + side * graph));
    for (let one = 0; one < nodes; one += 1) {
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
    for (let node = 0; node < nodes; node += 1) {
      const own = [...row(node).subarray(0, kinds)];
      const likeliest = own.indexOf(Math.max(...own));
      if (own[likeliest] < 0.5) continue;
      context.fillStyle = "#fff";
      context.beginPath();
      context.arc(...place(node), 9, 0, 2 * Math.PI);
      context.fill();
      context.fillStyle = `hsl(${(360 * likeliest) / kinds} 70% 30%)`;
      context.fillText(words.kinds[likeliest], ...place(node));
    }
  }
};
