// Numbers → colours. Dark is nothing, warm is positive, blue is negative: told apart by everybody, and by lightness too.

const WARM = [[15, 15, 20], [84, 30, 36], [186, 74, 30], [247, 160, 62], [255, 238, 190]];
const BLUE = [[15, 15, 20], [18, 45, 96], [30, 98, 184], [96, 172, 244], [214, 238, 255]];

/** The colour of a value between -1 and 1. */
export function colour(value) {
  const stops = value < 0 ? BLUE : WARM;
  const place = Math.min(1, Math.abs(value) || 0) * (stops.length - 1);
  const low = Math.min(stops.length - 2, Math.floor(place));
  return stops[low].map((channel, index) => channel + (stops[low + 1][index] - channel) * (place - low));
}

/** How light a colour is to the eye, from 0 to 1, as contrast is reckoned (WCAG 2). */
export function luminance(channels) {
  const [red, green, blue] = channels.map((channel) => (channel > 10 ? ((channel / 255 + 0.055) / 1.055) ** 2.4 : channel / 3295));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

const GAMMA = 0.7; // small values are to be seen beside great ones; the legend is painted by the same rule
const TABLE = Uint32Array.from({ length: 511 }, (_, index) => {
  const [red, green, blue] = colour(Math.sign(index - 255) * Math.abs((index - 255) / 255) ** GAMMA);
  return (255 << 24) | (blue << 16) | (green << 8) | red;
});
const GREYS = Uint32Array.from({ length: 256 }, (_, grey) => (255 << 24) | (grey << 16) | (grey << 8) | grey);

const scratch = document.createElement("canvas");

/** Paint values onto a canvas, each as a square; `limit` is the value that gets the strongest colour. */
export function paint(canvas, { rows, columns, at, limit, until = Infinity, grey = false }) {
  const scale = limit > 0 ? 255 / limit : 0;
  put(canvas, rows, columns, ({ data }) => {
    const pixels = new Uint32Array(data.buffer);
    for (let index = 0; index < Math.min(rows * columns, until); index++) {
      const level = Math.round(at(index) * scale);
      pixels[index] = grey ? GREYS[Math.max(0, Math.min(255, level))] : TABLE[Math.max(-255, Math.min(255, level)) + 255];
    }
  });
}

/** Paint colours onto a canvas: `at` gives red, green and blue, 0 to 255. */
export function paintColours(canvas, { rows, columns, at }) {
  put(canvas, rows, columns, ({ data }) => {
    for (let index = 0; index < rows * columns; index++) data.set([...at(index), 255], index * 4);
  });
}

/** Put pixels onto a canvas, as large as it is: `fill` gets the image data of so many rows and columns. */
function put(canvas, rows, columns, fill) {
  scratch.width = columns;
  scratch.height = rows;
  const context = scratch.getContext("2d");
  const image = context.createImageData(columns, rows);
  fill(image);
  context.putImageData(image, 0, 0);
  const target = canvas.getContext("2d");
  target.imageSmoothingEnabled = false;
  target.clearRect(0, 0, canvas.width, canvas.height);
  target.drawImage(scratch, 0, 0, canvas.width, canvas.height);
}

/** How light each pixel of {shape, data} is, 0 to 255, by its place: of colours, by the weights of ITU-R BT.601. */
export function greys({ shape: [, , channels], data }) {
  if (channels !== 3) return (index) => data[index * channels];
  return (index) => 0.299 * data[index * 3] + 0.587 * data[index * 3 + 1] + 0.114 * data[index * 3 + 2];
}

/** Outline a region that is given in values; light between dark lines, to be seen on every colour. */
export function outline(canvas, rows, columns, region, strong = false) {
  const context = canvas.getContext("2d");
  const x = canvas.width / columns, y = canvas.height / rows;
  const box = [region.columns[0] * x, region.rows[0] * y,
    (region.columns[1] - region.columns[0]) * x, (region.rows[1] - region.rows[0]) * y];
  for (const [width, style] of [[strong ? 6 : 4, "#000"], [strong ? 3 : 2, "#c6ff4f"]]) {
    context.lineWidth = width;
    context.strokeStyle = style;
    context.strokeRect(...box);
  }
}

/** The greatest distance from 0. */
export function reach(values) {
  let most = 0;
  for (const value of values) if (Math.abs(value) > most) most = Math.abs(value);
  return most;
}
