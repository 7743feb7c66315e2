// The lab's operations on small tables: rows of numbers in, rows of numbers out.

/** Slide a filter over an image; outside of it there is 0. */
export function convolve(image, filter, { stride = 1, padding = 0 } = {}) {
  const [rows, columns] = [size(image.length, filter.length, padding, stride), size(image[0].length, filter[0].length, padding, stride)];
  return table(Math.max(0, Math.floor(rows)), Math.max(0, Math.floor(columns)), (row, column) => {
    let sum = 0;
    filter.forEach((line, y) => line.forEach((weight, x) => {
      sum += weight * (image[row * stride - padding + y]?.[column * stride - padding + x] ?? 0);
    }));
    return sum;
  });
}

/** (n + 2p − f) / s + 1; not always a whole number. */
export const size = (n, f, p, s) => (n + 2 * p - f) / s + 1;

/** Boxes of 2 × 2 with stride 2; those that hang over the edge count with what they hold. */
export function pool(map, how) {
  return table(Math.ceil(map.length / 2), Math.ceil(map[0].length / 2), (row, column) => {
    const box = [0, 1].flatMap((y) => [0, 1].map((x) => map[2 * row + y]?.[2 * column + x])).filter((value) => value !== undefined);
    const sum = box.reduce((a, b) => a + b, 0);
    return { max: Math.max(...box), mean: sum / box.length, sum }[how];
  });
}

export function softmax(values) {
  const most = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/** What is wrong with predictions, by three measures. Each row: [label, prediction], both shares of the classes. */
export function errors(rows) {
  const mean = (measure) => rows.reduce((sum, row) => sum + measure(...row), 0) / rows.length;
  const best = (shares) => shares.indexOf(Math.max(...shares));
  return {
    classification: mean((label, found) => Number(best(label) !== best(found))),
    squared: mean((label, found) => label.reduce((sum, share, index) => sum + (share - found[index]) ** 2, 0)),
    entropy: mean((label, found) => -label.reduce((sum, share, index) => sum + (share && share * Math.log(found[index])), 0)),
  };
}

export const table = (rows, columns, at) =>
  Array.from({ length: rows }, (_, row) => Array.from({ length: columns }, (_, column) => at(row, column)));
