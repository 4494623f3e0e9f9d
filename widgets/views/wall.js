// Where checking words against a span ends, in numbers.

/** Up to which batch it goes. */
function limitOf({ width, places, most }) {
  const limit = most > 0 ? `${most} ${most === 1 ? "sentence" : "sentences"} of ${places} pieces` : `fewer than ${places} pieces`;
  return `at width ${width}, after ${limit}`;
}

function taken(span) {
  return `${span.rank} of ${span.width} directions are taken. It ends where all are: ${limitOf(span)}.`;
}

function wall(span) {
  const { rank, width, typical } = span;
  const now = rank >= width - 1
    ? "All directions are taken: every word fits, and none stands out."
    : `A word of the batch lies in the ${rank} directions that are told; of any other about ${short(typical)} lies outside.`;
  return `${now} It ends where as many pieces meet as there are directions: ${limitOf(span)}.`;
}
