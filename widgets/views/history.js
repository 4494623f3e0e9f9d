// The runs of this session as a strip of thumbnails, the newest first.

function historyCard(run, restore) {
  const canvas = element("canvas", { class: "lab-picture", ariaHidden: true });
  show(canvas, { ...run, image: bytes(run.pixels) });
  const told = `${run.verdict}, ${run.line_up}; ${run.score && `${run.score} `}at iteration ${run.iteration}, ${lasting(run.seconds)}.`;
  return element("li", {},
    element("button", { class: "lab-past", "data-number": run.number, onclick: () => restore(run.number) }, canvas,
      element("span", {}, element("b", {}, `Run ${run.number}: ${run.title}`), element("span", "lab-soft", told))));
}

function historyPanel(runs, restore) {
  if (!runs.length) return [soft("Every run of this session is kept here once it is over. Nothing is written to the disk.")];
  return [soft("Choose a run to see it again: its experiment, its film, its verdict."),
    element("ul", "lab-history", ...[...runs].reverse().map((run) => historyCard(run, restore)))];
}
