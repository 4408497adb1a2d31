// The reader's hand on the timeline: pointing says what is there, pressing and dragging moves the video.
// The line that follows the video is an element of its own: redrawing a chart for every frame is too slow.

class Scrub {
  /**
   * @param frame element around the chart, with children .playhead and .lane-mark
   * @param on {seek(time), point({time, lane}) or point(null), zoom(about, factor)}
   */
  constructor(frame, timeline, on) {
    Object.assign(this, { frame, timeline, on, time: 0, lane: null, held: false });
    this.head = frame.querySelector(".playhead");
    this.mark = frame.querySelector(".lane-mark");
    frame.addEventListener("pointerdown", (event) => this.press(event));
    frame.addEventListener("pointermove", (event) => this.move(event));
    frame.addEventListener("pointerup", () => { this.held = false; });
    frame.addEventListener("pointercancel", () => { this.held = false; });
    frame.addEventListener("pointerleave", () => this.point(null));
    frame.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  where(event) {
    const box = this.frame.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    return { x, time: this.timeline.timeAt(x), lane: this.timeline.laneAt(y) };
  }

  press(event) {
    if (event.button !== 0 || !this.timeline.shown.length) return;
    const { x, time } = this.where(event);
    if (x < this.timeline.left - 8) return;
    this.held = true;
    this.frame.setPointerCapture(event.pointerId);
    this.on.seek(time);
  }

  move(event) {
    if (!this.timeline.shown.length) return;
    const { time, lane } = this.where(event);
    this.point({ time, lane });
    if (this.held) this.on.seek(time);
  }

  wheel(event) {
    if (!event.ctrlKey || !this.timeline.shown.length) return;
    event.preventDefault();
    this.on.zoom(this.where(event).time, event.deltaY > 0 ? 1.3 : 1 / 1.3);
  }

  /** Mark a lane and say what is there, or neither. */
  point(at) {
    this.lane = at && at.lane;
    this.place();
    this.on.point(at);
  }

  /** The video is at this time. */
  at(time) {
    this.time = time;
    this.place();
  }

  place() {
    const { timeline, head, mark } = this;
    const px = timeline.shown.length ? timeline.leftOf(this.time) : -1;
    const outside = px < timeline.left - 1 || px > timeline.left + timeline.width + 1;
    head.hidden = outside;
    if (!outside) head.style.transform = `translateX(${px}px)`;
    mark.hidden = this.lane === null || this.lane >= timeline.shown.length;
    if (mark.hidden) return;
    mark.style.transform = `translateY(${24 + this.lane * timeline.place.pitch}px)`;
    mark.style.height = `${timeline.place.pitch}px`;
  }
}
