// Two drawings side by side, or two versions on one drawing.

import * as api from "./api.js";
import { Bars } from "./bars.js";
import { byId, h } from "./dom.js";
import { gridOf } from "./geometry.js";
import { paint, reach } from "./palette.js";

export class Compare {
  constructor() {
    this.kept = null;
    this.bars = ["a", "b"].map((side) => new Bars(byId(`compare-${side}-bars`), `${side.toUpperCase()}: probability of`));
    this.canvases = ["a", "b", "d"].map((side) => byId(`compare-${side}`));
    this.maps = ["a", "b", "d"].map((side) => byId(`compare-${side}-map`));
  }

  /** Keep the picture at hand as A; whatever is drawn next is B. */
  keep(current) {
    this.kept = current;
    this.show(current, this.view);
  }

  /** Show A and B, their difference, and the chosen map of each. */
  show(current, view) {
    this.view = view;
    byId("compare-pair").hidden = !this.kept;
    if (!this.kept || !current?.values || !view) return;
    [this.kept, current].forEach(({ labels, probabilities }, side) => this.bars[side].show(labels, probabilities));
    const pixels = [this.kept, current].map(({ values }) => values["seen.pixels"]);
    const [rows, columns] = pixels[0].shape;
    this.trio(this.canvases, rows, columns, pixels.map(({ data }) => (index) => data[index] / 255), 1);
    const layer = current.layers.find(({ name }) => name === view.layer);
    const grid = gridOf(layer);
    const name = view.stage === "before" && layer.activation ? `${layer.name}.before` : layer.name;
    const values = [this.kept, current].map((each) => each.values[name]?.data);
    if (!values[0] || !values[1]) return;
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

  /** The versions that serve, to be asked about one drawing. */
  offerVersions(models) {
    const others = models.filter(({ state }) => state === "serving");
    byId("versions").replaceChildren(...others.map(({ name, version }) => h("option", { value: `${name}/${version}` }, `${name} ${version}`)));
    byId("versions-words").textContent = others.length > 1 ? "" : "Only one version serves at the moment. As soon as a second one does, it can be asked here about the same drawing.";
    byId("compare-versions").disabled = others.length < 2;
  }

  /** Ask another version about the picture at hand: its answer is B, the current one A. */
  async ask(picture, current) {
    const [model, version] = byId("versions").value.split("/");
    const [answer, { arrays }] = await Promise.all([api.predict(picture, { model, version }), api.inside(picture, { model, version })]);
    this.kept = current;
    this.show({ ...current, probabilities: answer.probabilities, values: arrays }, this.view);
  }
}
