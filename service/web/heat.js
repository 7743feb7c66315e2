// Why this answer: what the network says with one part of the picture after the other covered.

import * as api from "./api.js";
import { ARROWS, byId, h, percent } from "./dom.js";
import { greys, outline, paint, reach } from "./palette.js";

const LEAST = 1e-30;

export class Heat {
  constructor(bars) {
    this.canvas = byId("heat");
    this.select = byId("heat-class");
    this.words = byId("heat-words");
    this.bars = bars;
    this.asked = 0;
    this.select.addEventListener("change", () => {
      this.chosen = true;
      this.draw();
    });
    for (const type of ["pointermove", "pointerdown"]) this.canvas.addEventListener(type, (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", ({ pointerType }) => {
      if (pointerType === "mouse") this.draw(); // a finger leaves at once, and its answer is to be read
    });
    this.canvas.addEventListener("keydown", (event) => this.keydown(event));
  }

  offer(labels) {
    this.clear(); // it may be another version's
    this.labels = labels;
    this.select.replaceChildren(...labels.map((label, index) => h("option", { value: index }, label)));
  }

  /** Ask for the picture at hand; `pixels` is what the network sees. A late answer is dropped. */
  async ask(picture, pixels) {
    const number = ++this.asked;
    const answer = await api.occlusion(picture).catch((error) => {
      if (number === this.asked) this.refuse(error);
    });
    if (!answer || number !== this.asked) return;
    this.answer = answer;
    this.pixels = pixels;
    if (!this.chosen) this.select.value = answer.probabilities.indexOf(Math.max(...answer.probabilities));
    this.draw();
  }

  /** There is none for the picture at hand. */
  refuse(error) {
    this.clear();
    this.words.textContent = error.message;
  }

  clear() {
    this.asked++;
    this.answer = null;
    this.chosen = false;
    this.canvas.getContext("2d").clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.words.textContent = "";
    this.bars.list.replaceChildren();
    this.bars.labels = [];
  }

  /** How much covering each place lowers the chosen class, in log-odds: positive is evidence for it. */
  evidence() {
    const wanted = Number(this.select.value);
    const whole = odds(this.answer.probabilities, wanted);
    return this.answer.covered.map((row) => row.map((probabilities) => whole - odds(probabilities, wanted)));
  }

  draw() {
    if (!this.answer) return;
    const evidence = this.evidence();
    const flat = evidence.flat();
    paint(this.canvas, { rows: evidence.length, columns: evidence[0].length, limit: reach(flat),
      at: (index) => flat[index] });
    this.drawInk();
    this.uncover();
  }

  /** The drawing over its evidence, as a thin veil. */
  drawInk() {
    const { shape: [rows, columns] } = this.pixels;
    const grey = greys(this.pixels);
    const context = this.canvas.getContext("2d");
    const x = this.canvas.width / columns, y = this.canvas.height / rows;
    for (let index = 0; index < rows * columns; index++) {
      const light = grey(index);
      if (light < 40) continue;
      context.fillStyle = `rgb(255 255 255 / ${(light / 255) * 0.45})`;
      context.fillRect((index % columns) * x, Math.floor(index / columns) * y, x, y);
    }
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect();
    const share = (value) => Math.max(0, Math.min(0.999, value));
    if (this.answer) this.cover(share((event.clientY - box.top) / box.height), share((event.clientX - box.left) / box.width));
  }

  keydown(event) {
    if (!this.answer || !(event.key in ARROWS) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const size = this.answer.covered.length;
    const [row, column] = this.place ?? [Math.floor(size / 2), Math.floor(size / 2)];
    const move = (from, by) => (Math.max(0, Math.min(size - 1, from + by)) + 0.5) / size;
    this.cover(move(row, ARROWS[event.key][0]), move(column, ARROWS[event.key][1]));
  }

  /** What the network says with this place covered. */
  cover(down, right) {
    const { covered, probabilities, patch, stride } = this.answer;
    this.place = [Math.floor(down * covered.length), Math.floor(right * covered[0].length)];
    const [row, column] = this.place;
    const { place } = this;
    this.draw();
    this.place = place;
    const [rows, columns] = this.pixels.shape;
    const span = (at, size) => [Math.max(0, at * stride - (patch >> 1)), Math.min(size, at * stride - (patch >> 1) + patch)];
    outline(this.canvas, rows, columns, { rows: span(row, rows), columns: span(column, columns) }, true);
    this.bars.show(this.labels, covered[row][column], probabilities);
    const wanted = Number(this.select.value);
    const [from, to] = [probabilities, covered[row][column]].map((each) => percent(each[wanted]));
    this.words.textContent = `With this place covered: ${this.labels[wanted]} ${from === to ? `stays at ${from}` : `goes from ${from} to ${to}`}.`;
  }

  uncover() {
    this.place = null;
    if (!this.answer) return;
    const { covered, probabilities } = this.answer;
    const wanted = Number(this.select.value);
    this.bars.show(this.labels, probabilities);
    const lowest = covered.flat().reduce((least, each) => Math.min(least, each[wanted]), 1);
    this.words.textContent = `Nothing covered: ${this.labels[wanted]} has ${percent(probabilities[wanted])}. Covering its most important place leaves ${percent(lowest)}.`;
  }
}

/** The logarithm of a class's odds, from the others' probabilities: those keep their digits when its own is nearly 1. */
function odds(probabilities, wanted) {
  const others = probabilities.reduce((sum, probability, index) => (index === wanted ? sum : sum + probability), 0);
  return Math.log(Math.max(probabilities[wanted], LEAST)) - Math.log(Math.max(others, LEAST));
}
