// One video's scores against its ground truth, on one time axis: a lane per class.
// Lane i is the band i .. i + 1 of a downward y axis; heights within it are in pixels of PX below.

const PX = { gap: 5, name: 17, area: 32, truth: 8, event: 4, heat: 9, between: 2 };
const NARROW = 640;
const LANES_AT_MOST = 40;

class Timeline {
  constructor(node) {
    Object.assign(this, { node, track: null, lanes: [], shown: [], range: null, width: 0 });
  }

  show(track, labels) {
    this.track = track;
    this.lanes = lanesOf(track, labels);
    this.shown = [];
    this.full = [track.edges[0], track.edges.at(-1)];
    this.range = [...this.full]; // plotly changes in place what it is given
  }

  /**
   * options: limit (thousandths), filter (text), show (all, active, labelled), strips (bool),
   * models: {index, color, dash, events} of those to be drawn, the first as an area
   */
  draw(options) {
    this.options = options;
    const wanted = options.filter.trim().toLowerCase();
    const show = {
      all: () => true,
      labelled: (lane) => lane.intervals.length > 0,
      active: (lane) => lane.intervals.length > 0 || (lane.peak ?? -1) >= options.limit,
    }[options.show];
    const fitting = this.lanes.filter((lane) => show(lane) && lane.name.toLowerCase().includes(wanted));
    this.shown = fitting.slice(0, LANES_AT_MOST);
    this.cut = fitting.length - this.shown.length;
    this.node.hidden = this.shown.length === 0;
    if (this.node.hidden) return;
    this.narrow = this.node.clientWidth < NARROW;
    this.left = this.narrow ? 10 : 172;
    this.width = this.node.clientWidth - this.left - 12;
    this.place = this.geometry();
    this.points = pointsOf(this.track.edges, this.range);
    this.x = this.points.map((frame) => this.track.edges[frame]);
    const colors = look();
    Plotly.react(this.node, this.traces(colors), this.layout(colors), { ...CHART_OPTIONS, staticPlot: true });
  }

  /** Where things are in a lane, as parts of its height. */
  geometry() {
    const { strips, models } = this.options;
    let at = PX.gap + (this.narrow ? PX.name : 0);
    const take = (height) => {
      at += height + PX.between;
      return [at - height - PX.between, at - PX.between];
    };
    const area = strips ? null : take(PX.area);
    const truth = take(PX.truth);
    const heat = [], event = [];
    for (const _ of models) {
      if (strips) heat.push(take(PX.heat));
      event.push(take(PX.event));
    }
    const pitch = at + PX.gap;
    const part = ([from, to]) => [from / pitch, to / pitch];
    return { pitch, area: area && part(area), truth: part(truth), heat: heat.map(part), event: event.map(part) };
  }

  traces(colors) {
    const { models, strips } = this.options;
    const filled = (polygon, fillcolor, line = { width: 0 }) => ({
      type: "scatter", mode: "lines", ...polygon, fill: "toself", fillcolor, line, hoverinfo: "skip", hoveron: "points",
    });
    const truth = { x: [], y: [] };
    this.shown.forEach((lane, i) => {
      for (const [start, end] of lane.intervals) box(truth, start, end, i + this.place.truth[0], i + this.place.truth[1]);
    });
    const found = models.map((model, m) => filled(this.eventBoxes(model, m), model.color));
    const scores = models.length === 0 ? [] : strips ? [this.heatmap(colors)] : this.curves(colors, filled);
    return [...scores, filled(truth, colors.truth), ...found];
  }

  eventBoxes({ events }, m) {
    const boxes = { x: [], y: [] };
    const row = new Map(this.shown.map((lane, i) => [lane.column, i]));
    const [top, bottom] = this.place.event[m];
    for (const { column, start, stop } of events) {
      const i = row.get(column);
      if (i !== undefined && stop > this.range[0] && start < this.range[1]) box(boxes, start, stop, i + top, i + bottom);
    }
    return boxes;
  }

  /** The first model as an area, dark where it is over the threshold, the others as lines. */
  curves(colors, filled) {
    const [{ index: main, color }, ...others] = this.options.models;
    const { limit } = this.options;
    const [top, base] = this.place.area;
    const outline = { x: [], y: [] }, above = { x: [], y: [] }, level = { x: [], y: [] };
    const lines = others.map(() => ({ x: [], y: [] }));
    this.shown.forEach((lane, i) => {
      if (lane.column === null) return;
      const height = (value) => i + base - (value / 1000) * (base - top);
      const pooled = pool(this.track.models[main].levels[lane.column], this.points);
      steps(outline, this.x, pooled, 0, pooled.length, i + base, height);
      for (const [first, end] of stretches(pooled.length, (j) => pooled[j] >= limit)) steps(above, this.x, pooled, first, end, i + base, height);
      level.x.push(...this.range, null);
      level.y.push(height(limit), height(limit), null);
      others.forEach(({ index }, o) => {
        const of = pool(this.track.models[index].levels[lane.column], this.points);
        lines[o].x.push(...of.map((_, j) => (this.x[j] + this.x[j + 1]) / 2), null);
        lines[o].y.push(...of.map(height), null);
      });
    });
    return [
      filled(outline, colors.below, { width: 1, color: colors.edge }),
      filled(above, color),
      { type: "scatter", mode: "lines", ...level, hoverinfo: "skip", line: { width: 1, dash: "2px,3px", color: colors.muted } },
      ...lines.map((line, o) => ({ type: "scatter", mode: "lines", ...line, hoverinfo: "skip", line: { width: 1.5, color: others[o].color, dash: others[o].dash } })),
    ];
  }

  /** A strip per class and model. */
  heatmap(colors) {
    const empty = new Array(this.points.length - 1).fill(null);
    const y = [0], z = [];
    this.shown.forEach((lane, i) => {
      this.options.models.forEach(({ index }, m) => {
        const [top, bottom] = this.place.heat[m];
        y.push(i + top, i + bottom);
        z.push(empty, lane.column === null ? empty : pool(this.track.models[index].levels[lane.column], this.points));
      });
    });
    y.push(this.shown.length);
    z.push(empty);
    return {
      type: "heatmap", x: this.x, y, z, zmin: 0, zmax: 1000, showscale: false, hoverinfo: "skip", hoverongaps: false,
      colorscale: [[0, colors.soft], [1, colors.above]],
    };
  }

  layout(colors) {
    const { values, texts } = timeTicks(this.range, this.width);
    const bottoms = this.shown.map((_, i) => ({
      type: "line", layer: "below", xref: "paper", x0: 0, x1: 1, y0: i + 1, y1: i + 1, line: { width: 1, color: colors.line },
    }));
    return baseLayout(colors, {
      height: this.shown.length * this.place.pitch + 34,
      margin: { l: this.left, r: 12, t: 24, b: 10 },
      annotations: this.shown.flatMap((lane, i) => this.laneTexts(lane, i, colors)), shapes: bottoms,
      xaxis: axis(colors, { range: [...this.range], side: "top", tickvals: values, ticktext: texts, showgrid: true }),
      yaxis: axis(colors, { range: [this.shown.length, 0], showgrid: false, showticklabels: false }),
    });
  }

  laneTexts(lane, i, colors) {
    const width = this.narrow ? this.node.clientWidth - 96 : this.left - 16;
    const font = { color: lane.intervals.length ? colors.ink : colors.muted, size: 12 };
    const text = fit(lane.name, width, `12px ${colors.font}`);
    const peak = lane.peak === null ? "no score" : `max ${(lane.peak / 1000).toFixed(2)}`;
    const common = { xref: "paper", showarrow: false, borderpad: 0 };
    if (this.narrow) {
      return [
        { ...common, x: 0, xanchor: "left", y: i, yanchor: "top", text, font },
        { ...common, x: 1, xanchor: "right", y: i, yanchor: "top", text: peak, font: { size: 11 } },
      ];
    }
    const top = i + PX.gap / this.place.pitch;
    const beside = { ...common, x: 0, xanchor: "right", xshift: -10, y: top, yanchor: "top" };
    const name = { ...beside, text, font };
    return this.options.strips && this.options.models.length < 2 ? [name] : [name, { ...beside, yshift: -15, text: peak, font: { size: 11 } }];
  }

  /** The range of time that is shown, kept inside the video; true where that is not all of it. */
  zoom(start, end) {
    const [first, last] = this.full;
    const width = Math.min(last - first, Math.max(end - start, (last - first) / 500, 0.2));
    const from = Math.min(Math.max(start, first), last - width);
    this.range = [from, from + width];
    this.draw(this.options);
    return width < (last - first) * 0.999;
  }

  /** Pixels from the chart's left edge to a time, and back. */
  leftOf(time) {
    return this.left + ((time - this.range[0]) / (this.range[1] - this.range[0])) * this.width;
  }

  timeAt(px) {
    const share = Math.min(Math.max((px - this.left) / this.width, 0), 1);
    return this.range[0] + share * (this.range[1] - this.range[0]);
  }

  /** Number of the lane at a distance from the chart's top edge. */
  laneAt(px) {
    return Math.min(Math.max(Math.floor((px - 24) / this.place.pitch), 0), this.shown.length - 1);
  }

  /** What is said about a moment: per drawn model its score in a lane's class; and whether it is labelled. */
  under(time, at) {
    const lane = this.shown[at];
    const frame = frameAt(this.track.edges, time);
    const labelled = lane.intervals.some(([start, end]) => start <= time && time < end);
    const scores = lane.column === null ? [] : this.options.models.map(({ index }) => ({
      model: this.track.models[index].name, score: this.track.models[index].levels[lane.column][frame] / 1000,
    }));
    return { time, name: lane.name, labelled, scores };
  }
}
