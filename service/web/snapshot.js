// The view as a picture file.

import { h, percent } from "./dom.js";

/** Save what is shown: the drawing as the network sees it, its answer, the chosen map and value. */
export async function save({ seen, lens, labels, probabilities, title, value }) {
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
  const best = probabilities.indexOf(Math.max(...probabilities));
  write(labels[best], 50, 530, 110, 700, "#ffb066");
  write(percent(probabilities[best]), 130, 530, 34);
  labels.forEach((label, index) => {
    const y = 128 + index * 44;
    write(label, 400, y + 8, 24);
    context.fillStyle = "#2a2a35";
    context.fillRect(430, y - 12, 200, 24);
    context.fillStyle = index === best ? "#f7a03e" : "#60acf4";
    context.fillRect(430, y - 12, 200 * probabilities[index], 24);
  });
  write(title, 700, 96, 24, 600);
  context.drawImage(lens, 700, 112, 440, 440);
  write(value, 700, 594, 24);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  const href = URL.createObjectURL(blob);
  h("a", { href, download: "convolve.png" }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10_000);
}
