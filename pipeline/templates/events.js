// From scores to events by the rule of the run's settings, as the program does it: same frames, same joins.

const ROUNDING_SEC = 1e-6; // five frames of 0.04 s last 0.2 s, whatever their times add up to

/** Stretches [first, end) of frames for which `active(i)` holds. */
function stretches(count, active) {
  const found = [];
  for (let i = 0; i < count; i += 1) {
    if (!active(i)) continue;
    if (found.length && found.at(-1)[1] === i) found.at(-1)[1] = i + 1;
    else found.push([i, i + 1]);
  }
  return found;
}

/** Stretches nearer than the rule says are one; then short ones go. */
function joined(found, edges, { merge_gap_sec: gap, min_sec: shortest }) {
  const merged = [];
  for (const [first, end] of found) {
    if (merged.length && edges[first] - edges[merged.at(-1)[1]] <= gap + ROUNDING_SEC) merged.at(-1)[1] = end;
    else merged.push([first, end]);
  }
  return merged.filter(([first, end]) => edges[end] - edges[first] >= shortest - ROUNDING_SEC);
}

function mean(levels, first, end) {
  let sum = 0;
  for (let i = first; i < end; i += 1) sum += levels[i];
  return sum / (end - first) / 1000;
}

/**
 * Events of one model of a track, in order of time: {column, first, end, start, stop, score}.
 *
 * @param limit what the rule cuts at, in thousandths: the threshold, or the activity of background-grouping
 */
function findEvents({ edges, models }, model, rule, limit) {
  const { levels } = models[model];
  const count = edges.length - 1;
  const event = (column, [first, end]) => ({
    column, first, end, start: edges[first], stop: edges[end], score: mean(levels[column], first, end),
  });
  if (rule.rule !== "background-grouping") {
    const found = levels.flatMap((of, column) => joined(stretches(count, (i) => of[i] >= limit), edges, rule).map((span) => event(column, span)));
    return found.sort((a, b) => a.start - b.start);
  }
  const groups = joined(stretches(count, (i) => levels.some((of) => of[i] >= limit)), edges, rule);
  return groups.map((span) => {
    const best = levels.map((_, column) => event(column, span));
    return best.reduce((a, b) => (b.score > a.score ? b : a));
  });
}
