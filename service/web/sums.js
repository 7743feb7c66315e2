// How a value came about, in numbers. Knows no page: arrays in, terms out.

import { cellOf, gridOf, indexOf } from "./geometry.js";

/**
 * The sum of a convolution.
 * Returns {parts, bias, total}: for each channel of the layer below its patch, its filter (both row by row) and the sum
 * of their products.
 */
export function convolution(layer, lower, values, { kernel, bias }, { map, row, column }) {
  const { rows, columns, maps } = gridOf(lower);
  const [height, width] = layer.window;
  const filters = layer.shape[2];
  const top = row * layer.stride[0] - layer.padding[0], left = column * layer.stride[1] - layer.padding[1];
  const parts = [];
  let total = bias[map];
  for (let channel = 0; channel < maps; channel++) {
    const part = { channel, patch: [], filter: [], sum: 0 };
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const inside = top + y >= 0 && left + x >= 0 && top + y < rows && left + x < columns;
        const value = inside ? values[((top + y) * columns + left + x) * maps + channel] : 0;
        const weight = kernel[((y * width + x) * maps + channel) * filters + map];
        part.patch.push(value);
        part.filter.push(weight);
        part.sum += value * weight;
      }
    }
    total += part.sum;
    parts.push(part);
  }
  return { parts, bias: bias[map], total };
}

/** The box of a pooling: {box: [{value, row, column, wins}], result}. */
export function pooling(layer, lower, values, { map, row, column }) {
  const { rows, columns } = gridOf(lower);
  const box = [];
  for (let y = 0; y < layer.window[0]; y++) {
    for (let x = 0; x < layer.window[1]; x++) {
      const place = { map, row: row * layer.stride[0] - layer.padding[0] + y,
        column: column * layer.stride[1] - layer.padding[1] + x };
      if (place.row < 0 || place.column < 0 || place.row >= rows || place.column >= columns) continue;
      box.push({ ...place, value: values[indexOf(lower, place)] });
    }
  }
  if (layer.pooling === "mean") return { box, result: box.reduce((sum, { value }) => sum + value, 0) / box.length };
  const result = Math.max(...box.map(({ value }) => value));
  const winner = box.findIndex(({ value }) => value === result);
  box.forEach((each, index) => (each.wins = index === winner));
  return { box, result };
}

/**
 * The sum of a dense value: its `count` strongest terms, best first, and what they cover of all that is added and taken
 * away. `weights` are those of this one value.
 */
export function dense(values, weights, bias, count) {
  const terms = Array.from(values, (value, index) => ({ index, value, weight: weights[index], product: value * weights[index] }));
  const all = terms.reduce((sum, { product }) => sum + Math.abs(product), 0);
  const total = terms.reduce((sum, { product }) => sum + product, 0) + bias;
  const strongest = terms.filter(({ product }) => product)
    .sort((a, b) => Math.abs(b.product) - Math.abs(a.product)).slice(0, count);
  const shown = strongest.reduce((sum, { product }) => sum + product, 0);
  const covered = all ? strongest.reduce((sum, { product }) => sum + Math.abs(product), 0) / all : 1;
  return { strongest, shown, rest: total - bias - shown, bias, total, covered, products: terms.map(({ product }) => product) };
}

/** Softmax with its exponentials, each divided by the largest so that none is too large to write. */
export function softmax(logits) {
  const most = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return { most, powers, sum, shares: powers.map((power) => power / sum) };
}

/** What a dense value's terms add up to at each place of the maps before Flatten. */
export function byPlace(products, pooled) {
  const { rows, columns } = gridOf(pooled);
  const places = new Float64Array(rows * columns);
  products.forEach((product, index) => {
    const { row, column } = cellOf(pooled, index);
    places[row * columns + column] += product;
  });
  return places;
}
