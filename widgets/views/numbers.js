// Every score of the frame shown, what it means, and what knowing nothing would score.

/** The measures of the inputs' modality, the main one beside what knowing nothing scores. */
function measureRows(frame, numbers, { main, measures = [], controls = [] }) {
  const ignorance = (measure) => controls.map(({ name, spoken }) => `${spoken} ${measured(measure, numbers[name])}`).join(", ");
  return measures.map((measure) => {
    const { name, title, nothing, meaning } = measure;
    return [title, measured(measure, frame.measures[name] ?? numbers[name]), name === main ? ignorance(measure) : nothing, meaning];
  });
}

function scoreRows(frame, numbers, round) {
  const rows = [
    ["Line-up", `${numbers.line_up_rank} of ${numbers.line_up_size}`, `1 in ${numbers.line_up_size} by chance`, `Among eight ${round.many}, the place of the secret when they are ordered by likeness to the reconstruction. The verdict rests on this and on the likeness: the first place among eight that are unlike is luck.`],
    ["Likeness", short(numbers.likeness), "0", round.likeness_meaning],
    ...measureRows(frame, numbers, round),
    ["Objective", short(frame.objective, 5), "", MEANINGS.objective],
  ];
  if (numbers.label_accuracy !== null && numbers.label_accuracy !== undefined) rows.push(["Labels", `${short(100 * numbers.label_accuracy, 0)} %`, "", "Share of the labels that the server worked out from the gradient alone."]);
  return rows;
}

/** What speaks for a picture whose truth nobody knows. */
function evidenceRows(frame, numbers, { one, unknowns }) {
  const share = (value) => (value === undefined || value === null ? "–" : `${short(100 * value, 1)} %`);
  return [
    ["Residual", share(numbers.residual), "100 %", `The share of the update that the ${one}'s own would leave unexplained.`],
    ["Uniqueness", share(numbers.hidden), "100 %", `Of a random change of the ${one} by a tenth, the share that would leave as little unexplained; ${grouped(numbers.equations ?? 0)} numbers tell of ${grouped(numbers.unknowns ?? 0)} ${unknowns}.`],
    ["Realism", share(numbers.strangeness), `photographs up to ${share(numbers.strangest_real)}`, "How much neighbouring pixels differ: noise differs more than any photograph."],
    ["Objective", short(frame.objective, 5), "", MEANINGS.objective],
  ];
}

function numbersPanel(film) {
  const frame = film.shown;
  const numbers = frame?.numbers ?? (film.source === "recorded" ? film.recording.numbers : film.frames.at(-1)?.numbers);
  if (!frame || !numbers) return [soft("There are no numbers before the first guess.")];
  const head = element("tr", {}, ...["Score", "Now", "Knowing nothing"].map((name) => element("th", { scope: "col" }, name)));
  const known = film.round.unknown ? evidenceRows(frame, numbers, film.round) : scoreRows(frame, numbers, film.round);
  const rows = known.flatMap(([name, value, control, meaning]) => [
    element("tr", "lab-score", element("th", { scope: "row" }, name), element("td", {}, value), element("td", {}, control)),
    element("tr", "lab-meaning", element("td", { colSpan: 3 }, meaning))]);
  return [element("p", {}, `Iteration ${film.counted(frame)}.`),
    element("table", "lab-table lab-scores", element("thead", {}, head), element("tbody", {}, ...rows))];
}
