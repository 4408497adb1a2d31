// The chosen video: what is known of it, the picture, its controls and timeline, kept together in time.

const EVENTS_AT_MOST = 400; // rows of the table
const LANES_AT_EASE = 16; // with more classes, quiet ones are hidden at first
const MODEL_DASHES = ["solid", "solid", "4px,3px", "1px,3px", "8px,3px,2px,3px"];

class VideoView {
  constructor(data) {
    const part = (id) => document.getElementById(id);
    Object.assign(this, { part, labels: data.labels, names: data.models, rule: data.events, video: null, track: null, models: [] });
    this.hidden = new Set(data.models.slice(1)); // what the reader does not want to see; at first, the result alone
    if (data.models.length > 1) this.hidden.delete(data.models[1]);
    this.atFirst = this.rule.rule === "background-grouping" ? this.rule.activity : this.rule.threshold;
    part("threshold").value = this.atFirst;
    if (data.labels.length > LANES_AT_EASE) part("show").value = "active";
    this.timeline = new Timeline(part("timeline"));
    this.scrub = new Scrub(part("timeline-frame"), this.timeline, {
      seek: (time) => this.seek(time), point: (at) => this.say(at), zoom: (about, factor) => this.zoom(factor, about),
    });
    this.player = new Player((time) => this.at(time));
    for (const id of ["threshold", "class-filter", "show", "strips"]) part(id).addEventListener("input", () => this.drawSoon());
    part("zoom-in").addEventListener("click", () => this.zoom(0.5));
    part("zoom-out").addEventListener("click", () => this.zoom(2));
    part("unzoom").addEventListener("click", () => this.whole());
    part("events-details").addEventListener("toggle", () => this.drawTable());
  }

  /** Everything that is known at once; scores and intervals come from the video's own file. */
  async show(video, time = null) {
    const { part } = this;
    Object.assign(this, { video, track: null, models: [] });
    part("models").replaceChildren();
    part("video-name").replaceChildren(breakable(video.name));
    const classes = video.labels?.length ?? 0;
    const labels = video.intervals === null ? "not labelled" : classes ? `${video.intervals} intervals of ${classes} ${classes === 1 ? "class" : "classes"}` : "labelled: nothing happens";
    const facts = [video.subset ?? "no subset", lengthOf(video.duration), `${video.frames.toLocaleString("en")} frames at ${+video.fps.toFixed(2)} fps`, labels];
    if (video.f1 !== null) facts.push(`F1 ${percent(video.f1)} %`);
    part("video-meta").replaceChildren(...facts.map((fact) => element("span", {}, fact)));
    part("video-note").textContent = `Decoded by ${video.note}.`;
    let track;
    try {
      track = await openTrack(video);
    } catch (error) {
      if (this.video !== video) return;
      part("timeline-caption").textContent = error.message;
      part("timeline-frame").hidden = true;
      this.player.show(video, [video.start, video.start + video.duration]);
      return;
    }
    if (this.video !== video) return; // another one was chosen meanwhile
    this.track = track;
    part("timeline-frame").hidden = false;
    part("truth-legend").hidden = !track.intervals?.length;
    this.timeline.show(track, this.labels);
    this.scrub.lane = null;
    part("unzoom").hidden = true;
    this.player.show(video, track.edges);
    this.draw();
    if (time !== null) this.seek(time);
    part("video").dataset.shown = video.id; // all of it is there
  }

  /** At most once per frame, however fast the slider moves. */
  drawSoon() {
    cancelAnimationFrame(this.waiting);
    this.waiting = requestAnimationFrame(() => this.draw());
  }

  draw() {
    if (!this.track) return;
    const { part, track } = this;
    const threshold = Number(part("threshold").value), colors = look();
    part("threshold-out").textContent = threshold.toFixed(2);
    this.limit = Math.round(threshold * 1000);
    this.models = track.models.map(({ name }, index) => {
      const at = this.names.indexOf(name);
      return {
        name, index, color: colors.models[at % colors.models.length], dash: MODEL_DASHES[at % MODEL_DASHES.length],
        events: findEvents(track, index, this.rule, this.limit),
      };
    });
    const strips = part("strips").checked;
    this.timeline.draw({
      limit: this.limit, filter: part("class-filter").value, show: part("show").value, strips,
      models: this.models.filter(({ name }) => !this.hidden.has(name)),
    });
    this.drawModels();
    part("heat-legend").hidden = !strips;
    const [first] = this.timeline.options.models;
    part("area-legend").hidden = strips || !first;
    part("area-model").textContent = first?.name ?? "";
    part("timeline-caption").textContent = this.caption();
    this.scrub.at(this.player.time);
    this.say(null);
    this.now(this.player.time);
    this.drawTable();
  }

  /** A row for the labels and for every model: a switch, the number of events in the classes shown, and now. */
  drawModels() {
    const columns = new Set(this.timeline.shown.map((lane) => lane.column));
    const rows = this.models.map(({ name, color, events }) => {
      const input = element("input", { type: "checkbox" });
      input.checked = !this.hidden.has(name);
      input.addEventListener("input", () => this.toggleModel(name, input.checked));
      const count = events.filter(({ column }) => columns.has(column)).length;
      const label = element("label", { "data-model": name, "data-events": count }, input, swatch(color), element("bdi", {}, name), element("small", {}, `${count} ${count === 1 ? "event" : "events"}`));
      return element("div", { class: "row" }, label, ...(input.checked ? [element("p", { class: "chips" })] : []));
    });
    if (this.track.intervals) {
      const head = element("span", { class: "head" }, swatch(look().truth), "ground truth", element("small", {}, `${this.track.intervals.length} intervals`));
      rows.unshift(element("div", { class: "row" }, head, element("p", { class: "chips" })));
    }
    this.part("models").replaceChildren(...rows);
    this.said = null;
  }

  toggleModel(name, on) {
    if (on) this.hidden.delete(name);
    else this.hidden.add(name);
    this.draw();
    const label = [...this.part("models").querySelectorAll("label")].find((one) => one.dataset.model === name);
    label?.querySelector("input").focus(); // the old one is gone
  }

  caption() {
    const { track, timeline } = this;
    if (!track.models.length) return timeline.lanes.length ? "No scores for this video: ground truth only." : "Nothing to draw for this video: no scores, no labels.";
    const perPoint = (timeline.points?.at(-1) - timeline.points?.[0]) / (timeline.points?.length - 1);
    const pooled = perPoint > 1 ? `Each point is the highest of about ${perPoint.toFixed(1)} frames; events are exact to the frame.` : "One point per frame.";
    const cut = timeline.cut ? ` ${timeline.cut} more classes fit: filter to see them.` : "";
    const left = track.leftOut ? ` ${track.leftOut} quiet classes are in the score file alone.` : "";
    return pooled + cut + left;
  }

  seek(time) {
    this.player.seek(time);
    if (!this.player.playing) remember(this.video, this.player.time);
  }

  /** The video is at a time: so is the line, and what is said of it; a zoomed timeline turns its page. */
  at(time) {
    if (!this.track) return;
    const [start, end] = this.timeline.range;
    if (this.timeline.shown.length && (time < start - 1e-6 || time > end) && !this.scrub.held) {
      this.part("unzoom").hidden = !this.timeline.zoom(time, time + (end - start));
    }
    this.scrub.at(time);
    this.now(time);
  }

  /** What happens at this moment: by the labels, and by each model shown. */
  now(time) {
    const { track, labels } = this;
    const frame = frameAt(track.edges, time);
    const rows = this.models.filter(({ name }) => !this.hidden.has(name)).map(({ index, events }) => {
      const active = events.filter(({ start, stop }) => start <= time && time < stop);
      return active.map(({ column }) => [labels[track.classes[column]], (track.models[index].levels[column][frame] / 1000).toFixed(2)]);
    });
    if (track.intervals) rows.unshift(track.intervals.filter(([start, end]) => start <= time && time < end).map(([, , label]) => [labels[label], ""]));
    const text = JSON.stringify(rows);
    if (text === this.said) return;
    this.said = text;
    [...this.part("models").querySelectorAll(".chips")].forEach((chips, i) => {
      chips.replaceChildren(...rows[i].map(([label, score]) => element("span", { class: "chip" }, element("bdi", {}, label), ` ${score}`)));
    });
  }

  zoom(factor, about = this.player.time) {
    if (!this.track || !this.timeline.shown.length) return;
    const [start, end] = this.timeline.range;
    const inside = about >= start && about <= end ? about : (start + end) / 2;
    this.part("unzoom").hidden = !this.timeline.zoom(inside - (inside - start) * factor, inside + (end - inside) * factor);
    this.scrub.at(this.player.time);
    this.part("timeline-caption").textContent = this.caption();
  }

  whole() {
    if (!this.track) return;
    this.part("unzoom").hidden = !this.timeline.zoom(...this.timeline.full);
    this.scrub.at(this.player.time);
  }

  /** To where the next event or interval of the classes shown begins, or the previous one. */
  jump(by) {
    if (!this.track) return;
    const columns = new Set(this.timeline.shown.map((lane) => lane.column));
    const events = this.models.filter(({ name }) => !this.hidden.has(name)).flatMap((model) => model.events.filter(({ column }) => columns.has(column)).map(({ start }) => start));
    const starts = [...events, ...this.timeline.shown.flatMap((lane) => lane.intervals.map(([start]) => start))].sort((a, b) => a - b);
    const { time } = this.player;
    const to = by > 0 ? starts.find((start) => start > time + 0.01) : starts.filter((start) => start < time - 0.01).at(-1);
    if (to !== undefined) this.seek(to + 0.001);
  }

  /** The threshold, by steps of a hundredth. */
  cut(by) {
    const slider = this.part("threshold");
    slider.value = Number(slider.value) + by / 100;
    this.drawSoon();
  }

  /** What is under the pointer, else what is drawn. */
  say(at) {
    const { part, timeline } = this;
    if (at && timeline.shown.length) {
      const under = timeline.under(at.time, at.lane);
      const scores = under.scores.map(({ model, score }) => element("span", {}, element("bdi", {}, model), ` ${score.toFixed(3)}`));
      part("readout").replaceChildren(element("b", {}, clock(under.time, 2)), " ", element("bdi", {}, under.name), under.labelled ? ", labelled" : "", " ", ...scores.flatMap((node) => [node, " "]));
      return;
    }
    if (!timeline.shown.length) {
      part("readout").textContent = timeline.lanes.length ? `None of ${timeline.lanes.length} classes to show: change the threshold or the filter.` : "";
      return;
    }
    const all = timeline.lanes.length, shown = timeline.shown.length;
    part("readout").textContent = `${shown < all ? `${shown} of ` : ""}${all} ${all === 1 ? "class" : "classes"}. Click or drag to move the video.`;
  }

  drawTable() {
    const { part, track } = this;
    if (!part("events-details").open || !track) return;
    const columns = new Map(this.timeline.shown.map((lane) => [lane.column, lane.name]));
    const truth = this.timeline.shown.flatMap((lane) => lane.intervals.map(([start, stop]) => ({ name: lane.name, from: "ground truth", start, stop, score: null })));
    const found = this.models.filter(({ name }) => !this.hidden.has(name)).flatMap((model) => model.events.filter(({ column }) => columns.has(column)).map((event) => ({ ...event, name: columns.get(event.column), from: model.name })));
    const events = [...truth, ...found].sort((a, b) => a.start - b.start);
    const rows = events.slice(0, EVENTS_AT_MOST).map((event) => {
      const go = element("button", { type: "button", class: "plain" }, clock(event.start, 2));
      go.addEventListener("click", () => this.seek(event.start + 0.001));
      return element(
        "tr", {},
        element("th", { scope: "row" }, element("bdi", {}, event.name)), element("td", {}, element("bdi", {}, event.from)),
        element("td", { class: "n" }, go), element("td", { class: "n" }, clock(event.stop, 2)),
        element("td", { class: "n" }, event.score === null ? "–" : event.score.toFixed(2)),
      );
    });
    if (events.length > EVENTS_AT_MOST) rows.push(element("tr", {}, element("td", { colspan: 5 }, `${events.length - EVENTS_AT_MOST} more`)));
    part("events").replaceChildren(...rows);
  }
}

function swatch(color) {
  const node = element("i", { class: "swatch" });
  node.style.backgroundColor = color;
  return node;
}

/** The address of the page names the video and the moment: it can be kept and passed on. */
function remember(video, time) {
  const state = { video: video.name, ...(time === null ? {} : { t: time.toFixed(2) }) };
  try {
    history.replaceState(null, "", `#${new URLSearchParams(state)}`);
  } catch {
    // browsers allow so many a second: while dragging, the last one counts
  }
}
