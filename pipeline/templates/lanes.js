// From the page's data to what a timeline draws: lanes, runs, polygons, round times.

/** base64 of little-endian uint16 thousandths -> numbers in 0 .. 1 */
function decodeTrack(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => view.getUint16(2 * i, true) / 1000);
}

/** Stretches of points at or above the threshold: [first, end) */
function runs(scores, threshold) {
  const found = [];
  for (let i = 0; i < scores.length; i += 1) {
    if (scores[i] < threshold - 1e-6) continue;
    if (found.length && found.at(-1)[1] === i) found.at(-1)[1] = i + 1;
    else found.push([i, i + 1]);
  }
  return found;
}

/** Lanes of a video: labelled classes in order of appearance, then the highest scores. */
function lanesOf(video, labels) {
  const lanes = new Map();
  const lane = (label) => {
    if (!lanes.has(label)) lanes.set(label, { label, name: labels[label], intervals: [], scores: null, peak: null });
    return lanes.get(label);
  };
  for (const [start, end, label] of [...(video.intervals ?? [])].sort((a, b) => a[0] - b[0])) lane(label).intervals.push([start, end]);
  const scores = video.scores;
  scores?.classes.forEach((label, i) => {
    const track = decodeTrack(scores.tracks[i]);
    Object.assign(lane(label), { scores: track, peak: track.reduce((a, b) => Math.max(a, b), 0) });
  });
  return [...lanes.values()];
}

/** Add a rectangle to a path of closed polygons. */
function box(path, x0, x1, y0, y1) {
  path.x.push(x0, x1, x1, x0, x0, null);
  path.y.push(y0, y0, y1, y1, y0, null);
}

/** Add the stairs of points first .. end - 1, closed along the base. */
function steps(path, edges, scores, first, end, base, height) {
  path.x.push(edges[first]);
  path.y.push(base);
  for (let i = first; i < end; i += 1) {
    const y = height(scores[i]);
    path.x.push(edges[i], edges[i + 1]);
    path.y.push(y, y);
  }
  path.x.push(edges[end], edges[first], null);
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
