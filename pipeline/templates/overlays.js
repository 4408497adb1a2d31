// What is drawn over the picture: joints, and the coarse flow of the preview.

const BONES = [
  [15, 13], [13, 11], [16, 14], [14, 12], [11, 12], [5, 11], [6, 12], [5, 6], [5, 7], [6, 8], [7, 9], [8, 10], [1, 2], [0, 1], [0, 2], [1, 3], [2, 4], [3, 5], [4, 6],
]; // of the 17 joints of COCO
const PEOPLE = ["#00e5ff", "#ff6db0", "#c6ff00", "#ffb74d", "#c3b1ff", "#ffffff"];
const OUTLINE = "rgba(0, 0, 0, 0.75)";
const JOINTS_LAST_MS = 250, FLOW_LASTS_MS = 500; // until then they are still of the frame that is shown
const ROW = 35; // person, then x and y of 17 joints

class JointsOverlay {
  static async open(file) {
    const data = await load(file, file.slice("joints/".length, -".js".length));
    const overlay = new JointsOverlay();
    overlay.times = await unpack(data.times, Int32Array);
    overlay.rows = await unpack(data.rows, Int16Array);
    overlay.first = [0];
    for (const count of await unpack(data.counts, Int16Array)) overlay.first.push(overlay.first.at(-1) + count);
    return overlay;
  }

  /** Persons of the moment nearest to a time from the first frame, in ms. */
  at(ms) {
    const before = Math.max(lastAtMost(this.times, ms), 0);
    const moment = before + 1 < this.times.length && this.times[before + 1] - ms < ms - this.times[before] ? before + 1 : before;
    if (!this.times.length || Math.abs(this.times[moment] - ms) > JOINTS_LAST_MS) return [];
    const rows = [];
    for (let row = this.first[moment]; row < this.first[moment + 1]; row += 1) rows.push(this.rows.subarray(row * ROW, (row + 1) * ROW));
    return rows;
  }

  draw(pen, width, height, ms) {
    const line = Math.max(1.5, width / 260);
    for (const row of this.at(ms)) {
      const place = (joint) => (row[1 + 2 * joint] < 0 ? null : [(row[1 + 2 * joint] / 10000) * width, (row[2 + 2 * joint] / 10000) * height]);
      const color = PEOPLE[row[0] % PEOPLE.length];
      for (const [style, extra] of [[OUTLINE, 2], [color, 0]]) {
        pen.strokeStyle = pen.fillStyle = style;
        pen.lineWidth = line + extra;
        pen.lineCap = "round";
        pen.beginPath();
        for (const [from, to] of BONES) {
          const a = place(from), b = place(to);
          if (!a || !b) continue;
          pen.moveTo(...a);
          pen.lineTo(...b);
        }
        pen.stroke();
        for (let joint = 0; joint < 17; joint += 1) {
          const at = place(joint);
          if (!at) continue;
          pen.beginPath();
          pen.arc(...at, line * 1.2 + extra / 2, 0, 2 * Math.PI);
          pen.fill();
        }
      }
    }
  }
}

class FlowOverlay {
  static async open(file) {
    const data = await load(file, file.slice("media/".length, -".js".length));
    const overlay = Object.assign(new FlowOverlay(), { columns: data.columns, rows: data.rows, scale: data.scale });
    overlay.times = await unpack(data.times, Int32Array);
    overlay.cells = await unpack(data.cells, Int8Array);
    return overlay;
  }

  /** Arrows where the picture goes within a fifth of a second; the faster, the more solid. */
  draw(pen, width, height, ms) {
    const moment = lastAtMost(this.times, ms);
    if (moment < 0 || ms - this.times[moment] > FLOW_LASTS_MS) return;
    const { columns, rows } = this;
    const cell = width / columns, perUnit = (this.scale / 127) * width * 0.2;
    const still = 0.06 * cell;
    for (let i = 0; i < rows * columns; i += 1) {
      const at = 2 * (moment * rows * columns + i);
      const dx = this.cells[at] * perUnit, dy = this.cells[at + 1] * perUnit, length = Math.hypot(dx, dy);
      if (length < still) continue;
      const shown = Math.min(1, (1.6 * cell) / length);
      const x = ((i % columns) + 0.5) * cell, y = ((Math.floor(i / columns) + 0.5) * height) / rows;
      arrow(pen, x, y, dx * shown, dy * shown, Math.min(1, 0.35 + length / cell), Math.max(1.5, width / 320));
    }
  }
}

function arrow(pen, x, y, dx, dy, alpha, line) {
  const angle = Math.atan2(dy, dx), head = Math.min(Math.hypot(dx, dy) * 0.5, line * 3.5);
  pen.globalAlpha = alpha;
  for (const [style, extra] of [[OUTLINE, 2], ["#ffd400", 0]]) {
    pen.strokeStyle = style;
    pen.lineWidth = line + extra;
    pen.lineCap = pen.lineJoin = "round";
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(x + dx, y + dy);
    for (const turn of [2.6, -2.6]) {
      pen.moveTo(x + dx, y + dy);
      pen.lineTo(x + dx + head * Math.cos(angle + turn), y + dy + head * Math.sin(angle + turn));
    }
    pen.stroke();
  }
  pen.globalAlpha = 1;
}
