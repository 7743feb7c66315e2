// Pictures from elsewhere: chosen, taken, pasted, dropped, or one of the examples.

import * as api from "./api.js";
import { shoot } from "./camera.js";
import { byId, h } from "./dom.js";

/** Call `take(file)` for each picture that arrives, and `refuse(error)` where none does. */
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
  });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer?.files.length) take(event.dataTransfer.files[0]);
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
  throw new Error("There is no picture on the clipboard.");
}

/** Buttons for the examples. */
export async function offerExamples(list, take) {
  const paths = await api.examples();
  list.replaceChildren(...paths.map((path) => {
    const name = path.split("/").at(-1).replace(/\.\w+$/, "");
    const pick = async () => take(await api.file(path));
    return h("li", {}, h("button", { type: "button", "aria-label": `Example ${name}`, click: pick },
      h("img", { src: path, alt: "", loading: "lazy", width: 40, height: 40 })));
  }));
  return paths;
}

/** A picture file as something to draw on: upright, with the colour of its paper. */
export async function open(file, extra = {}) {
  const image = await createImageBitmap(file);
  return { image, file, width: image.width, height: image.height, paper: paperOf(image), ...extra };
}

/** Prepared pixels, 0 to 255, light on dark, as something to draw on: dark on light. */
export function fromPixels(pixels, rows, columns) {
  const image = document.createElement("canvas");
  image.width = columns;
  image.height = rows;
  const data = image.getContext("2d").createImageData(columns, rows);
  pixels.forEach((value, index) => data.data.set([255 - value, 255 - value, 255 - value, 255], index * 4));
  image.getContext("2d").putImageData(data, 0, 0);
  const lines = Array.from({ length: rows }, (_, row) => [...pixels.slice(row * columns, (row + 1) * columns)]);
  return { image, pixels: lines, width: columns, height: rows, paper: "#ffffff" };
}

/** The middle one of the colours along the edge. */
function paperOf(image) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 32;
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, 32, 32);
  context.drawImage(image, 0, 0, 32, 32);
  const { data } = context.getImageData(0, 0, 32, 32);
  const edge = [];
  for (let index = 0; index < 1024; index++) {
    const x = index % 32, y = index >> 5;
    if (x === 0 || y === 0 || x === 31 || y === 31) edge.push([...data.slice(index * 4, index * 4 + 3)]);
  }
  edge.sort((a, b) => a[0] + a[1] + a[2] - b[0] - b[1] - b[2]);
  return `rgb(${edge[edge.length >> 1].join(" ")})`;
}
