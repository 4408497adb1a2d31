// The list of videos: searched, sorted, one of them chosen.

const SUBSETS = ["testing", "validation", "unlabelled", null, "training"];
const SHORT = { testing: "test", validation: "val.", unlabelled: "–", training: "train" };
const ROWS_AT_MOST = 500;

function lengthOf(seconds) {
  return seconds < 10 ? `${seconds.toFixed(1)} s` : clock(seconds, 0);
}

/** "12" intervals, "none" happens, "–" not labelled */
function labelCount(video) {
  return video.intervals === null ? "–" : video.intervals ? String(video.intervals) : "none";
}

const SORTS = {
  name: (a, b) => a.name.localeCompare(b.name, "en", { numeric: true }),
  subset: (a, b) => SUBSETS.indexOf(a.subset) - SUBSETS.indexOf(b.subset),
  duration: (a, b) => a.duration - b.duration,
  labels: (a, b) => (a.intervals ?? -1) - (b.intervals ?? -1),
  f1: (a, b) => (a.f1 ?? 2) - (b.f1 ?? 2), // worst first; those without come last
};

class VideoList {
  constructor(videos, labels, onChoose) {
    Object.assign(this, { videos, onChoose, chosen: null, sort: "subset", down: false, hits: [] });
    this.texts = new Map(videos.map((video) => {
      const names = (video.labels ?? []).map((label) => labels[label]);
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
    this.hits = hits.sort((a, b) => sign * SORTS[this.sort](a, b) || SORTS.name(a, b));
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
      element("td", { class: "subset" }, SHORT[video.subset] ?? "–"),
      element("td", { class: "n" }, lengthOf(video.duration)),
      element("td", { class: "n" }, labelCount(video)),
      element("td", { class: "n" }, percent(video.f1)),
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

  /** The next or the previous one, of those listed. */
  step(by) {
    const at = this.hits.indexOf(this.chosen);
    const to = this.hits[at < 0 ? 0 : at + by];
    if (!to) return;
    this.choose(to, true);
    this.body.querySelector(".current")?.scrollIntoView({ block: "nearest" });
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const next = step && this.body.rows[event.target.closest("tr").sectionRowIndex + step];
    if (!next) return;
    event.preventDefault();
    event.stopPropagation();
    next.querySelector("button").focus();
  }
}
