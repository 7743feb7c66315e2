// Wires the parts together. Everything else lives in a file of its own.

import * as api from "./api.js";
import { Bars } from "./bars.js";
import { Compare } from "./compare.js";
import { byId, percent, text } from "./dom.js";
import { explain } from "./explain.js";
import { gridOf, trace } from "./geometry.js";
import { Heat } from "./heat.js";
import * as lab from "./lab.js";
import { Latest } from "./latest.js";
import { Lens, valueAt } from "./lens.js";
import * as link from "./link.js";
import { Network } from "./network.js";
import { Pad } from "./pad.js";
import { showPath } from "./path.js";
import { Seen } from "./seen.js";
import { Sheets } from "./sheets.js";
import * as snapshot from "./snapshot.js";
import * as sources from "./sources.js";
import { Steps } from "./steps.js";
import * as strip from "./strip.js";

const LIVE_GAP_MS = 15;
const HEAT_DELAY_MS = 250; // the next stroke's answer goes first
const STALE_MS = 1000; // after which values of an older drawing are shown as such
const WAITING_MS = 150; // after which it is said that weights are on their way
const AGAIN_MS = 2000;
const NARROW = matchMedia("(max-width: 40rem)"); // as in style.css: what is chosen is shown below, out of sight
const SAMPLE = "examples/seven.png";

const pad = new Pad(byId("pad"));
const seen = new Seen(byId("seen"), byId("seen-words"));
const bars = new Bars(byId("bars"));
const sheets = new Sheets(byId("layers"));
const lens = new Lens(byId("lens"), { bar: byId("legend-bar"), least: byId("legend-least"), greatest: byId("legend-greatest") });
const steps = new Steps({ play: byId("play"), step: byId("step") });
const heat = new Heat(new Bars(byId("heat-bars"), "Covered: probability of"));
const compare = new Compare();

let model = null; // the version that answers, as soon as it is known
let network = null; // null: it may not be looked into
let labels = null; // of the classes, as soon as they are known
let answer = null;
let before = null; // the probabilities when the eraser was taken
let drawingNumber = 0; // counts changes of the drawing, so that what comes late for an older one is dropped
let explained = 0; // counts the sums written out, for the same reason
let rendering = 0;
let heating = 0;
let staling = 0;
let trying = 0;
let taken = 0; // counts the pictures that were chosen: the last one is meant
let started = false; // whether the first attempt to find out about the version is over
let unread = false; // whether looking inside failed, for a reason that may be over
let lit = false; // whether the drawing shows where the chosen value comes from
let view = { layer: "conv_1", map: 0, row: 12, column: 12, stage: "after", scale: "common" };

// The answer, while one draws.

const live = new Latest(async () => {
  if (pad.empty) return;
  const number = drawingNumber;
  const picture = await pad.picture();
  const late = () => pad.empty || (number !== drawingNumber && !pad.stroke);
  const found = await api.predict(picture, { include: "seen" });
  if (late()) return;
  const settled = () => number === drawingNumber && !pad.stroke;
  // Another version answers since, or what answers could not be found out.
  if (started && (!model || !answers(found) || (unread && settled()))) await adopt(found);
  answer = found;
  bars.show(labels ?? labelsOf(found), found.probabilities, before);
  showBest();
  if (settled() && network) return deep.ask(); // which brings what the network sees, too
  if (settled()) tell();
  await seen.showFile(found.seen, late);
}, refuseDrawing, LIVE_GAP_MS);

const deep = new Latest(async () => {
  if (pad.empty || !network) return;
  const number = drawingNumber;
  const picture = await pad.picture();
  const { arrays, facts } = await api.inside(picture);
  if (number !== drawingNumber) return;
  if (!answers(facts)) return live.ask(); // whatever is shown belongs to one version
  network.values = arrays;
  network.drawn = number;
  network.probabilities = facts.probabilities;
  seen.show(arrays["seen.pixels"], { ...facts.seen, warning: answer.seen.warning });
  lab.setDrawing(arrays["seen.pixels"]);
  await renderNow();
  if (number !== drawingNumber) return;
  tell(); // only now: whatever is shown belongs to this answer
  clearTimeout(staling);
  document.body.classList.remove("blank");
  clearTimeout(heating);
  heating = setTimeout(() => heat.ask(picture, {}, arrays["seen.pixels"]).catch((error) => heat.refuse(error)), HEAT_DELAY_MS);
}, (error) => {
  forgetInside();
  refuse(error);
  tryAgain(error);
});

pad.addEventListener("change", () => {
  drawingNumber++;
  clearTimeout(heating);
  clearTimeout(trying);
  clearTimeout(staling);
  staling = setTimeout(() => document.body.classList.add("blank"), STALE_MS);
  lit = false;
  compare.drop();
  offer();
  if (pad.empty) forget();
  else live.ask();
});
pad.addEventListener("settle", () => {
  if (!pad.empty) live.ask();
});

const labelsOf = (found) => found.probabilities.map((_, index) => String(index));

function forget() {
  answer = before = null;
  bars.show(bars.labels, bars.labels.map(() => 0));
  byId("best").textContent = "";
  byId("best-share").textContent = "";
  byId("prediction").textContent = "Nothing is drawn yet.";
  seen.show(null);
  forgetInside();
}

/** No values belong to the drawing at hand. */
function forgetInside() {
  steps.pause();
  heat.clear();
  lab.setDrawing(null);
  explained++; // a sum that is still to come is of no drawing
  byId("value").textContent = "";
  byId("sum").replaceChildren();
  if (network) network.values = null;
  document.body.classList.add("blank");
  offer();
}

/** Only what would do something now can be pressed. */
function offer() {
  byId("save").disabled = !answer;
  for (const name of ["keep", "compare-versions"]) byId(name).disabled = !current();
  for (const name of ["play", "step"]) byId(name).disabled = !network?.values;
}

function showBest() {
  const known = answer.recognized !== false;
  byId("best").textContent = known ? answer.label : "?";
  byId("best-share").textContent = known ? percent(answer.probability) : `perhaps ${answer.label}`;
}

/** Say the answer once a stroke has ended: not each of its movements. */
function tell() {
  if (!answer) return;
  offer();
  const [first, second] = answer.top;
  const stranger = answer.recognized === false ? "This is nothing that I know. If it has to be something: " : "";
  const doubt = first.probability < 0.6 ? ` Not sure: ${first.label} or ${second.label}.` : "";
  byId("prediction").textContent = `${stranger}${first.label}, ${percent(first.probability)}.${doubt} Then ${second.label}, ${percent(second.probability)}.`;
}

function refuse(error) {
  byId("prediction").textContent = error.message;
}

/** The answer from before is none to a drawing that was refused. */
function refuseDrawing(error) {
  forget();
  refuse(error);
  tryAgain(error);
}

/** Whether a failure is no fault of what was asked, and so may be over soon. */
const passes = ({ status }) => !(status >= 400 && status < 500) || status === 429;

function tryAgain(error) {
  clearTimeout(trying);
  if (passes(error)) trying = setTimeout(() => live.ask(), AGAIN_MS);
}

// The pad's tools

byId("undo").addEventListener("click", () => pad.undo());
byId("clear").addEventListener("click", () => pad.clear());
byId("pen").addEventListener("input", (event) => {
  pad.pen = event.target.valueAsNumber;
  byId("pen-width").textContent = event.target.value;
});
byId("erase").addEventListener("click", (event) => {
  pad.erasing = !pad.erasing;
  before = pad.erasing && answer ? answer.probabilities : null;
  event.currentTarget.setAttribute("aria-pressed", String(pad.erasing));
  if (answer) bars.show(labels ?? labelsOf(answer), answer.probabilities, before);
});

/** Draw on a picture that was chosen last, unless somebody has drawn since. */
async function take(file) {
  const number = ++taken, drawn = drawingNumber;
  const late = () => number !== taken || drawn !== drawingNumber;
  try {
    const picture = await sources.open(await file);
    if (!late()) pad.set(picture);
  } catch (error) {
    const words = "This is not a picture that can be shown here: PNG, JPEG, WebP, BMP or GIF.";
    if (!late()) byId("prediction").textContent = error instanceof api.Refusal ? error.message : words;
  }
}

// Looking inside

sheets.addEventListener("choose", ({ detail }) => {
  const open = view.layer === detail.layer; // else it opens now, and its maps are what one wants to see
  go({ ...detail, ...atBest(detail.layer) }, true);
  if (open && NARROW.matches) byId("lens").scrollIntoView({ block: "center" });
});
lens.addEventListener("point", ({ detail }) => {
  if (steps.running) steps.pause();
  go(detail, true);
});
steps.addEventListener("point", ({ detail }) => go(detail, true));
steps.addEventListener("pause", () => render());
for (const name of ["stage", "scale"]) {
  for (const radio of document.getElementsByName(name)) {
    radio.addEventListener("change", () => go({ [name]: radio.value }));
  }
}

/** The place of the most probable class, where a layer's values are those of the classes. */
function atBest(name) {
  const shares = network.probabilities;
  return shares && name === network.layers.at(-1).name ? { row: 0, column: shares.indexOf(Math.max(...shares)) } : {};
}

/** Change the view, within what there is; `light` up where the value comes from in the drawing. */
function go(change, light = false) {
  lit = light;
  view = { ...view, ...change };
  if (!network) return;
  if (network.position(view.layer) < 0) view.layer = network.layers[Math.min(1, network.layers.length - 1)].name;
  const layer = network.layers[network.position(view.layer)];
  const { rows, columns, maps } = gridOf(layer);
  view.row = Math.min(view.row, rows - 1);
  view.column = Math.min(view.column, columns - 1);
  view.map = Math.min(view.map, maps - 1);
  if (layer.shape.length === 1 && view.row * columns + view.column >= layer.shape[0]) view.column = 0;
  steps.follow(layer, view);
  lens.follow(layer, view);
  if (change.layer) steps.pause();
  render();
}

function render() {
  cancelAnimationFrame(rendering);
  rendering = requestAnimationFrame(renderNow);
}

/** Resolved as soon as the sum is written out as well. */
async function renderNow() {
  if (!network?.values) return;
  const position = network.position(view.layer);
  const layer = network.layers[position];
  const { columns, maps } = gridOf(layer);
  const regions = trace(network.layers, position, view);
  const until = steps.running ? view.row * columns + view.column + 1 : Infinity;
  sheets.show(view, regions);
  lens.show(network, view, until);
  seen.light(lit ? regions[0] : null);
  const drawn = pad.empty ? null : seen.locate(regions[0]);
  if (lit) pad.light(drawn);
  showPath(byId("path"), network, regions, pad, drawn);
  const stage = layer.activation ? `, ${view.stage} ${{ relu: "ReLU", softmax: "softmax" }[layer.activation]}` : "";
  const place = layer.shape.length === 3 ? `${maps > 1 ? `map ${view.map}, ` : ""}row ${view.row}, column ${view.column}`
    : `value ${view.row * columns + view.column}`;
  byId("value").setAttribute("aria-live", steps.running ? "off" : "polite"); // not each of its steps
  byId("value").textContent = `${layer.name}, ${place}${stage}: ${text(valueAt(network, view))}`;
  for (const name of ["stage", "scale"]) {
    for (const radio of document.getElementsByName(name)) radio.checked = radio.value === view[name];
  }
  byId("steps").hidden = !layer.window;
  compare.show(current(), view);
  return writeOut();
}

/** The sum; what comes late for another value is dropped. */
async function writeOut() {
  const number = ++explained;
  const say = (...words) => number === explained && byId("sum").replaceChildren(...words);
  const waiting = setTimeout(say, WAITING_MS, "The weights are on their way.");
  try {
    say(...await explain(network, view));
  } catch (error) {
    say(error.message);
    // Only what the service said: a mistake of ours would come again and again.
    if (error instanceof api.Refusal && passes(error)) setTimeout(() => number === explained && writeOut(), AGAIN_MS);
  } finally {
    clearTimeout(waiting);
  }
}

/** What is compared: the picture at hand with its values and its answer. */
const current = () => network?.values && network.drawn === drawingNumber && {
  labels: network.labels, layers: network.layers, values: network.values, probabilities: network.probabilities,
};

byId("keep").addEventListener("click", () => {
  if (current()) compare.keep(current(), view);
});
byId("compare-versions").addEventListener("click", async () => {
  if (current()) await compare.ask(await pad.picture(), current(), view);
});

// A link and a picture of the view

async function drawing() {
  if (!pad.base) return { strokes: pad.strokes };
  if (!seen.pixels || Math.max(...seen.pixels.shape) > 255) throw new Error("This picture can not be put into a link.");
  const { shape: [rows, columns, channels], data } = seen.pixels;
  return { pixels: [...data], rows, columns, channels };
}

byId("link").addEventListener("click", async () => {
  await live.rest;
  await deep.rest; // a link to a picture carries what the network sees of it
  try {
    history.replaceState(null, "", await link.write(view, await drawing()));
  } catch (error) {
    byId("shared").textContent = error.message;
    return;
  }
  const copied = await Promise.resolve(navigator.clipboard?.writeText(location.href).then(() => true)).catch(() => false);
  byId("shared").textContent = `The link to this view ${copied ? "is copied, and " : ""}stands in the address line.`;
});
byId("save").addEventListener("click", async () => {
  if (!answer) return;
  await snapshot.save({ seen: byId("seen"), lens: byId("lens"), labels: labels ?? labelsOf(answer),
    probabilities: answer.probabilities, best: byId("best").textContent, share: byId("best-share").textContent, title: byId("lens").getAttribute("aria-label") ?? "", value: byId("value").textContent });
  byId("shared").textContent = "The picture is saved as convolve.png.";
});
addEventListener("hashchange", restore);

async function restore() {
  const found = await link.read(location.hash);
  if (!found) return false;
  const { view: wanted, drawing: drawn, broken } = found;
  if (broken) byId("shared").textContent = "The drawing in this link can not be read.";
  if (drawn?.strokes) pad.set(null, drawn.strokes);
  if (drawn?.pixels) pad.set(sources.fromPixels(drawn.pixels, drawn.rows, drawn.columns, drawn.channels));
  go(wanted);
  return Boolean(drawn);
}

// Start

/** Whether it is the version that the page shows who says so. */
const answers = (found) => found.model === model.name && found.version === model.version;

/** Show the version that answers now, and look into that one. */
async function adopt(answering) {
  const models = await api.models();
  const found = models.find(({ name, version }) => name === answering.model && String(version) === String(answering.version));
  if (!found?.input) throw new Error("Another version is taking over.");
  model = found;
  const parts = [`${model.name} ${model.version}`, model.accuracy?.test && `${percent(model.accuracy.test)} right on the test set`,
    model.precision && `answers in ${model.precision}`];
  byId("model").textContent = parts.filter(Boolean).join(" · ");
  byId("arithmetic").textContent = model.precision && model.precision !== "f32"
    ? `All of it, and what is compared, is computed in f32; the answer above in ${model.precision}, and may differ a little.` : "";
  compare.offerVersions(models, model);
  strip.follow(model.name);
  seen.centred = model.input.preparation === "centred";
  unread = false;
  network = await Network.load(model).catch((error) => {
    unread = ![404, 422].includes(error.status);
    byId("closed").textContent = error.status === 404
      ? "Looking inside is switched off on this server. Draw, and the network answers all the same."
      : `The network can not be looked into here. ${error.message}`;
    return null;
  });
  if (network) byId("closed").textContent = "";
  document.body.classList.toggle("closed", !network);
  labels = model.labels;
  if (!answer) bars.show(labels, labels.map(() => 0));
  if (network) {
    sheets.build(network);
    heat.offer(network.labels);
    lab.showParameters(network);
    go({});
  }
}

async function start() {
  lab.start();
  strip.start();
  sources.listen(take, refuse);
  const shown = restore().then((found) => found || showSample().catch(() => {})); // a server may have no examples
  sources.offerExamples(byId("examples"), take).catch(() => {});
  await api.ready().then(adopt).catch(refuse); // then the first answer brings it
  started = true;
  await shown;
  pad.dispatchEvent(new Event("settle")); // now with what is inside
}

async function showSample() {
  const sample = await sources.open(await api.file(SAMPLE), { sample: true });
  if (pad.empty) pad.show(sample, []);
}

start().catch(refuse);
