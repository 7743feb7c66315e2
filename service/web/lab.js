// The lab: the examples of the guide and the slides that the network comes from, computed live, every number editable.

import { convolve, errors, pool, size, softmax, table } from "./arithmetic.js";
import { byId, group, h, number, text } from "./dom.js";
import { greys, paint, reach } from "./palette.js";

const rowsOf = (digits) => digits.split("/").map((row) => row.trim().split(/\s+/).map(Number));
const SMILEY = rowsOf("0 0 0 0 0 0 0/0 1 0 0 0 1 0/0 0 0 0 0 0 0/0 0 0 1 0 0 0/0 1 0 0 0 1 0/0 0 1 1 1 0 0/0 0 0 0 0 0 0");
const EXAMPLES = {
  smiley: { image: SMILEY, filter: rowsOf("0 0 1/1 0 0/0 1 1") },
  slides: { image: rowsOf("1 0 1 0 1/1 1 0 1 1/0 1 1 0 0/1 0 0 1 0/0 0 1 1 0"), filter: rowsOf("0 1 0/1 0 -1/0 1 0") },
};
const PRINTED = String([SMILEY, EXAMPLES.smiley.filter, 1, 0]); // what the guide has another result for
const FILTERS = {
  sharpen: rowsOf("0 -1 0/-1 5 -1/0 -1 0"),
  blur: rowsOf("1 1 1/1 1 1/1 1 1"),
  edge: rowsOf("0 1 0/1 -4 1/0 1 0"),
};
const POOLED = rowsOf("0 1 0 0 0/0 1 1 1 0/1 0 0 2 1/1 4 2 1 0/0 0 1 2 1");
const NETWORKS = [
  [[1, 0], [0.9, 0.1], [0.6, 0.4]],
  [[0, 1], [0.1, 0.9], [0.3, 0.7]],
  [[1, 0], [0.4, 0.6], [0.1, 0.9]],
];

export function start() {
  startConvolution();
  startFilters();
  startPooling();
  startSoftmax();
  startErrors();
}

/** A table of numbers to edit; calls `change(rows)` at once and after each edit. */
function editor(place, rows, name, change, step = 1) {
  const values = rows.map((row) => [...row]);
  place.replaceChildren(h("table", { class: "editor" }, h("caption", {}, name), h("tbody", {}, values.map((row, y) =>
    h("tr", {}, row.map((value, x) => h("td", {}, h("input", {
      type: "number", step, value, "aria-label": `${name} row ${y} column ${x}`,
      input: (event) => {
        values[y][x] = event.target.valueAsNumber || 0;
        change(values);
      },
    }))))))));
  change(values);
}

/** A table of results. */
function grid(place, rows, name, digits = 0) {
  place.replaceChildren(h("table", { class: "editor results" }, h("caption", {}, name), h("tbody", {},
    rows.map((row) => h("tr", {}, row.map((value) => h("td", {}, number(value, Number.isInteger(value) ? 0 : digits))))))));
}

function startConvolution() {
  const state = {};
  const compute = () => {
    if (!state.image || !state.filter) return;
    const stride = whole(byId("lab-stride")), padding = whole(byId("lab-padding"));
    grid(byId("lab-result"), convolve(state.image, state.filter, { stride, padding }), "Feature map", 2);
    const n = state.image.length, f = state.filter.length, found = size(n, f, padding, stride);
    byId("lab-erratum").hidden = String([state.image, state.filter, stride, padding]) !== PRINTED;
    byId("lab-size").textContent = `(n + 2p − f) / s + 1 = (${n} + 2·${padding} − ${f}) / ${stride} + 1 = ${text(found, Number.isInteger(found) ? 0 : 2)}${Number.isInteger(found) ? "" : `, so ${Math.floor(found)} fit`}`;
  };
  const load = () => {
    const { image, filter } = EXAMPLES[byId("lab-example").value];
    editor(byId("lab-image"), image, "Image", (rows) => { state.image = rows; compute(); });
    editor(byId("lab-filter"), filter, "Filter", (rows) => { state.filter = rows; compute(); });
  };
  byId("lab-example").addEventListener("change", load);
  for (const id of ["lab-stride", "lab-padding"]) byId(id).addEventListener("input", compute);
  load();
}

/** A whole number within what the field allows, whatever was typed into it. */
function whole({ valueAsNumber, min, max }) {
  return Math.max(Number(min), Math.min(Number(max), Math.round(valueAsNumber) || Number(min)));
}

let drawing = null;
let drawFilters = () => {};

/** The drawing that the filters work on: {shape, data}; null is none. */
export function setDrawing(pixels) {
  drawing = pixels;
  drawFilters();
}

function startFilters() {
  let filter = FILTERS.sharpen;
  drawFilters = () => {
    if (!drawing) {
      for (const id of ["lab-before", "lab-after"]) byId(id).getContext("2d").clearRect(0, 0, byId(id).width, byId(id).height);
      return;
    }
    const { shape: [rows, columns] } = drawing;
    const grey = greys(drawing);
    const image = table(rows, columns, (row, column) => grey(row * columns + column) / 255);
    const sum = filter.flat().reduce((a, b) => a + b, 0) || 1;
    const divided = byId("lab-kind").value === "blur" ? filter.map((row) => row.map((weight) => weight / sum)) : filter;
    const found = convolve(image, divided, { padding: 1 }).flat();
    paint(byId("lab-before"), { rows, columns, limit: 1, at: (index) => grey(index) / 255 });
    paint(byId("lab-after"), { rows, columns, limit: Math.max(1, reach(found)), at: (index) => found[index] });
  };
  const load = () => editor(byId("lab-kernel"), FILTERS[byId("lab-kind").value], "Kernel", (rows) => {
    filter = rows;
    drawFilters();
  });
  byId("lab-kind").addEventListener("change", load);
  load();
}

function startPooling() {
  let map = POOLED;
  const compute = () => grid(byId("lab-pooled"), pool(map, byId("lab-pooling").value), "Pooled map", 2);
  byId("lab-pooling").addEventListener("change", compute);
  editor(byId("lab-map"), POOLED, "Map", (rows) => { map = rows; compute(); });
}

function startSoftmax() {
  editor(byId("lab-sums"), [[2, 1, 0.1, -1]], "Sums", ([values]) => {
    const shares = softmax(values);
    const rows = [values.map((value) => Math.exp(value)), shares];
    byId("lab-shares").replaceChildren(h("table", { class: "terms-table" },
      h("tbody", {}, ["e^z", "softmax"].map((name, at) => h("tr", {}, h("th", { scope: "row" }, name),
        rows[at].map((value) => h("td", {}, number(value, 3))))))));
  }, 0.1);
}

function startErrors() {
  const state = [];
  const compute = () => {
    if (state.length < 3) return;
    byId("lab-errors-words").hidden = String(state) !== String([0, 1, 2].map((at) => NETWORKS.map((row) => row[at])));
    const found = [1, 2].map((network) => errors(state[0].map((label, row) => [label, state[network][row]])));
    const names = { classification: "Classification error", squared: "Mean squared error", entropy: "Cross-entropy" };
    byId("lab-errors").replaceChildren(h("table", { class: "terms-table" },
      h("thead", {}, h("tr", {}, ["measure", "NN1", "NN2"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, Object.entries(names).map(([key, name]) => h("tr", {}, h("th", { scope: "row" }, name),
        found.map((each) => h("td", {}, number(each[key], 2))))))));
  };
  ["Label", "NN1", "NN2"].forEach((name, at) => editor(byId(`lab-nn${at}`), NETWORKS.map((row) => row[at]), name,
    (rows) => { state[at] = rows; compute(); }, 0.1));
}

/** The layers of the version that serves, counted. */
export function showParameters(network) {
  const rows = network.layers.slice(1).map((layer) => h("tr", {}, h("th", { scope: "row" }, layer.name),
    h("td", {}, layer.shape.map(group).join(" × ")), h("td", {}, layer.counted ?? "none"),
    h("td", {}, h("data", { value: layer.parameters }, group(layer.parameters)))));
  const notes = network.layers.filter(({ note }) => note).map(({ name, note }) => h("p", { class: "erratum" }, `${name}: ${note}`));
  byId("lab-parameters").replaceChildren(h("table", { class: "terms-table" },
    h("caption", {}, `${network.name} ${network.version}, which serves`),
    h("thead", {}, h("tr", {}, ["layer", "output", "counted", "parameters"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, rows),
    h("tfoot", {}, h("tr", {}, h("th", { scope: "row", colspan: 3 }, "total"), h("td", {}, h("data", { value: network.parameters }, group(network.parameters)))))),
  ...notes);
}
