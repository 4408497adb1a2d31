// The list of videos, and the one chosen from it.

const SUBSETS = ["testing", "validation", "unlabelled", null, "training"];
const ROWS_AT_MOST = 500;
const EVENTS_AT_MOST = 400; // rows of the table
const LANES_AT_EASE = 16; // with more classes, quiet ones are hidden at first

function lengthOf(seconds) {
  return seconds < 10 ? `${seconds.toFixed(1)} s` : clock(seconds, 0);
}

/** "12" intervals, "none" happens, "–" not labelled */
function labelCount(video) {
  return video.intervals === null ? "–" : video.intervals.length ? String(video.intervals.length) : "none";
}

const SORTS = {
  name: (a, b) => a.name.localeCompare(b.name, "en", { numeric: true }),
  subset: (a, b) => SUBSETS.indexOf(a.subset) - SUBSETS.indexOf(b.subset),
  duration: (a, b) => a.duration - b.duration,
  labels: (a, b) => (a.intervals?.length ?? -1) - (b.intervals?.length ?? -1),
};

class VideoList {
  constructor(videos, labels, onChoose) {
    Object.assign(this, { videos, onChoose, chosen: null, sort: "subset", down: false });
    this.texts = new Map(videos.map((video) => {
      const names = new Set((video.intervals ?? []).map(([, , label]) => labels[label]));
      return [video, [video.name, video.subset ?? "", ...names].join("\n").toLowerCase()];
    }));
    this.search = document.getElementById("search");
    this.body = document.getElementById("rows");
    this.search.addEventListener("input", () => this.draw());
    this.buttons = [...document.querySelectorAll("[data-sort]")];
    for (const button of this.buttons) button.addEventListener("click", () => this.sortBy(button.dataset.sort));
    this.body.addEventListener("keydown", (event) => this.key(event));
  }

  sortBy(column) {
    this.down = this.sort === column && !this.down;
    this.sort = column;
    this.draw();
  }

  draw() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const hits = this.videos.filter((video) => words.every((word) => this.texts.get(video).includes(word)));
    const sign = this.down ? -1 : 1;
    hits.sort((a, b) => sign * SORTS[this.sort](a, b) || SORTS.name(a, b));
    this.body.replaceChildren(...hits.slice(0, ROWS_AT_MOST).map((video) => this.row(video)));
    const all = hits.length === this.videos.length ? `${hits.length} videos` : `${hits.length} of ${this.videos.length} videos`;
    document.getElementById("found").textContent = hits.length > ROWS_AT_MOST ? `${all}, the first ${ROWS_AT_MOST} listed` : all;
    for (const button of this.buttons) {
      const direction = this.down ? "descending" : "ascending";
      button.closest("th").setAttribute("aria-sort", button.dataset.sort === this.sort ? direction : "none");
    }
  }

  row(video) {
    const button = element("button", { type: "button" }, breakable(video.name));
    button.addEventListener("click", () => this.choose(video, true));
    const row = element(
      "tr", {},
      element("td", { class: "name" }, button),
      element("td", { class: "subset" }, video.subset ?? "–"),
      element("td", { class: "n" }, lengthOf(video.duration)),
      element("td", { class: "n" }, labelCount(video)),
    );
    row.video = video;
    this.mark(row);
    return row;
  }

  mark(row) {
    const current = row.video === this.chosen;
    row.classList.toggle("current", current);
    row.querySelector("button").setAttribute("aria-current", String(current));
  }

  choose(video, byReader) {
    this.chosen = video;
    for (const row of this.body.rows) this.mark(row);
    this.onChoose(video, byReader);
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const next = this.body.rows[event.target.closest("tr").sectionRowIndex + step];
    if (!step || !next) return;
    event.preventDefault();
    next.querySelector("button").focus();
  }
}

/** The right-hand side: what is known of the chosen video, its controls and timeline. */
class VideoView {
  constructor(labels) {
    this.labels = labels;
    const part = (id) => document.getElementById(id);
    this.part = part;
    if (labels.length > LANES_AT_EASE) part("show").value = "active";
    this.timeline = new Timeline(part("timeline"), (under) => this.say(under), (zoomed) => { part("unzoom").hidden = !zoomed; });
    for (const id of ["threshold", "class-filter", "show", "heat"]) part(id).addEventListener("input", () => this.drawSoon());
    part("unzoom").addEventListener("click", () => this.timeline.zoom(...this.timeline.full));
    part("events-details").addEventListener("toggle", () => this.drawEvents());
  }

  show(video) {
    const { part } = this;
    this.video = video;
    part("video-name").replaceChildren(breakable(video.name));
    const classes = new Set((video.intervals ?? []).map(([, , label]) => label)).size;
    const labels = video.intervals === null ? "not labelled" : video.intervals.length ? `${video.intervals.length} intervals of ${classes} ${classes === 1 ? "class" : "classes"}` : "labelled: nothing happens";
    const facts = [video.subset ?? "no subset", lengthOf(video.duration), `${video.frames.toLocaleString("en")} frames at ${+video.fps.toFixed(2)} fps`, labels];
    part("video-meta").replaceChildren(...facts.map((fact) => element("span", {}, fact)));
    part("video-note").textContent = video.note;
    part("unzoom").hidden = true;
    part("truth-legend").hidden = !video.intervals?.length;
    this.timeline.show(video, this.labels);
    this.draw();
  }

  /** At most once per frame, however fast the slider moves. */
  drawSoon() {
    cancelAnimationFrame(this.waiting);
    this.waiting = requestAnimationFrame(() => this.draw());
  }

  draw() {
    if (!this.video) return;
    const { part } = this;
    const threshold = Number(part("threshold").value);
    part("threshold-out").textContent = threshold.toFixed(2);
    this.timeline.draw({ threshold, filter: part("class-filter").value, show: part("show").value, heat: part("heat").checked });
    this.say(null);
    part("heat-legend").hidden = !part("heat").checked;
    part("area-legend").hidden = part("heat").checked;
    part("timeline-caption").textContent = this.caption();
    this.drawEvents();
  }

  caption() {
    const { scores, frames } = this.video;
    if (!scores) return this.timeline.lanes.length ? "No scores are drawn for this video: ground truth only." : "Nothing to draw for this video: no scores, no labels.";
    const points = scores.edges.length - 1;
    const pooled = points < frames ? `Each point is the highest of about ${(frames / points).toFixed(1)} frames, so peaks stay and events look up to that much longer.` : "One point per frame.";
    const cut = scores.left_out ? ` ${scores.classes.length} classes drawn, labelled ones first, then by highest score; ${scores.left_out} more are in the score file.` : "";
    return pooled + cut;
  }

  say(under) {
    const { part, timeline } = this;
    if (under) {
      const score = under.score === null ? "no score" : under.score.toFixed(3);
      part("readout").replaceChildren(element("b", {}, clock(under.time, 2)), " ", element("bdi", {}, under.name), ` ${score}${under.labelled ? ", labelled" : ""}`);
      return;
    }
    const shown = timeline.shown;
    if (!shown.length) {
      part("readout").textContent = timeline.lanes.length ? `None of ${timeline.lanes.length} classes to show: change the threshold or the filter.` : "";
      return;
    }
    const events = shown.reduce((sum, lane) => sum + runs(lane.scores ?? [], timeline.options.threshold).length, 0);
    const all = timeline.lanes.length;
    const classes = `${shown.length < all ? `${shown.length} of ` : ""}${all} ${all === 1 ? "class" : "classes"}`;
    part("readout").textContent = `${classes}, ${events} ${events === 1 ? "event" : "events"} at ${timeline.options.threshold.toFixed(2)}`;
  }

  drawEvents() {
    const { part } = this;
    if (!part("events-details").open || !this.video) return;
    const events = this.timeline.events();
    const rows = events.slice(0, EVENTS_AT_MOST).map((event) => element(
      "tr", {},
      element("th", { scope: "row" }, element("bdi", {}, event.name)),
      element("td", {}, event.from),
      element("td", { class: "n" }, clock(event.start, 2)),
      element("td", { class: "n" }, clock(event.end, 2)),
      element("td", { class: "n" }, event.score === null ? "–" : event.score.toFixed(3)),
    ));
    if (events.length > EVENTS_AT_MOST) rows.push(element("tr", {}, element("td", { colspan: 5 }, `${events.length - EVENTS_AT_MOST} more`)));
    part("events").replaceChildren(...rows);
  }
}
