// A layer computed position by position: play, pause, one step.

import { gridOf } from "./geometry.js";

const PACE_MS = 90;

export class Steps extends EventTarget {
  constructor({ play, step }) {
    super();
    this.play = play;
    this.timer = null;
    play.addEventListener("click", () => (this.timer ? this.pause() : this.start()));
    step.addEventListener("click", () => {
      this.pause();
      this.advance();
    });
  }

  /** The view that is stepped through. */
  follow(layer, view) {
    this.layer = layer;
    this.view = view;
  }

  get running() {
    return this.timer !== null;
  }

  start() {
    const { rows, columns } = gridOf(this.layer);
    if (this.view.row === rows - 1 && this.view.column === columns - 1) this.go({ row: 0, column: 0 });
    this.timer = setInterval(() => this.advance(), PACE_MS);
    this.label();
    this.go({ row: this.view.row, column: this.view.column });
  }

  pause() {
    if (!this.timer) return;
    clearInterval(this.timer);
    this.timer = null;
    this.label();
    this.dispatchEvent(new Event("pause"));
  }

  label() {
    this.play.textContent = this.timer ? "Pause" : "Play";
  }

  advance() {
    const { rows, columns } = gridOf(this.layer);
    const next = this.view.row * columns + this.view.column + 1;
    if (next >= rows * columns) this.pause();
    else this.go({ row: Math.floor(next / columns), column: next % columns });
  }

  go(cell) {
    this.dispatchEvent(new CustomEvent("point", { detail: cell }));
  }
}
