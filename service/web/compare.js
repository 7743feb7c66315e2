// Two drawings side by side, or two versions on one drawing.

import * as api from "./api.js";
import { Bars } from "./bars.js";
import { byId, h } from "./dom.js";
import { gridOf } from "./geometry.js";
import { greys, paint, reach } from "./palette.js";

export class Compare {
  constructor() {
    this.kept = null; // A
    this.other = null; // B, where that is another version's answer to `asked`; else B is the drawing at hand
    this.asked = null;
    this.number = 0; // counts what is compared, so that what comes late for something older is dropped
    this.words = byId("compare-words");
    this.bars = ["a", "b"].map((side) => new Bars(byId(`compare-${side}-bars`), `${side.toUpperCase()}: probability of`));
    this.canvases = ["a", "b", "d"].map((side) => byId(`compare-${side}`));
    this.maps = ["a", "b", "d"].map((side) => byId(`compare-${side}-map`));
  }

  /** An answer that is on its way is to a drawing, or beside a version, that is not at hand any more. */
  drop() {
    this.number++;
  }

  /** No B is at hand. */
  wait() {
    if (this.kept && !this.other) this.words.textContent = "Kept as A. Now draw something else: it is B.";
  }

  /** Keep the picture at hand as A; whatever is drawn next is B. */
  keep(current, view) {
    this.drop();
    this.kept = current;
    this.other = null;
    this.words.textContent = "Kept as A. Now draw something else: it is B.";
    this.show(current, view);
  }

  /** Show A and B, their difference, and the chosen map of each. */
  show(current, view) {
    byId("compare-pair").hidden = !this.kept;
    if (!this.kept || !current?.values) return;
    if (this.other && this.asked !== current.values) this.other = null;
    if (!this.other && current.values !== this.kept.values) {
      this.words.textContent = "A is the drawing from before, B the one at hand.";
    }
    const pair = [this.kept, this.other ?? current];
    pair.forEach(({ labels, probabilities }, side) => this.bars[side].show(labels, probabilities));
    const pixels = pair.map(({ values }) => values["seen.pixels"]);
    const [rows, columns] = pixels[0].shape;
    const grey = pixels.map(greys);
    this.trio(this.canvases, rows, columns, grey.map((at) => (index) => at(index) / 255), 1);
    const layer = current.layers.find(({ name }) => name === view.layer);
    const grid = gridOf(layer);
    const name = view.stage === "before" && layer.activation ? `${layer.name}.before` : layer.name;
    const values = pair.map((each) => each.values[name]?.data);
    const both = values[0] && values[0].length === values[1]?.length;
    for (const canvas of this.maps) canvas.hidden = !both; // what stands there is of something older
    byId("compare-map-name").parentElement.hidden = !both;
    if (!both) return;
    const map = layer.shape.length === 3 ? view.map : 0;
    this.trio(this.maps, grid.rows, grid.columns, values.map((data) => (index) => data[index * grid.maps + map] ?? 0),
      Math.max(reach(values[0]), reach(values[1])));
    byId("compare-map-name").textContent = `${layer.name}${grid.maps > 1 ? ` map ${map}` : ""}`;
  }

  /** A, B, and B − A on one scale. */
  trio(canvases, rows, columns, [a, b], limit) {
    [a, b, (index) => b(index) - a(index)].forEach((at, side) => {
      canvases[side].height = Math.max(16, Math.round((canvases[side].width * rows) / columns));
      paint(canvases[side], { rows, columns, at, limit });
    });
  }

  /** The versions that serve beside the one that answers, to be asked about one drawing. */
  offerVersions(models, answering) {
    this.drop();
    this.answering = answering;
    this.kept = this.other = null; // another version may have answered those
    byId("compare-pair").hidden = true;
    this.words.textContent = "";
    this.list(models);
  }

  /** Those that can be asked, which come and go. */
  list(models) {
    const id = (model) => `${model.name} ${model.version}`, shape = (model) => String(model.input.shape);
    const others = models.filter((model) => model.state === "serving" && id(model) !== id(this.answering) && shape(model) === shape(this.answering));
    if (String(this.others?.map(id)) === String(others.map(id))) return; // a list that is open stays
    this.others = others;
    byId("versions").replaceChildren(...this.others.map(({ name, version }, index) => h("option", { value: index }, `${name} ${version}`)));
    byId("versions-words").textContent = this.others.length ? "" : "Only one version with such an input serves at the moment. As soon as a second one does, it can be asked here about the same drawing.";
    byId("versions-choice").hidden = !this.others.length;
  }

  /** Ask another version about the picture at hand: its answer is B, the current one A. A late answer is dropped. */
  async ask(picture, current, view) {
    const number = ++this.number;
    const { name, version, labels } = this.others[byId("versions").value];
    const query = { model: name, version };
    try {
      const { arrays, facts } = await api.inside(picture, query); // in the same arithmetic as A
      if (number !== this.number) return;
      this.kept = current;
      this.asked = current.values;
      this.other = { ...current, labels, probabilities: facts.probabilities, values: arrays };
      this.words.textContent = `A is ${this.answering.name} ${this.answering.version}, B is ${name} ${version}.`;
      this.show(current, view);
    } catch (error) {
      if (number === this.number) this.words.textContent = error.message; // the answer to the drawing is as it was
    }
  }
}
