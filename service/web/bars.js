// An answer as bars, one for each class.

import { h, percent } from "./dom.js";

const MANY = 50; // more are not laid out together, which would take longer than an answer

export class Bars {
  /** `name` begins the accessible name of every bar. */
  constructor(list, name = "Probability of") {
    this.list = list;
    this.name = name;
    this.rows = [];
    this.labels = [];
  }

  /** Show probabilities, beside the ones `before` if there are such. */
  show(labels, probabilities, before = null) {
    if (String(this.labels) !== String(labels)) this.build(labels);
    const best = probabilities.indexOf(Math.max(...probabilities));
    this.rows.forEach(({ row, meter, fill, ghost, share }, index) => {
      const probability = probabilities[index];
      row.classList.toggle("best", index === best && probability > 0);
      meter.setAttribute("aria-valuenow", probability.toFixed(6));
      meter.setAttribute("aria-valuetext", percent(probability));
      fill.style.transform = `scaleX(${probability})`;
      ghost.hidden = !before;
      if (before) ghost.style.left = `${before[index] * 100}%`;
      share.value = probability;
      share.textContent = percent(probability);
    });
  }

  build(labels) {
    this.labels = labels;
    this.rows = labels.map((label) => {
      const fill = h("span", { class: "fill" });
      const ghost = h("span", { class: "ghost", hidden: true });
      const meter = h("span", { class: "meter", role: "meter", "aria-label": `${this.name} ${label}`,
        "aria-valuemin": 0, "aria-valuemax": 1, "aria-valuenow": 0 }, fill, ghost);
      const share = h("data", { value: 0 });
      const row = h("li", {}, h("span", { class: "label" }, label), meter, share);
      return { row, meter, fill, ghost, share };
    });
    this.list.classList.toggle("few", labels.length <= 10 && labels.every((label) => label.length === 1));
    this.list.classList.toggle("many", labels.length > MANY);
    this.list.replaceChildren(...this.rows.map(({ row }) => row));
  }
}
