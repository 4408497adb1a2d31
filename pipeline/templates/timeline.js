// One video's scores against its ground truth, on one time axis: a lane per class.
// Lane i is the band i .. i + 1 of a downward y axis; fractions of it are the constants below.

const LANE = {
  area: { pitch: 46, top: 0.06, base: 0.72, truth: [0.77, 0.93] },
  heat: { pitch: 30, top: 0.1, base: 0.56, truth: [0.72, 0.94], event: [0.58, 0.68] },
  named: { pitch: 62, shift: 17 }, // narrow screens: the class name is above its lane
};
const NARROW = 640;

class Timeline {
  /**
   * @param node where to draw
   * @param onCursor called with {time, name, score, labelled} or null as the reader points
   */
  constructor(node, onCursor, onZoom) {
    Object.assign(this, { node, onCursor, onZoom, video: null, lanes: [], shown: [], range: null, cursor: null });
    node.addEventListener("keydown", (event) => this.key(event));
    node.addEventListener("mouseleave", () => this.point(null));
  }

  show(video, labels) {
    this.video = video;
    this.lanes = lanesOf(video, labels);
    this.edges = video.scores?.edges ?? [video.start, video.start + video.duration];
    this.full = [video.start, video.start + video.duration];
    this.range = [...this.full]; // plotly changes in place what it is given
    this.cursor = null;
  }

  /** options: threshold 0 .. 1, filter (text), show (all, active, labelled), heat */
  draw(options) {
    this.options = options;
    const wanted = options.filter.trim().toLowerCase();
    const show = {
      all: () => true,
      labelled: (lane) => lane.intervals.length > 0,
      active: (lane) => lane.intervals.length > 0 || lane.peak >= options.threshold,
    }[options.show];
    this.shown = this.lanes.filter((lane) => show(lane) && lane.name.toLowerCase().includes(wanted));
    if (this.cursor && this.cursor.lane >= this.shown.length) this.cursor = null;
    this.node.hidden = this.shown.length === 0;
    if (this.node.hidden) return;
    const colors = look();
    this.narrow = this.node.clientWidth < NARROW;
    this.place = this.geometry();
    Plotly.react(this.node, this.traces(colors), this.layout(colors), CHART_OPTIONS);
    if (!this.bound) this.bind();
  }

  geometry() {
    const { pitch, ...bands } = this.options.heat ? LANE.heat : LANE.area;
    if (!this.narrow) return { pitch, ...bands };
    const scale = pitch / (pitch + LANE.named.shift);
    const move = (y) => 1 - (1 - y) * scale;
    const moved = Object.fromEntries(Object.entries(bands).map(([name, y]) => [name, Array.isArray(y) ? y.map(move) : move(y)]));
    return { pitch: pitch + LANE.named.shift, ...moved };
  }

  traces(colors) {
    const outline = { x: [], y: [] }, above = { x: [], y: [] }, truth = { x: [], y: [] }, limit = { x: [], y: [] };
    const { top, base, truth: bar, event } = this.place;
    const { threshold, heat } = this.options;
    this.shown.forEach((lane, i) => {
      for (const [start, end] of lane.intervals) box(truth, start, end, i + bar[0], i + bar[1]);
      if (!lane.scores) return;
      const height = (score) => i + base - score * (base - top);
      if (!heat) {
        steps(outline, this.edges, lane.scores, 0, lane.scores.length, i + base, height);
        limit.x.push(...this.full, null);
        limit.y.push(height(threshold), height(threshold), null);
      }
      for (const [first, end] of runs(lane.scores, threshold)) {
        if (heat) box(above, this.edges[first], this.edges[end], i + event[0], i + event[1]);
        else steps(above, this.edges, lane.scores, first, end, i + base, height);
      }
    });
    const filled = (polygon, fillcolor, line = { width: 0 }) => ({
      type: "scatter", mode: "lines", ...polygon, fill: "toself", fillcolor, line, hoverinfo: "skip", hoveron: "points",
    });
    return [
      this.strips(colors),
      filled(outline, colors.below, { width: 1, color: colors.edge }),
      filled(above, colors.above),
      filled(truth, colors.truth),
      { type: "scatter", mode: "lines", ...limit, hoverinfo: "skip", line: { width: 1, dash: "2px,3px", color: colors.muted } },
    ];
  }

  /** The heat strips; as areas they are not seen, but still say what is under the pointer. */
  strips(colors) {
    const { top, base } = this.place;
    const points = this.edges.length - 1;
    const empty = new Array(points).fill(null);
    const y = [0], z = [];
    this.shown.forEach((lane, i) => {
      y.push(i + top, i + base, i + 1);
      z.push(empty, lane.scores ?? empty, empty);
    });
    return {
      type: "heatmap", x: this.edges, y, z, zmin: 0, zmax: 1, showscale: false, hoverinfo: "none", hoverongaps: true,
      colorscale: [[0, colors.soft], [1, colors.above]], opacity: this.options.heat ? 1 : 0,
    };
  }

  layout(colors) {
    const left = this.narrow ? 16 : 172;
    const annotations = this.shown.flatMap((lane, i) => this.laneTexts(lane, i, left, colors));
    const { values, texts } = timeTicks(this.range, this.node.clientWidth - left);
    return baseLayout(colors, {
      height: this.shown.length * this.place.pitch + 34,
      margin: { l: left, r: 12, t: 24, b: 10 },
      dragmode: matchMedia("(pointer: fine)").matches ? "zoom" : false,
      hovermode: "closest", annotations, shapes: this.shapes(colors),
      xaxis: axis(colors, { fixedrange: false, range: [...this.range], side: "top", tickvals: values, ticktext: texts, showgrid: true }),
      yaxis: axis(colors, { range: [this.shown.length, 0], showgrid: false, showticklabels: false }),
    });
  }

  laneTexts(lane, i, left, colors) {
    const width = this.narrow ? this.node.clientWidth - 96 : left - 16;
    const font = { color: lane.intervals.length ? colors.ink : colors.muted, size: 12 };
    const text = fit(lane.name, width, `12px ${colors.font}`);
    const { top, base } = this.place;
    const peak = lane.peak === null ? "no score" : `max ${lane.peak.toFixed(2)}`;
    const common = { xref: "paper", showarrow: false, borderpad: 0 };
    if (this.narrow) {
      return [
        { ...common, x: 0, xanchor: "left", y: i, yanchor: "top", text, font },
        { ...common, x: 1, xanchor: "right", y: i, yanchor: "top", text: peak, font: { size: 11 } },
      ];
    }
    const middle = i + (top + base) / 2;
    const name = { ...common, x: 0, xanchor: "right", xshift: -10, y: middle, yshift: this.options.heat ? 0 : 8, text, font };
    return this.options.heat ? [name] : [name, { ...common, x: 0, xanchor: "right", xshift: -10, y: middle, yshift: -8, text: peak, font: { size: 11 } }];
  }

  shapes(colors) {
    const rules = this.shown.map((_, i) => ({
      type: "line", layer: "below", xref: "paper", x0: 0, x1: 1, y0: i + this.place.base, y1: i + this.place.base, line: { width: 1, color: colors.line },
    }));
    if (!this.cursor) return rules;
    const { time, lane } = this.cursor;
    const upright = { type: "line", x0: time, x1: time, yref: "paper", y0: 0, y1: 1, line: { width: 1, color: colors.cursor } };
    const here = { type: "rect", layer: "below", xref: "paper", x0: 0, x1: 1, y0: lane, y1: lane + 1, line: { width: 0 }, fillcolor: colors.line, opacity: 0.45 };
    return [...rules, here, upright];
  }

  bind() {
    this.bound = true;
    this.node.on("plotly_hover", ({ points }) => {
      const hit = points.find((point) => point.curveNumber === 0);
      if (hit) this.point({ time: hit.x, lane: Math.min(this.shown.length - 1, Math.floor(hit.y)) });
    });
    this.node.on("plotly_relayout", (change) => {
      if (change["xaxis.range[0]"] === undefined) return;
      this.zoom(change["xaxis.range[0]"], change["xaxis.range[1]"]);
    });
  }

  zoom(start, end) {
    const [first, last] = this.full;
    const width = Math.min(last - first, Math.max(end - start, (last - first) / 200));
    const from = Math.min(Math.max(start, first), last - width);
    this.range = [from, from + width];
    this.onZoom(width < (last - first) * 0.999);
    this.draw(this.options);
  }

  /** Put the cursor somewhere, or take it away. */
  point(cursor) {
    if (!this.video || !this.shown.length) return;
    this.cursor = cursor;
    Plotly.relayout(this.node, { shapes: this.shapes(look()) });
    this.onCursor(cursor && this.under(cursor));
  }

  under({ time, lane: at }) {
    const lane = this.shown[at];
    const bin = this.bin(time);
    const labelled = lane.intervals.some(([start, end]) => start <= time && time < end);
    return { time, name: lane.name, score: lane.scores?.[bin] ?? null, labelled };
  }

  bin(time) {
    const after = this.edges.findIndex((edge) => edge > time);
    return after < 0 ? this.edges.length - 2 : Math.max(0, after - 1);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.shown.length) return;
    const { time, lane } = this.cursor ?? { time: this.range[0], lane: 0 };
    const width = this.range[1] - this.range[0];
    const jump = (event.shiftKey ? 0.1 : 0.01) * width;
    const clamp = (t) => Math.min(Math.max(t, this.full[0]), this.full[1]);
    const moves = {
      ArrowLeft: () => this.point({ time: clamp(time - jump), lane }),
      ArrowRight: () => this.point({ time: clamp(time + jump), lane }),
      ArrowUp: () => this.point({ time, lane: Math.max(0, lane - 1) }),
      ArrowDown: () => this.point({ time, lane: Math.min(this.shown.length - 1, lane + 1) }),
      Escape: () => this.point(null),
      "+": () => this.zoom(time - width / 4, time + width / 4),
      "-": () => this.zoom(time - width, time + width),
      0: () => this.zoom(...this.full),
    };
    const move = moves[event.key === "=" ? "+" : event.key];
    if (!move) return;
    event.preventDefault();
    move();
  }

  /** Ground truth, and stretches at or above the threshold, of the classes shown. */
  events() {
    return this.shown.flatMap((lane) => [
      ...lane.intervals.map(([start, end]) => ({ name: lane.name, from: "ground truth", start, end, score: this.highest(lane, start, end) })),
      ...runs(lane.scores ?? [], this.options.threshold).map(([first, last]) => ({
        name: lane.name, from: "scores", start: this.edges[first], end: this.edges[last], score: lane.scores.slice(first, last).reduce((a, b) => Math.max(a, b)),
      })),
    ]);
  }

  highest(lane, start, end) {
    if (!lane.scores) return null;
    const inside = lane.scores.filter((_, i) => this.edges[i] < end && this.edges[i + 1] > start);
    return inside.length ? inside.reduce((a, b) => Math.max(a, b)) : null;
  }
}
