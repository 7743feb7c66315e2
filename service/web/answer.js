// The answer: its bars and its best class while one draws, its words once a stroke has ended.

import { byId, percent } from "./dom.js";

const SURE = 0.6;

export class Answer {
  constructor(bars) {
    this.bars = bars;
    this.found = null; // for the drawing at hand
    this.before = null; // the probabilities when the eraser was taken
    this.classes = null; // their names, as soon as they are known
  }

  get labels() {
    return this.classes ?? this.found.probabilities.map((_, index) => String(index));
  }

  /** The classes of the version that answers: empty bars, until there is an answer. */
  offer(classes) {
    this.classes = classes;
    if (!this.found) this.bars.show(classes, classes.map(() => 0));
  }

  show(found) {
    this.found = found;
    this.bars.show(this.labels, found.probabilities, this.before);
    const known = found.recognized !== false;
    byId("best").textContent = known ? found.label : "?";
    byId("best-share").textContent = known ? percent(found.probability) : `perhaps ${found.label}`;
  }

  /** Say it: not each of a stroke's movements. */
  tell() {
    const [first, second] = this.found.top;
    const stranger = this.found.recognized === false ? "This is nothing that I know. If it has to be something: " : "";
    const doubt = first.probability < SURE ? ` Not sure: ${first.label} or ${second.label}.` : "";
    this.say(`${stranger}${first.label}, ${percent(first.probability)}.${doubt} Then ${second.label}, ${percent(second.probability)}.`);
  }

  say(words) {
    byId("prediction").textContent = words;
  }

  /** Keep its probabilities beside those to come, as long as somebody erases. */
  mark(erasing) {
    this.before = erasing && this.found ? this.found.probabilities : null;
    if (this.found) this.bars.show(this.labels, this.found.probabilities, this.before);
  }

  forget() {
    this.found = this.before = null;
    this.bars.show(this.bars.labels, this.bars.labels.map(() => 0));
    byId("best").textContent = "";
    byId("best-share").textContent = "";
    this.say("Nothing is drawn yet.");
  }
}
