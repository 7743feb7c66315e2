// The road of a value: the drawing and every layer below it, each with the part that the value comes from.

import { h } from "./dom.js";
import { gridOf } from "./geometry.js";
import { outline, paint } from "./palette.js";

const SIDE = 88;

/** Elements for the drawing and the layers up to the one below the value's own. */
export function showPath(place, network, regions, pad, drawn) {
  const steps = regions.slice(0, -1).map((region, position) => {
    const layer = network.layers[position];
    return layer.shape.length === 3 ? figure(layerCanvas(network, layer, region), layer.name) : null;
  }).filter(Boolean);
  place.replaceChildren(figure(drawingCanvas(pad, drawn), "drawing"), ...steps);
}

const figure = (canvas, name) => h("figure", {}, canvas, h("figcaption", {}, name));

function drawingCanvas(pad, drawn) {
  const canvas = h("canvas", { width: SIDE, height: SIDE, role: "img", "aria-label": "Where it lies in the drawing" });
  pad.drawOn(canvas.getContext("2d"), SIDE, drawn);
  return canvas;
}

/** One map, or the sum of all where the value comes from all. */
function layerCanvas(network, layer, region) {
  const { rows, columns, maps } = gridOf(layer);
  const values = network.of(layer);
  const sums = new Float64Array(rows * columns);
  for (let place = 0; place < sums.length; place++) {
    for (let map = region.map ?? 0; map < (region.map === null ? maps : region.map + 1); map++) sums[place] += values[place * maps + map];
  }
  const zoom = Math.round(SIDE / rows);
  const canvas = h("canvas", { width: columns * zoom, height: rows * zoom, role: "img",
    "aria-label": `${layer.name}: rows ${region.rows[0]} to ${region.rows[1] - 1}, columns ${region.columns[0]} to ${region.columns[1] - 1}` });
  paint(canvas, { rows, columns, limit: Math.max(...sums), at: (place) => sums[place] });
  outline(canvas, rows, columns, region);
  return canvas;
}
