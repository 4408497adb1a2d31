// One video's data as it is drawn: frame times, scores in thousandths, lanes; pooled to what a screen shows.

const POINTS_AT_MOST = 600; // per lane: each is the highest of the frames it stands for

/** Frame edges in seconds (F + 1), intervals by label, and per model the levels of each class. */
async function openTrack(video) {
  const data = await load(`data/${video.id}.js`, video.id);
  const shown = await unpack(data.frames, Int32Array);
  const edges = new Float64Array(shown.length + 1);
  let at = data.start;
  edges[0] = at / 10000;
  shown.forEach((span, i) => {
    at += span;
    edges[i + 1] = at / 10000;
  });
  const models = await Promise.all(data.models.map(async ({ name, scores }) => ({
    name, levels: levelsOf(await unpack(scores, Int16Array), data.classes.length),
  })));
  return { edges, models, classes: data.classes, intervals: data.intervals, leftOut: data.left_out };
}

/** From differences, class after class, to one array per class. */
function levelsOf(differences, classes) {
  const frames = differences.length / classes;
  return Array.from({ length: classes }, (_, k) => {
    const levels = new Uint16Array(frames);
    let level = 0;
    for (let i = 0; i < frames; i += 1) {
      level += differences[k * frames + i];
      levels[i] = level;
    }
    return levels;
  });
}

/** Labelled classes in order of appearance, then the highest scores of the final model. */
function lanesOf(track, labels) {
  const lanes = new Map();
  const lane = (label) => {
    if (!lanes.has(label)) lanes.set(label, { label, name: labels[label], intervals: [], column: null, peak: null });
    return lanes.get(label);
  };
  for (const [start, end, label] of track.intervals ?? []) lane(label).intervals.push([start, end]);
  track.classes.forEach((label, column) => {
    const levels = track.models[0].levels[column];
    Object.assign(lane(label), { column, peak: levels.reduce((a, b) => Math.max(a, b), 0) });
  });
  return [...lanes.values()];
}

/** The frame shown at a time, the first or last one outside of the video. */
function frameAt(edges, time) {
  return Math.min(Math.max(lastAtMost(edges, time), 0), edges.length - 2);
}

/** Frames of a range of time as at most POINTS_AT_MOST points: where each begins, and where the last ends. */
function pointsOf(edges, [start, end]) {
  const first = frameAt(edges, start), last = Math.max(first + 1, frameAt(edges, end - 1e-9) + 1);
  const points = Math.min(last - first, POINTS_AT_MOST);
  return Array.from({ length: points + 1 }, (_, j) => first + Math.floor((j * (last - first)) / points));
}

/** The highest level between neighbouring points. */
function pool(levels, points) {
  const pooled = new Array(points.length - 1);
  for (let j = 0; j < pooled.length; j += 1) {
    let highest = 0;
    for (let i = points[j]; i < points[j + 1]; i += 1) highest = Math.max(highest, levels[i]);
    pooled[j] = highest;
  }
  return pooled;
}

/** Add a rectangle to a path of closed polygons. */
function box(path, x0, x1, y0, y1) {
  path.x.push(x0, x1, x1, x0, x0, null);
  path.y.push(y0, y0, y1, y1, y0, null);
}

/** Add the stairs of points first .. end - 1, closed along the base. */
function steps(path, x, levels, first, end, base, height) {
  path.x.push(x[first]);
  path.y.push(base);
  for (let i = first; i < end; i += 1) {
    const y = height(levels[i]);
    path.x.push(x[i], x[i + 1]);
    path.y.push(y, y);
  }
  path.x.push(x[end], x[first], null);
  path.y.push(base, base, null);
}

/** Round times over a range, about one per 80 pixels. */
function timeTicks([start, end], px) {
  const wanted = (end - start) / Math.max(2, Math.floor(px / 80));
  const sizes = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
  const size = sizes.find((candidate) => candidate >= wanted) ?? Math.ceil(wanted / 7200) * 7200;
  const count = Math.floor(end / size + 1e-9) - Math.ceil(start / size - 1e-9) + 1;
  const values = Array.from({ length: Math.max(0, count) }, (_, i) => (Math.ceil(start / size - 1e-9) + i) * size);
  return { values, texts: values.map((value) => clock(value, size < 0.1 ? 2 : size < 1 ? 1 : 0)) };
}
