// The chosen value: where it lies, where it comes from, and its sum. Says when it has shown another one.

import { AGAIN_MS, Refusal, passes } from "./api.js";
import { byId, text } from "./dom.js";
import { explain } from "./explain.js";
import { gridOf, trace } from "./geometry.js";
import { Lens, valueAt } from "./lens.js";
import { activationOf } from "./network.js";
import { showPath } from "./path.js";
import { Sheets } from "./sheets.js";
import { Steps } from "./steps.js";

const WAITING_MS = 150; // after which it is said that weights are on their way
const NARROW = matchMedia("(max-width: 40rem)"); // as in style.css: what is chosen is shown below, out of sight

export class Inspector extends EventTarget {
  /** `pad` and `seen` are lit up where the value comes from. */
  constructor(pad, seen) {
    super();
    this.pad = pad;
    this.seen = seen;
    this.network = null; // null: it may not be looked into
    this.view = { layer: "conv_1", map: 0, row: 12, column: 12, stage: "after", scale: "common" };
    this.lit = false; // whether the drawing shows where the value comes from
    this.explained = 0; // counts the sums written out, so that what comes late for another value is dropped
    this.frame = 0;
    this.sheets = new Sheets(byId("layers"));
    this.lens = new Lens(byId("lens"), { bar: byId("legend-bar"), least: byId("legend-least"), greatest: byId("legend-greatest") });
    this.steps = new Steps({ play: byId("play"), step: byId("step") });
    this.listen();
  }

  listen() {
    this.sheets.addEventListener("choose", ({ detail }) => this.choose(detail));
    this.lens.addEventListener("point", ({ detail }) => {
      if (this.steps.running) this.steps.pause();
      this.go(detail, true);
    });
    this.steps.addEventListener("point", ({ detail }) => this.go(detail, true));
    this.steps.addEventListener("pause", () => this.render());
    for (const name of ["stage", "scale"]) {
      for (const radio of document.getElementsByName(name)) {
        radio.addEventListener("change", () => this.go({ [name]: radio.value }));
      }
    }
  }

  /** Look into another version, or into none. */
  open(network) {
    this.network = network;
    if (!network) return;
    this.sheets.build(network);
    this.go({});
  }

  choose(chosen) {
    const open = this.view.layer === chosen.layer; // else it opens now, and its maps are what one wants to see
    this.go({ ...chosen, ...this.atBest(chosen.layer) }, true);
    if (open && NARROW.matches) byId("lens").scrollIntoView({ block: "center" });
  }

  /** The place of the most probable class, where a layer's values are those of the classes. */
  atBest(name) {
    const { layers, probabilities } = this.network;
    return probabilities && name === layers.at(-1).name
      ? { row: 0, column: probabilities.indexOf(Math.max(...probabilities)) } : {};
  }

  /** Change the view, within what there is; `light` up where the value comes from in the drawing. */
  go(change, light = false) {
    this.lit = light;
    this.view = { ...this.view, ...change };
    if (!this.network) return;
    const { layers } = this.network, view = this.view;
    if (this.network.position(view.layer) < 0) view.layer = layers[Math.min(1, layers.length - 1)].name;
    const layer = layers[this.network.position(view.layer)];
    const { rows, columns, maps } = gridOf(layer);
    view.row = Math.min(view.row, rows - 1);
    view.column = Math.min(view.column, columns - 1);
    view.map = Math.min(view.map, maps - 1);
    if (layer.shape.length === 1 && view.row * columns + view.column >= layer.shape[0]) view.column = 0;
    this.steps.follow(layer, view);
    this.lens.follow(layer, view);
    if (change.layer) this.steps.pause();
    this.render();
  }

  render() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.renderNow());
  }

  /** Resolved as soon as the sum is written out as well. */
  async renderNow() {
    const { network, view } = this;
    if (!network?.values) return;
    const position = network.position(view.layer);
    const layer = network.layers[position];
    const regions = trace(network.layers, position, view);
    this.sheets.show(view, regions);
    this.lens.show(network, view, this.steps.running ? view.row * gridOf(layer).columns + view.column + 1 : Infinity);
    this.seen.light(this.lit ? regions[0] : null);
    const drawn = this.pad.empty ? null : this.seen.locate(regions[0]);
    if (this.lit) this.pad.light(drawn);
    showPath(byId("path"), network, regions, this.pad, drawn);
    byId("value").setAttribute("aria-live", this.steps.running ? "off" : "polite"); // not each of its steps
    byId("value").textContent = `${nameOf(layer, view)}: ${text(valueAt(network, view))}`;
    for (const name of ["stage", "scale"]) {
      for (const radio of document.getElementsByName(name)) radio.checked = radio.value === view[name];
    }
    byId("steps").hidden = !layer.window;
    this.dispatchEvent(new Event("show"));
    return this.writeOut();
  }

  /** The sum; what comes late for another value is dropped. */
  async writeOut() {
    const number = ++this.explained;
    const say = (...words) => number === this.explained && byId("sum").replaceChildren(...words);
    const waiting = setTimeout(say, WAITING_MS, "The weights are on their way.");
    try {
      say(...await explain(this.network, this.view));
    } catch (error) {
      say(error.message);
      // Only what the service said: a mistake of ours would come again and again.
      if (error instanceof Refusal && passes(error)) setTimeout(() => number === this.explained && this.writeOut(), AGAIN_MS);
    } finally {
      clearTimeout(waiting);
    }
  }

  /** No values belong to the drawing at hand. */
  forget() {
    this.steps.pause();
    this.explained++; // a sum that is still to come is of no drawing
    byId("value").textContent = "";
    byId("sum").replaceChildren();
    if (this.network) this.network.values = null;
  }
}

/** What the value at `view` is called. */
function nameOf(layer, { map, row, column, stage }) {
  const { columns, maps } = gridOf(layer);
  const place = layer.shape.length === 3 ? `${maps > 1 ? `map ${map}, ` : ""}row ${row}, column ${column}`
    : `value ${row * columns + column}`;
  const activation = activationOf(layer);
  return `${layer.name}, ${place}${activation ? `, ${stage} ${activation}` : ""}`;
}
