// The video and what is drawn over it, on the player's clock: that of scores and labels.
// Without a video that plays, there is still a time, which the timeline moves.

class Player {
  /** @param onTime called whenever the time changed */
  constructor(onTime) {
    const part = (id) => document.getElementById(id);
    Object.assign(this, { part, onTime, video: null, edges: [0, 1], moment: 0, overlays: new Map(), plays: false });
    this.element = part("player");
    this.canvas = part("overlay");
    for (const event of ["seeked", "timeupdate", "play", "pause", "ended"]) this.element.addEventListener(event, () => this.changed());
    this.element.addEventListener("loadeddata", () => this.loaded());
    this.element.addEventListener("error", () => this.failed());
    this.element.addEventListener("play", () => this.follow());
    part("screen").addEventListener("click", () => this.toggle());
    part("play").addEventListener("click", () => this.toggle());
    part("back").addEventListener("click", () => this.frame(-1));
    part("forward").addEventListener("click", () => this.frame(1));
    part("speed").addEventListener("input", () => { this.element.playbackRate = Number(part("speed").value); });
    for (const name of ["joints", "flow"]) part(`show-${name}`).addEventListener("input", () => this.paint());
  }

  show(video, edges) {
    Object.assign(this, { video, edges, moment: edges[0], plays: false });
    this.overlays.clear();
    const { media } = video;
    this.part("screen").hidden = media === null;
    this.element.hidden = false;
    this.part("no-video").textContent = media === null ? "Neither a preview nor the video is beside this page." : "";
    this.part("flow-option").hidden = !media?.flow;
    this.part("joints-option").hidden = !video.joints;
    this.part("flow-note").hidden = !media?.flow;
    if (media) this.element.src = media.file;
    else {
      this.element.removeAttribute("src");
      this.element.load(); // or what was loading may still come
    }
    this.element.playbackRate = this.element.defaultPlaybackRate = Number(this.part("speed").value);
    this.changed();
  }

  /** Seconds on the player's clock. */
  get time() {
    return this.plays && !this.element.seeking ? this.element.currentTime + this.video.media.offset_sec : this.moment;
  }

  get playing() {
    return this.plays && !this.element.paused && !this.element.ended;
  }

  seek(time) {
    this.moment = Math.min(Math.max(time, this.edges[0]), this.edges.at(-1) - 1e-4);
    if (this.plays) this.element.currentTime = Math.max(0, this.moment - this.video.media.offset_sec);
    this.changed();
  }

  /** To the middle of a neighbouring frame: its edges are the others' too, within rounding. */
  frame(by) {
    if (this.playing) this.element.pause();
    const at = frameAt(this.edges, this.time);
    const to = Math.min(Math.max(at + by, 0), this.edges.length - 2);
    this.seek((this.edges[to] + this.edges[to + 1]) / 2);
  }

  toggle() {
    if (!this.plays) return;
    if (!this.playing) this.element.play().catch(() => this.changed()); // another video was opened meanwhile
    else this.element.pause();
  }

  loaded() {
    this.plays = true;
    this.part("screen").style.setProperty("--ratio", this.element.videoWidth / this.element.videoHeight);
    if (this.moment > this.edges[0]) this.seek(this.moment);
    this.changed();
  }

  failed() {
    if (!this.video?.media) return;
    this.plays = false;
    this.part("screen").hidden = true;
    const why = this.video.media.kind === "preview" ? "The preview is not beside this page: copy the whole folder." : "This browser cannot play the video, or it was moved.";
    this.part("no-video").textContent = `${why} “augrgb report OUT” makes a preview that plays anywhere.`;
    this.changed();
  }

  /** While it plays, at every frame of the screen. */
  follow() {
    cancelAnimationFrame(this.waiting);
    const next = () => {
      this.changed();
      if (this.playing) this.waiting = requestAnimationFrame(next);
    };
    next();
  }

  changed() {
    if (this.plays && !this.element.seeking) this.moment = this.time;
    const { part } = this;
    part("play").disabled = !this.plays;
    part("play").textContent = this.playing ? "Pause" : "Play";
    part("time").textContent = `${clock(this.moment, 2)} / ${clock(this.edges.at(-1), 2)}`;
    this.paint();
    this.onTime(this.moment);
  }

  paint() {
    const { canvas } = this;
    const pen = canvas.getContext("2d"), box = canvas.getBoundingClientRect(), scale = devicePixelRatio || 1;
    const width = Math.round(box.width * scale), height = Math.round(box.height * scale);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    pen.clearRect(0, 0, width, height);
    if (!this.plays) return;
    for (const name of ["flow", "joints"]) {
      const file = name === "flow" ? this.video.media.flow : this.video.joints;
      if (file && this.part(`show-${name}`).checked) this.overlay(name, file)?.draw(pen, width, height, 1000 * (this.moment - this.edges[0]));
    }
  }

  /** The overlay if it is there; else it is asked for, and painted when it comes. */
  overlay(name, file) {
    const found = this.overlays.get(name);
    if (found !== undefined) return found;
    this.overlays.set(name, null);
    const { video } = this;
    const opened = (name === "flow" ? FlowOverlay : JointsOverlay).open(file);
    opened.then((overlay) => {
      if (this.video !== video) return;
      this.overlays.set(name, overlay);
      this.paint();
    }, (error) => { this.part("no-video").textContent = error.message; });
    return null;
  }
}
