// What the network sees, and what was done to the picture for it.

import { outline, paint, paintColours } from "./palette.js";

export class Seen {
  constructor(canvas, words) {
    this.canvas = canvas;
    this.words = words;
    this.centred = true; // whether pictures are prepared as MNIST's were
  }

  /** `pixels`: {shape, data}; `facts`: what was done. */
  show(pixels, facts) {
    this.pixels = pixels;
    this.facts = facts;
    this.light(null);
    this.words.textContent = pixels ? this.describe(facts) : "";
  }

  /** The same, from what came with an answer: `picture` is a PNG file in base64. */
  async showFile({ picture, ...facts }, late) {
    const bytes = Uint8Array.from(atob(picture), (sign) => sign.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    if (late()) return;
    this.pixels = null; // those from before are of another drawing
    const context = this.canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(image, 0, 0, this.canvas.width, this.canvas.height);
    this.words.textContent = this.describe(facts);
  }

  /** Light up a region of what the network sees. */
  light(region) {
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.pixels) return;
    const { shape: [rows, columns, channels], data } = this.pixels;
    if (channels === 3) paintColours(this.canvas, { rows, columns, at: (index) => data.subarray(index * 3, index * 3 + 3) });
    else paint(this.canvas, { rows, columns, at: (index) => data[index * channels], limit: 255, grey: true });
    if (region) outline(this.canvas, rows, columns, region);
  }

  /** Where a region of the input lies in the picture that was sent: [left, top, right, bottom]. */
  locate(region) {
    const { box, scale, shift } = this.facts;
    const back = (value, axis) => (value - shift[axis]) / scale + (box ? box[axis] : 0);
    return [back(region.columns[0], 0), back(region.rows[0], 1), back(region.columns[1], 0), back(region.rows[1], 1)];
  }

  describe({ prepared, turned, inverted, box, scale, warning }) {
    const careful = warning ? ` Careful: ${warning}.` : "";
    if (!prepared) return `Taken as it is${warning ? "" : ": it already looks like the pictures that the network was trained on"}.${careful}`;
    if (!box) return "There is nothing to see, so the network gets black.";
    const [left, top, right, bottom] = box.map(Math.round);
    return [
      turned !== 1 && "Turned upright.",
      inverted && "Dark ink became light on black.",
      `Cropped to ${right - left} × ${bottom - top} pixels, scaled by ${scale.toPrecision(2)},`,
      `and moved ${this.centred ? "so that the centre of its mass lies in the middle" : "into the middle"}.${careful}`,
    ].filter(Boolean).join(" ");
  }
}
