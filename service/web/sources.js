// Pictures from elsewhere: chosen, taken, pasted, dropped, or one of the examples.

import * as api from "./api.js";
import { shoot } from "./camera.js";
import { byId, h } from "./dom.js";

const SHOWN = 1024; // pixels on the longer side that are kept to be drawn
const SENT = 24e6; // pixels of a picture, and bytes of its file, that are sent: the service takes little more …
const REDUCED = 4096; // … and of what has more, a copy with so many on its longer side
const NO_PICTURE = "There is no picture on the clipboard.";

/** Call `take(file)` for each picture that arrives, or is to arrive, and `refuse(error)` where none does. */
export function listen(take, refuse) {
  byId("choose").addEventListener("click", () => byId("file").click());
  byId("camera").addEventListener("click", () => shoot(byId("viewfinder"), byId("capture"), take).catch(refuse));
  for (const input of ["file", "capture"]) {
    byId(input).addEventListener("change", (event) => {
      if (event.target.files.length) take(event.target.files[0]);
      event.target.value = "";
    });
  }
  addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((each) => each.type.startsWith("image/"));
    if (file) take(file);
    else if (!event.target.closest?.("input")) refuse(new Error(NO_PICTURE));
  });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer?.files.length) take(event.dataTransfer.files[0]);
    else refuse(new Error("What was dropped here is no file: save the picture first, then drop that."));
  });
  byId("paste").addEventListener("click", () => pasteFrom(navigator.clipboard, take).catch(refuse));
}

async function pasteFrom(clipboard, take) {
  if (!clipboard?.read) throw new Error("A page may not read the clipboard here: press Ctrl+V instead.");
  const items = await clipboard.read().catch(() => {
    throw new Error("The browser does not let this page read the clipboard: press Ctrl+V instead.");
  });
  for (const item of items) {
    const type = item.types.find((each) => each.startsWith("image/"));
    if (type) return take(await item.getType(type));
  }
  throw new Error(NO_PICTURE);
}

/** Buttons for the examples. */
export async function offerExamples(list, take) {
  const paths = await api.examples();
  list.replaceChildren(...paths.map((path) => {
    const name = path.split("/").at(-1).replace(/\.\w+$/, "");
    const pick = () => take(api.file(path));
    return h("li", {}, h("button", { type: "button", "aria-label": `Example ${name}`, click: pick },
      h("img", { src: path, alt: "", loading: "lazy", width: 40, height: 40 })));
  }));
}

/** A picture file as something to draw on: upright, with the colour of its paper. */
export async function open(file, extra = {}) {
  const whole = await createImageBitmap(file);
  const { width, height } = whole;
  const scale = SHOWN / Math.max(width, height);
  if (scale >= 1) {
    const sent = file.size > SENT ? await reduce(whole) : { file };
    return { image: whole, ...sent, width, height, ...paperOf(whole), ...extra };
  }
  // All of a photograph takes 50 MB, and many may be kept to be undone.
  const [resizeWidth, resizeHeight] = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  const image = await createImageBitmap(whole, { resizeWidth, resizeHeight, resizeQuality: "high" });
  const sent = width * height > SENT || file.size > SENT ? await reduce(whole) : { file, width, height };
  whole.close();
  return { image, ...sent, ...paperOf(image), ...extra };
}

/** {file, width, height}: the same as a smaller file. */
async function reduce(whole) {
  const scale = Math.min(1, REDUCED / Math.max(whole.width, whole.height));
  const [width, height] = [whole.width, whole.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = h("canvas", { width, height });
  const context = canvas.getContext("2d");
  context.fillStyle = backing(whole); // a JPEG file has nothing transparent
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(whole, 0, 0, width, height);
  return { file: await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95)), width, height };
}

/** Prepared pixels, 0 to 255, as something to draw on; grey ones, which are light on dark, dark on light. */
export function fromPixels(pixels, rows, columns, channels) {
  const image = document.createElement("canvas");
  image.width = columns;
  image.height = rows;
  const data = image.getContext("2d").createImageData(columns, rows);
  const cells = Array.from({ length: rows * columns }, (_, index) => pixels.slice(index * channels, (index + 1) * channels));
  cells.forEach((cell, index) => {
    const [red, green, blue] = channels === 3 ? cell : Array(3).fill(255 - cell[0]);
    data.data.set([red, green, blue, 255], index * 4);
  });
  image.getContext("2d").putImageData(data, 0, 0);
  const lines = Array.from({ length: rows }, (_, row) => cells.slice(row * columns, (row + 1) * columns));
  return { image, pixels: lines, width: columns, height: rows, paper: "#ffffff" };
}

/** What stands behind a picture that is transparent in part, so that its ink stays visible. */
function backing(image) {
  const canvas = h("canvas", { width: 64, height: 64 });
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0, 64, 64);
  const { data } = context.getImageData(0, 0, 64, 64);
  let light = 0, all = 0;
  for (let at = 0; at < data.length; at += 4) {
    light += data[at + 3] * luma(data.subarray(at, at + 3));
    all += data[at + 3];
  }
  return light > 128 * all ? "#000" : "#fff";
}

const luma = ([red, green, blue]) => 0.299 * red + 0.587 * green + 0.114 * blue;

/** {paper, dark}: the middle one of the colours along the edge, and whether only light ink is seen on it. */
function paperOf(image) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 32;
  const context = canvas.getContext("2d");
  context.fillStyle = backing(image);
  context.fillRect(0, 0, 32, 32);
  context.drawImage(image, 0, 0, 32, 32);
  const { data } = context.getImageData(0, 0, 32, 32);
  const edge = [];
  for (let index = 0; index < 1024; index++) {
    const x = index % 32, y = index >> 5;
    if (x === 0 || y === 0 || x === 31 || y === 31) edge.push([...data.slice(index * 4, index * 4 + 3)]);
  }
  edge.sort((a, b) => a[0] + a[1] + a[2] - b[0] - b[1] - b[2]);
  const middle = edge[edge.length >> 1];
  return { paper: `rgb(${middle.join(" ")})`, dark: luma(middle) < 90 };
}
