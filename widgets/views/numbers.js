// Every score of the frame shown, what it means, and what knowing nothing would score.

/** Those of inputs that are no pictures, as their modality tells them. */
function otherRows(numbers, { measures, controls }) {
  const nothing = controls.map(({ name, spoken }) => `${spoken} ${short(numbers[name], 3)}`).join(", ");
  return measures.map(({ name, title, unit, digits, meaning }, index) => [title, `${short(numbers[name], digits)} ${unit}`, index ? "" : nothing, meaning]);
}

function pictureRows(frame, numbers) {
  const [first] = numbers.pictures ?? [];
  return [
    ["PSNR", `${short(frame.psnr_db, 1)} dB`, `grey ${short(numbers.grey_psnr_db, 1)}, mean ${short(numbers.mean_psnr_db, 1)} dB`, MEANINGS.PSNR],
    ["SSIM", short(frame.ssim), "0", MEANINGS.SSIM],
    ["Squared error", short(first?.mse, 5), "", "Mean squared difference of a pixel, with values from 0 to 1; PSNR is this number on a logarithmic scale."],
  ];
}

function scoreRows(frame, numbers, round) {
  const rows = [
    ["Line-up", `${numbers.line_up_rank} of ${numbers.line_up_size}`, `1 in ${numbers.line_up_size} by chance`, "Among eight pictures, the place of the secret when they are ordered by likeness to the reconstruction. The verdict rests on this and on the likeness: the first place among eight unlike pictures is luck."],
    ["Likeness", short(numbers.likeness), "0", "Correlation of the shapes in both pictures: 1 is alike, unrelated ones stay below 0.2; brightness, contrast and fine noise do not count."],
    ...(round.measures ? otherRows(numbers, round) : pictureRows(frame, numbers)),
    ["Objective", short(frame.objective, 5), "", MEANINGS.objective],
  ];
  if (numbers.label_accuracy !== null && numbers.label_accuracy !== undefined) rows.push(["Labels", `${short(100 * numbers.label_accuracy, 0)} %`, "", "Share of the labels that the server worked out from the gradient alone."]);
  return rows;
}

/** What speaks for a picture whose truth nobody knows. */
function evidenceRows(frame, numbers) {
  const share = (value) => (value === undefined || value === null ? "–" : `${short(100 * value, 1)} %`);
  return [
    ["Residual", share(numbers.residual), "100 %", "The share of the update that the picture's own would leave unexplained."],
    ["Uniqueness", share(numbers.hidden), "100 %", `Of a random change of the picture by a tenth, the share that would leave as little unexplained; ${grouped(numbers.equations ?? 0)} numbers tell of ${grouped(numbers.unknowns ?? 0)} pixels.`],
    ["Realism", share(numbers.strangeness), `photographs up to ${share(numbers.strangest_real)}`, "How much neighbouring pixels differ: noise differs more than any photograph."],
    ["Objective", short(frame.objective, 5), "", MEANINGS.objective],
  ];
}

function numbersPanel(film) {
  const frame = film.shown;
  const numbers = frame?.numbers ?? (film.source === "recorded" ? film.recording.numbers : film.frames.at(-1)?.numbers);
  if (!frame || !numbers) return [element("p", { class: "lab-soft" }, "There are no numbers before the first picture.")];
  const head = element("tr", {}, ...["Score", "Now", "Knowing nothing"].map((name) => element("th", { scope: "col" }, name)));
  const known = film.round.unknown ? evidenceRows(frame, numbers) : scoreRows(frame, numbers, film.round);
  const rows = known.flatMap(([name, value, control, meaning]) => [
    element("tr", { class: "lab-score" }, element("th", { scope: "row" }, name), element("td", {}, value), element("td", {}, control)),
    element("tr", { class: "lab-meaning" }, element("td", { colSpan: 3 }, meaning))]);
  return [element("p", {}, `Iteration ${film.counted(frame)}.`),
    element("table", { class: "lab-table lab-scores" }, element("thead", {}, head), element("tbody", {}, ...rows))];
}
