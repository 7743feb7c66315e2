// One map enlarged, with a cursor that goes to any of its values: by pointer, finger or arrow keys.

import { ARROWS, text } from "./dom.js";
import { gridOf, indexOf } from "./geometry.js";
import { outline, paint, reach } from "./palette.js";
import { most } from "./sheets.js";

const SIDE = 480;

export class Lens extends EventTarget {
  constructor(canvas, legend) {
    super();
    this.canvas = canvas;
    this.legend = legend;
    this.held = false;
    canvas.addEventListener("pointerdown", (event) => {
      this.held = !this.held || !this.same(event);
      this.point(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "mouse" || !this.held) this.point(event);
    });
    canvas.addEventListener("keydown", (event) => this.keydown(event));
  }

  /** The view from which the next key goes on: known before it is painted, as keys come faster than frames. */
  follow(layer, view) {
    this.layer = layer;
    this.view = view;
  }

  /** Paint the view; `until`: only so many values are there yet. */
  show(network, view, until) {
    const values = network.of(this.layer, view.stage);
    if (!values) return;
    const { rows, columns, maps } = gridOf(this.layer);
    const cell = Math.max(1, Math.floor(SIDE / Math.max(rows, columns)));
    this.canvas.width = columns * cell;
    this.canvas.height = rows * cell;
    this.canvas.parentElement.classList.toggle("flat", rows < columns);
    this.canvas.setAttribute("aria-label", `Values of ${this.layer.name}${maps > 1 ? ` map ${view.map}` : ""}`);
    const limit = view.scale === "common" ? reach(values) : most(values, view.map, maps);
    const step = this.layer.shape.length === 3 ? maps : 1;
    paint(this.canvas, { rows, columns, limit, until, at: (index) => values[index * step + (step > 1 ? view.map : 0)] ?? 0 });
    const at = { rows: [view.row, view.row + 1], columns: [view.column, view.column + 1] };
    outline(this.canvas, rows, columns, at, true);
    this.legend.least.textContent = view.stage === "before" && this.layer.activation ? text(-limit, 2) : "0";
    const low = view.stage === "before" && this.layer.activation ? -1 : 0;
    const width = this.legend.bar.width;
    paint(this.legend.bar, { rows: 1, columns: width, limit: 1, at: (index) => low + ((1 - low) * index) / width });
    this.legend.greatest.textContent = text(limit, 2);
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const { rows, columns } = gridOf(this.layer);
    const fit = (share, size) => Math.max(0, Math.min(size - 1, Math.floor(share * size)));
    return { row: fit((event.clientY - box.top) / box.height, rows), column: fit((event.clientX - box.left) / box.width, columns) };
  }

  same(event) {
    const { row, column } = this.place(event);
    return row === this.view.row && column === this.view.column;
  }

  point(event) {
    if (this.layer && !(this.same(event) && event.type === "pointermove")) this.go(this.place(event));
  }

  keydown(event) {
    if (!this.layer || !(event.key in ARROWS) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const times = event.shiftKey ? 5 : 1;
    const { rows, columns } = gridOf(this.layer);
    const move = (from, by, size) => Math.max(0, Math.min(size - 1, from + by * times));
    const [down, right] = ARROWS[event.key];
    this.go({ row: move(this.view.row, down, rows), column: move(this.view.column, right, columns) });
  }

  go(cell) {
    const { columns } = gridOf(this.layer);
    const beyond = this.layer.shape.length === 1 && cell.row * columns + cell.column >= this.layer.shape[0];
    if (!beyond) this.dispatchEvent(new CustomEvent("point", { detail: cell }));
  }
}

/** The value under the cursor. */
export const valueAt = (network, view) => {
  const layer = network.layers[network.position(view.layer)];
  return network.of(layer, view.stage)?.[indexOf(layer, view)];
};
