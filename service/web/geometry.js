// Where the values of a layer lie, and which values of the layers below they come from. Counted from 0, as in the API.

/** How a layer's values are laid out to be looked at: maps of rows and columns; a row of values is folded. */
export function gridOf({ shape }) {
  if (shape.length === 3) return { rows: shape[0], columns: shape[1], maps: shape[2] };
  const columns = shape[0] <= 16 ? shape[0] : shape[0] === 128 ? 16 : Math.ceil(Math.sqrt(shape[0]));
  return { rows: Math.ceil(shape[0] / columns), columns, maps: 1 };
}

/** The place of a value among all values of its layer. */
export function indexOf(layer, { map, row, column }) {
  const { columns, maps } = gridOf(layer);
  return layer.shape.length === 3 ? (row * columns + column) * maps + map : row * columns + column;
}

/** The opposite of `indexOf`. */
export function cellOf(layer, index) {
  const { columns, maps } = gridOf(layer);
  if (layer.shape.length === 1) return { map: 0, row: Math.floor(index / columns), column: index % columns };
  return { map: index % maps, row: Math.floor(index / maps / columns), column: Math.floor(index / maps) % columns };
}

/** A region: rows and columns from … to (not included), of one map, or of all where `map` is null. */
const region = (map, rows, columns) => ({ map, rows, columns });
const regionOf = ({ map, row, column }) => region(map, [row, row + 1], [column, column + 1]);
const whole = (layer) => region(null, [0, gridOf(layer).rows], [0, gridOf(layer).columns]);

/** The region of the layer below that a region comes from. */
function below(layer, lower, { map, rows, columns }) {
  if (layer.kind === "flatten" && map !== null) {
    const { columns: width } = gridOf(layer);
    return regionOf(cellOf(lower, rows[0] * width + columns[0]));
  }
  if (!layer.window) return whole(lower);
  const span = ([from, to], axis, size) => {
    const start = from * layer.stride[axis] - layer.padding[axis];
    const end = (to - 1) * layer.stride[axis] - layer.padding[axis] + layer.window[axis];
    return [Math.max(0, start), Math.min(size, end)];
  };
  const { rows: height, columns: width } = gridOf(lower);
  return region(layer.kind === "pool" ? map : null, span(rows, 0, height), span(columns, 1, width));
}

/** The region of every layer from the input up to `layers[top]` that one value comes from. */
export function trace(layers, top, cell) {
  const regions = [regionOf(cell)];
  for (let index = top; index > 0; index--) regions.unshift(below(layers[index], layers[index - 1], regions[0]));
  return regions;
}
