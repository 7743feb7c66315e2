// All layers at a glance: a sheet of thumbnails for each, every map a button.

import { h, group } from "./dom.js";
import { gridOf } from "./geometry.js";
import { activationOf } from "./network.js";
import { outline, paint, reach } from "./palette.js";

export class Sheets extends EventTarget {
  constructor(container) {
    super();
    this.container = container;
    this.blocks = [];
  }

  build(network) {
    this.network = network;
    this.blocks = network.layers.map((layer) => this.buildLayer(layer));
    this.container.replaceChildren(...this.blocks.map(({ section }) => section));
  }

  buildLayer(layer) {
    const { rows, columns, maps } = gridOf(layer);
    const zoom = Math.ceil((maps > 1 ? 64 : 280) / columns);
    const thumbs = Array.from({ length: maps }, (_, map) => {
      const canvas = h("canvas", { width: columns * zoom, height: rows * zoom });
      const name = layer.shape.length === 3 && maps > 1 ? `${layer.name} map ${map}` : `${layer.name} values`;
      const button = h("button", { type: "button", class: "thumb", "aria-label": name, tabindex: map ? -1 : 0,
        click: () => this.choose(layer, map), keydown: (event) => this.move(event, layer, map) }, canvas);
      return { button, canvas };
    });
    const shape = layer.shape.map(group).join(" × "), words = describe(layer);
    const head = h("button", { type: "button", class: "head", "aria-expanded": "false",
      "aria-label": `Layer ${layer.name} ${shape} ${words}`, click: () => this.choose(layer, 0) },
    h("strong", {}, layer.name), " ", h("span", {}, shape), " ", h("small", {}, words));
    const sheet = h("div", { class: `sheet ${layer.kind}`, role: "group", "aria-label": `Maps of ${layer.name}` },
      thumbs.map(({ button }) => button));
    return { layer, thumbs, head, section: h("section", { class: "layer", "aria-label": layer.name }, head, sheet) };
  }

  choose(layer, map) {
    this.dispatchEvent(new CustomEvent("choose", { detail: { layer: layer.name, map } }));
  }

  /** Arrow keys go from map to map of a sheet. */
  move(event, layer, map) {
    const { thumbs } = this.blocks[this.network.position(layer.name)];
    const across = thumbs.filter(({ button }) => button.offsetTop === thumbs[0].button.offsetTop).length;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across, Home: -map, End: thumbs.length - 1 - map };
    const target = thumbs[map + steps[event.key]];
    if (!target) return;
    event.preventDefault();
    target.button.focus();
    target.button.click();
  }

  /** Paint all maps; outline what the chosen value comes from: one region for each layer up to its own. */
  show(view, regions) {
    if (!this.network.values) return;
    this.blocks.forEach(({ layer, thumbs, head, section }, position) => {
      const chosen = layer.name === view.layer;
      section.classList.toggle("chosen", chosen);
      head.setAttribute("aria-expanded", String(chosen));
      const { rows, columns, maps } = gridOf(layer);
      const values = this.network.of(layer, view.stage);
      const common = view.scale === "common" ? reach(values) : 0;
      const region = regions[position];
      thumbs.forEach(({ button, canvas }, map) => {
        const at = (index) => values[index * maps + map];
        const limit = common || most(values, map, maps);
        paint(canvas, { rows, columns, limit, at });
        if (region && (region.map === null || region.map === map)) {
          outline(canvas, rows, columns, region);
        }
        const current = chosen && map === view.map;
        button.setAttribute("aria-pressed", String(current));
        button.tabIndex = (chosen ? current : map === 0) ? 0 : -1;
      });
    });
  }
}

/** The greatest distance from 0 in one map. */
export function most(values, map, maps) {
  let found = 0;
  for (let index = map; index < values.length; index += maps) found = Math.max(found, Math.abs(values[index]));
  return found;
}

function describe(layer) {
  const words = {
    input: "the pixels, 0 to 1",
    conv: layer.window && `${layer.window.join(" × ")} filters`,
    pool: layer.window && `${layer.pooling} of ${layer.window.join(" × ")}`,
    flatten: "all values in one row",
    dense: "every value from all values",
  };
  const parameters = layer.parameters ? `${group(layer.parameters)} parameters` : null;
  return [words[layer.kind], activationOf(layer), parameters].filter(Boolean).join(" · ");
}
