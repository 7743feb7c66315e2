// The drawing: strokes over paper or over a picture. Says when it changes, and when a stroke ends.

export const SIDE = 256; // units of the drawing, whatever its size on the screen

const PAPER = "#ffffff";
const INK = "#16161d";
const CHALK = "#f4f4f0"; // on dark paper
const NEAR = 2; // points closer than that are one

export class Pad extends EventTarget {
  constructor(canvas) {
    super();
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.sheet = document.createElement("canvas");
    this.sheet.width = this.sheet.height = SIDE;
    this.base = null; // {image, file | pixels, width, height, paper, sample}
    this.strokes = [];
    this.past = [];
    this.pen = 20;
    this.erasing = false;
    this.stroke = null;
    this.active = null; // the pointer that draws the stroke; none where keys do
    this.pointer = { x: SIDE / 2, y: SIDE / 2, shown: false };
    for (const type of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) {
      canvas.addEventListener(type, (event) => this[type](event));
    }
    canvas.addEventListener("keydown", (event) => this.keydown(event));
    canvas.addEventListener("blur", () => this.lift());
    this.draw();
  }

  get empty() {
    return !this.base && !this.strokes.some((stroke) => !stroke.erase);
  }

  // Pointers: mouse, finger, pen.

  pointerdown(event) {
    if (event.button > 0 || (this.stroke && this.active !== null)) return;
    event.preventDefault();
    this.lift(); // the keyboard's pen
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.active = event.pointerId;
    this.pointer.shown = false;
    this.begin(this.place(event));
  }

  pointermove(event) {
    if (!this.stroke || event.pointerId !== this.active) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) this.extend(this.place(each));
  }

  pointerup(event) {
    if (event.pointerId === this.active) this.lift();
  }

  pointercancel(event) {
    this.pointerup(event);
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const limit = (value) => Math.max(0, Math.min(SIDE - 1, Math.round(value))); // whole, as in a link
    return [limit(((event.clientX - box.left) / box.width) * SIDE), limit(((event.clientY - box.top) / box.height) * SIDE)];
  }

  // Keys: arrows move the pen, space puts it down and lifts it.

  keydown(event) {
    const step = event.shiftKey ? 16 : 4;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (event.altKey || event.ctrlKey || event.metaKey) return; // the browser's
    if (event.key === " " || event.key === "Enter") {
      if (event.repeat) return event.preventDefault(); // one press, one change of the pen
      this.pointer.shown = true;
      if (this.stroke) this.lift();
      else this.begin([this.pointer.x, this.pointer.y]);
    } else if (event.key in moves) {
      this.pointer.shown = true;
      const limit = (value) => Math.max(0, Math.min(SIDE - 1, value));
      this.pointer.x = limit(this.pointer.x + moves[event.key][0]);
      this.pointer.y = limit(this.pointer.y + moves[event.key][1]);
      if (this.stroke) this.extend([this.pointer.x, this.pointer.y]);
      else this.draw();
    } else return;
    event.preventDefault();
  }

  // Strokes

  begin(point) {
    const sample = this.base?.sample && !this.erasing;
    this.region = null;
    this.remember();
    if (sample) this.base = null;
    this.stroke = { width: this.pen, erase: this.erasing, points: [point] };
    this.strokes = [...this.strokes, this.stroke];
    this.changed();
  }

  extend([x, y]) {
    const [lastX, lastY] = this.stroke.points.at(-1);
    if (Math.hypot(x - lastX, y - lastY) < NEAR) return;
    this.stroke.points.push([x, y]);
    this.changed();
  }

  lift() {
    if (!this.stroke) return;
    [this.pointer.x, this.pointer.y] = this.stroke.points.at(-1); // where keys go on
    this.stroke = this.active = null;
    this.draw();
    this.dispatchEvent(new Event("settle"));
  }

  remember() {
    this.past = [...this.past.slice(-99), { base: this.base, strokes: this.strokes }];
  }

  undo() {
    const before = this.past.pop();
    if (before) this.show(before.base, before.strokes);
  }

  clear() {
    if (this.base || this.strokes.length) this.remember();
    this.show(null, []);
  }

  /** Put a picture, or nothing, under new strokes. */
  set(base, strokes = []) {
    this.remember();
    this.show(base, strokes);
  }

  show(base, strokes) {
    this.stroke = this.active = this.region = null;
    this.base = base;
    this.strokes = strokes;
    this.changed();
    this.dispatchEvent(new Event("settle"));
  }

  changed() {
    this.draw();
    this.dispatchEvent(new Event("change"));
  }

  // Painting

  draw() {
    this.drawOn(this.context, this.canvas.width, this.region);
    if (this.pointer.shown) this.drawPointer();
  }

  /** The drawing, `size` pixels wide, with a part of it lit up. */
  drawOn(context, size, region) {
    context.setTransform(size / SIDE, 0, 0, size / SIDE, 0, 0);
    this.compose(context);
    if (region) this.drawRegion(context, region, SIDE / size);
  }

  compose(context) {
    context.fillStyle = this.base?.paper ?? PAPER;
    context.fillRect(0, 0, SIDE, SIDE);
    if (this.base) {
      const { x, y, width, height } = this.fitted();
      context.imageSmoothingEnabled = !this.base.pixels;
      context.drawImage(this.base.image, x, y, width, height);
    }
    for (const stroke of this.strokes) drawStroke(context, stroke, stroke.erase ? this.base?.paper ?? PAPER : this.base?.dark ? CHALK : INK);
  }

  /** Where the picture under the strokes lies. */
  fitted() {
    const scale = SIDE / Math.max(this.base.width, this.base.height);
    const width = this.base.width * scale, height = this.base.height * scale;
    return { x: (SIDE - width) / 2, y: (SIDE - height) / 2, width, height, scale };
  }

  /** Light up a part of the drawing: [left, top, right, bottom], in pixels of the picture that is sent. */
  light(box) {
    this.region = box;
    this.draw();
  }

  drawRegion(context, region, unit) {
    const whole = this.base && !this.strokes.length ? this.fitted() : { x: 0, y: 0, scale: 1 };
    const [left, top, right, bottom] = region.map((value) => value * whole.scale);
    for (const [width, style] of [[4 * unit, "#000"], [2 * unit, "#8fce00"]]) {
      context.lineWidth = width;
      context.strokeStyle = style;
      context.strokeRect(whole.x + left, whole.y + top, right - left, bottom - top);
    }
  }

  drawPointer() {
    const { x, y } = this.pointer;
    this.context.beginPath();
    this.context.arc(x, y, this.pen / 2, 0, 2 * Math.PI);
    this.context.lineWidth = 2;
    this.context.strokeStyle = this.stroke ? "#d95f02" : "#1f78d1";
    this.context.stroke();
  }

  /** What is sent: a chosen file as it is, pixels as they are, everything else as a PNG of the pad. */
  async picture() {
    if (this.base && !this.strokes.length) return this.base.file ?? this.base.pixels;
    this.compose(this.sheet.getContext("2d"));
    return new Promise((resolve) => this.sheet.toBlob(resolve, "image/png"));
  }
}

function drawStroke(context, { width, points }, style) {
  context.lineWidth = width;
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = style;
  context.beginPath();
  context.moveTo(...points[0]);
  for (let index = 1; index < points.length - 1; index++) {
    const [x, y] = points[index], [nextX, nextY] = points[index + 1];
    context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
  }
  context.lineTo(...points.at(-1));
  if (points.length === 1) context.arc(...points[0], 0.01, 0, 2 * Math.PI); // a line without length paints nothing
  context.stroke();
}
