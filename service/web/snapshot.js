// The view as a picture file.

import { h } from "./dom.js";

const ROWS = 10; // classes that there is room for: the best ones

/** Save what is shown: the drawing as the network sees it, its answer in the page's words, the chosen map and value. */
export async function save({ seen, lens, labels, probabilities, best, share, title, value }) {
  const canvas = h("canvas", { width: 1200, height: 630 });
  const context = canvas.getContext("2d");
  const write = (text, x, y, size, weight = 400, style = "#f2f0ec") => {
    context.font = `${weight} ${size}px system-ui, sans-serif`;
    context.fillStyle = style;
    context.fillText(text, x, y);
  };
  context.fillStyle = "#14141b";
  context.fillRect(0, 0, 1200, 630);
  context.imageSmoothingEnabled = false;
  write("Convolve", 50, 70, 30, 700);
  context.drawImage(seen, 50, 110, 300, 300);
  const ordered = [...labels.keys()].sort((one, other) => probabilities[other] - probabilities[one]);
  /** As much of a text as fits. */
  const fit = (text, width, size, weight = 400) => {
    context.font = `${weight} ${size}px system-ui, sans-serif`;
    if (context.measureText(text).width <= width) return text;
    let end = text.length;
    while (end && context.measureText(`${text.slice(0, end)}…`).width > width) end--;
    return `${text.slice(0, end)}…`;
  };
  /** The size, up to `size`, at which all of a text fits. */
  const narrow = (text, width, size, weight = 400) => {
    context.font = `${weight} ${size}px system-ui, sans-serif`;
    return Math.floor(size * Math.min(1, width / context.measureText(text).width));
  };
  const large = best.length > 2 ? 44 : 110;
  const name = fit(best, 180, large, 700);
  write(name, 50, 530, large, 700, "#ffb066");
  const left = 60 + context.measureText(name).width;
  write(share, left, 530, narrow(share, 640 - left, 34));
  const shown = ordered.slice(0, ROWS).sort((one, other) => one - other);
  shown.forEach((index, row) => {
    const y = 128 + row * 44;
    const label = fit(labels[index], 100, 24);
    write(label, 400, y + 8, 24);
    const from = shown.every((each) => labels[each].length <= 2) ? 430 : 510;
    context.fillStyle = "#2a2a35";
    context.fillRect(from, y - 12, 630 - from, 24);
    context.fillStyle = index === ordered[0] ? "#f7a03e" : "#60acf4";
    context.fillRect(from, y - 12, (630 - from) * probabilities[index], 24);
  });
  write(title, 700, 96, narrow(title, 470, 24, 600), 600);
  context.drawImage(lens, 700, 112, 440, 440);
  write(value, 700, 594, narrow(value, 470, 24));
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  const href = URL.createObjectURL(blob);
  h("a", { href, download: "convolve.png" }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10_000);
}
