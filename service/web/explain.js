// How the chosen value came about, written out with its numbers.

import { group, h, number, percent, text } from "./dom.js";
import { cellOf, gridOf, indexOf } from "./geometry.js";
import { activationOf } from "./network.js";
import { colour, luminance, paint, reach } from "./palette.js";
import * as sums from "./sums.js";

const STRONGEST = 12;
const EVEN = 0.179; // on this luminance black and white are read equally well

let unfolded = false; // whether all maps' shares are written out; of the next value, too

/** Elements that explain the value at `view`; the weights that it needs may have to come first. */
export async function explain(network, view) {
  const position = network.position(view.layer);
  const layer = network.layers[position], lower = network.layers[position - 1];
  const index = indexOf(layer, view);
  if (layer.kind === "input") return explainInput(network, layer, index);
  if (layer.kind === "flatten") return explainFlatten(network, lower, index);
  if (layer.kind === "pool") return explainPool(network, layer, lower, view);
  const weights = await network.weights(layer, index);
  if (layer.kind === "conv") return explainConvolution(network, layer, lower, weights, view);
  return explainDense(network, position, weights, index);
}

function explainInput(network, layer, index) {
  const value = network.of(layer)[index];
  const pixel = network.values["seen.pixels"].data[index];
  return [equation("pixel ", number(pixel, 0), " of 255 is ", result("Value", value))];
}

function explainFlatten(network, lower, index) {
  const { map, row, column } = cellOf(lower, index);
  return [
    h("p", {}, `Flatten computes nothing. It lines the maps up in one row: row by row, column by column, map by map. Value ${group(index)} is ${lower.name} map ${map}, row ${row}, column ${column}.`),
    equation(result("Value", network.of(lower)[index])),
  ];
}

function explainPool(network, layer, lower, view) {
  const { box, result: value } = sums.pooling(layer, lower, network.of(lower), view);
  const words = layer.pooling === "max" ? `the greatest of ${box.length} goes on` : `the mean of ${box.length} goes on`;
  const table = matrix(box.map((each) => each.value), layer.window[1], "Box", reach(network.of(lower)),
    (index) => box[index].wins && "wins");
  return [equation(`${words}: `, result("Value", value)), h("div", { class: "terms" }, table)];
}

function explainConvolution(network, layer, lower, weights, view) {
  const values = network.of(lower);
  const { parts, bias, total } = sums.convolution(layer, lower, values, weights, view);
  const limits = [reach(values), reach(weights.kernel)];
  const ordered = [...parts].sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
  const shown = parts.length === 1 ? parts : ordered.slice(0, 3);
  const products = parts.reduce((sum, part) => sum + part.sum, 0);
  const name = parts.length > 1 ? `Sum over ${parts.length} maps` : "Sum of products";
  return [
    sumLine(layer, [[name, products], ["Bias", bias]], total, network, view),
    parts.length > 1 && h("p", { class: "hint" }, `The strongest ${shown.length} of ${parts.length} maps:`),
    ...shown.map((part) => term(part, layer, lower, limits)),
    parts.length > 1 && channels(parts, ordered, layer, lower, limits),
  ].filter(Boolean);
}

/** One map's patch × its filter = its share of the sum. */
function term(part, layer, lower, limits) {
  const width = layer.window[1];
  return h("div", { class: "terms" },
    matrix(part.patch, width, `${lower.name}${lower.shape[2] > 1 ? ` map ${part.channel}` : " patch"}`, limits[0]),
    h("span", { class: "sign" }, "×"),
    matrix(part.filter, width, "Filter", limits[1]),
    h("span", { class: "sign" }, "="),
    result("Products", part.sum));
}

/** All maps' shares: one square for each, and the numbers on request. */
function channels(parts, ordered, layer, lower, limits) {
  const canvas = h("canvas", { width: parts.length * 8, height: 16, class: "shares", role: "img",
    "aria-label": `Shares of the ${parts.length} maps, in order` });
  paint(canvas, { rows: 1, columns: parts.length, limit: reach(parts.map(({ sum }) => sum)), at: (index) => parts[index].sum });
  const rest = h("details", { open: unfolded }, h("summary", {}, `All ${parts.length} maps`));
  const unfold = () => {
    if (rest.children.length > 1) return;
    rest.append(...[...ordered].sort((a, b) => a.channel - b.channel).map((part) => term(part, layer, lower, limits)));
  };
  if (unfolded) unfold();
  rest.addEventListener("toggle", () => {
    unfolded = rest.open;
    if (unfolded) unfold();
  });
  return h("div", {}, canvas, rest);
}

function explainDense(network, position, { column, bias }, index) {
  const layer = network.layers[position], lower = network.layers[position - 1];
  const values = network.of(lower);
  const sum = sums.dense(values, column, bias, STRONGEST);
  const rows = sum.strongest.map((each) => h("tr", {},
    h("th", { scope: "row" }, origin(network, position - 1, each.index)),
    h("td", {}, number(each.value)), h("td", {}, number(each.weight)), h("td", {}, number(each.product))));
  const table = h("table", { class: "terms-table" },
    h("caption", {}, `The ${rows.length} strongest of ${group(values.length)} terms: they cover `,
      h("span", { role: "group", "aria-label": "Covered" }, h("data", { value: sum.covered }, percent(sum.covered))), " of all that is added and taken away"),
    h("thead", {}, h("tr", {}, ["from", "value", "× weight", "= product"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, rows));
  const parts = [["Strongest", sum.shown], ["All others", sum.rest], ["Bias", bias]];
  const line = sumLine(layer, parts, sum.total, network, { index });
  const places = lower.kind === "flatten" ? placesOf(sum.products, network.layers[position - 2]) : null;
  const powers = layer.activation === "softmax" ? explainSoftmax(network, layer, index) : [];
  return [...powers, line, places, table].filter(Boolean);
}

/** Where in the picture the terms come from. */
function placesOf(products, pooled) {
  const { rows, columns } = gridOf(pooled);
  const places = sums.byPlace(products, pooled);
  const canvas = h("canvas", { width: columns * 10, height: rows * 10, role: "img",
    "aria-label": "What is added and taken away at each place, over all maps" });
  paint(canvas, { rows, columns, limit: reach(places), at: (place) => places[place] });
  return h("figure", { class: "places" }, canvas, h("figcaption", {}, "Where the sum comes from: warm adds, blue takes away."));
}

/** Where a value of a dense layer's input comes from, in words. */
function origin(network, position, index) {
  const layer = network.layers[position];
  if (layer.kind !== "flatten") return `${layer.name} ${index}`;
  const { map, row, column } = cellOf(network.layers[position - 1], index);
  return `map ${map}, row ${row}, column ${column}`;
}

function explainSoftmax(network, layer, index) {
  const logits = network.of(layer, "before");
  const { most, powers, sum, shares } = sums.softmax(logits);
  const rows = network.labels.map((label, each) => h("tr", { class: each === index ? "here" : null },
    h("th", { scope: "row" }, label), h("td", {}, number(logits[each])),
    h("td", {}, number(powers[each], 6)), h("td", {}, number(shares[each], 6))));
  return [h("table", { class: "terms-table" },
    h("caption", {}, `Softmax: each exponential over the sum of all ${shares.length}. All are divided by e^${text(most, 4)}, the largest, which cancels out; they add up to `,
      number(sum, 6)),
    h("thead", {}, h("tr", {}, ["class", "sum z", "e^(z − max)", "share"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, rows))];
}

/** … + bias = before → activation = after. */
function sumLine(layer, parts, total, network, at) {
  const index = at.index ?? indexOf(layer, at);
  const before = network.of(layer, "before")[index], after = network.of(layer)[index];
  const terms = parts.flatMap(([name, value], position) => [position ? " + " : "", result(name, value)]);
  const activation = activationOf(layer);
  const ending = activation ? [` → ${activation} → `, result("Result", after)] : [];
  return equation(...terms, " = ", result(activation ? "Total" : "Value", before, total), ...ending);
}

const equation = (...children) => h("p", { class: "equation" }, children);

/** A named number. `computed`: the same sum, done here in full precision. */
function result(name, value, computed) {
  const title = computed === undefined ? null : `added up here: ${computed}`;
  return h("span", { class: "named", role: "group", "aria-label": name, title },
    h("small", { "aria-hidden": "true" }, name), number(value));
}

/** A small table of numbers, each on its colour. */
function matrix(values, width, name, limit, mark = () => null) {
  const rows = [];
  for (let start = 0; start < values.length; start += width) {
    rows.push(h("tr", {}, values.slice(start, start + width).map((value, offset) => {
      const cell = h("td", { class: mark(start + offset) || null }, number(value, 3));
      const [red, green, blue] = colour(limit ? value / limit : 0);
      cell.style.background = `rgb(${red} ${green} ${blue})`;
      cell.style.color = luminance([red, green, blue]) > EVEN ? "#000" : "#fff";
      return cell;
    })));
  }
  return h("table", { class: "matrix" }, h("caption", {}, name), h("tbody", {}, rows));
}
