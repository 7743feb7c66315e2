// Wires the parts together. Everything else lives in a file of its own.

import { Answer } from "./answer.js";
import * as api from "./api.js";
import { Bars } from "./bars.js";
import { Compare } from "./compare.js";
import { byId } from "./dom.js";
import { Heat } from "./heat.js";
import { Inspector } from "./inspector.js";
import * as lab from "./lab.js";
import { Latest } from "./latest.js";
import { Pad } from "./pad.js";
import { Seen } from "./seen.js";
import * as share from "./share.js";
import * as sources from "./sources.js";
import * as strip from "./strip.js";
import * as version from "./version.js";

const LIVE_GAP_MS = 15;
const HEAT_DELAY_MS = 250; // the next stroke's answer goes first
const STALE_MS = 1000; // after which values of an older drawing are shown as such
const LOOK_MS = 5000; // between two looks at which versions serve
const SAMPLE = "examples/seven.png";

const pad = new Pad(byId("pad"));
const seen = new Seen(byId("seen"), byId("seen-words"));
const answer = new Answer(new Bars(byId("bars")));
const inspector = new Inspector(pad, seen);
const heat = new Heat(new Bars(byId("heat-bars"), "Covered: probability of"));
const compare = new Compare();

let model = null; // the version that answers, as soon as it is known
let drawingNumber = 0; // counts changes of the drawing, so that what comes late for an older one is dropped
let taken = 0; // counts the pictures that were chosen: the last one is meant
let started = false; // whether the first attempt to find out about the version is over
let unread = false; // whether looking inside failed, for a reason that may be over
let heating = 0;
let staling = 0;
let trying = 0;
let waiting = 0;

// The answer, while one draws.

const live = new Latest(async () => {
  if (pad.empty) return;
  const number = drawingNumber;
  const picture = await pad.picture();
  const late = () => pad.empty || (number !== drawingNumber && !pad.stroke);
  const found = await api.predict(picture, { include: "seen" });
  if (late()) return;
  if (number === drawingNumber) arrived();
  const settled = () => number === drawingNumber && !pad.stroke;
  // Another version answers since, or what answers could not be found out.
  if (started && (!model || !answers(found) || (unread && settled()))) await adopt(found);
  answer.show(found);
  await seen.showFile(found.seen, late);
  if (settled() && inspector.network) return deep.ask();
  if (settled()) tell();
}, (error) => {
  if (pad.empty) return; // it was cleared meanwhile
  forget(); // the answer from before is none to a drawing that was refused
  refuse(error);
  tryAgain(error);
}, LIVE_GAP_MS);

const deep = new Latest(async () => {
  if (pad.empty || !inspector.network) return;
  const number = drawingNumber;
  const picture = await pad.picture();
  const { arrays, facts } = await api.inside(picture);
  if (number !== drawingNumber || !answer.found) return; // its answer was refused since, and will be asked for again
  if (!answers(facts)) return live.ask(); // whatever is shown belongs to one version
  const { network } = inspector;
  network.values = arrays;
  network.drawn = number;
  network.probabilities = facts.probabilities;
  seen.show(arrays["seen.pixels"], { ...facts.seen, warning: answer.found.seen.warning });
  lab.setDrawing(arrays["seen.pixels"]);
  await inspector.renderNow();
  if (number !== drawingNumber) return;
  tell(); // only now: whatever is shown belongs to this answer
  clearTimeout(staling);
  document.body.classList.remove("blank");
  clearTimeout(heating);
  heating = setTimeout(() => heat.ask(picture, arrays["seen.pixels"]), HEAT_DELAY_MS);
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
  inspector.lit = false;
  compare.drop();
  offer();
  clearTimeout(waiting);
  if (pad.empty) return forget();
  if (!answer.found) answer.say("");
  waiting = setTimeout(wait, STALE_MS);
  live.ask();
});
pad.addEventListener("settle", () => {
  if (!pad.empty) live.ask();
});

/** The answer is late: the one that is shown is to an older drawing. */
function wait() {
  document.body.classList.add("unanswered");
  answer.say("The answer is on its way.");
}

function arrived() {
  clearTimeout(waiting);
  document.body.classList.remove("unanswered");
}

/** Whether it is the version that the page shows who says so. */
const answers = (found) => found.model === model.name && found.version === model.version;

function tell() {
  if (!answer.found) return;
  offer();
  answer.tell();
}

function refuse(error) {
  arrived();
  answer.say(error.message);
}

function tryAgain(error) {
  clearTimeout(trying);
  if (api.passes(error)) trying = setTimeout(() => live.ask(), api.AGAIN_MS);
}

function forget() {
  arrived();
  answer.forget();
  seen.show(null);
  forgetInside();
}

/** No values belong to the drawing at hand. */
function forgetInside() {
  inspector.forget();
  heat.clear();
  compare.wait();
  lab.setDrawing(null);
  document.body.classList.add("blank");
  offer();
}

/** Only what would do something now can be pressed. */
function offer() {
  byId("save").disabled = !answer.found || Boolean(inspector.network && !current());
  for (const name of ["keep", "compare-versions"]) byId(name).disabled = !current();
  for (const name of ["play", "step"]) byId(name).disabled = !inspector.network?.values;
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
  event.currentTarget.setAttribute("aria-pressed", String(pad.erasing));
  answer.mark(pad.erasing);
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
    if (!late()) answer.say(error instanceof api.Refusal ? error.message : words);
  }
}

// Two side by side

/** What is compared: the picture at hand with its values and its answer. */
function current() {
  const { network } = inspector;
  if (!network?.values || network.drawn !== drawingNumber) return null;
  return { labels: network.labels, layers: network.layers, values: network.values, probabilities: network.probabilities };
}

inspector.addEventListener("show", () => compare.show(current(), inspector.view));
byId("keep").addEventListener("click", () => {
  if (current()) compare.keep(current(), inspector.view);
});
byId("compare-versions").addEventListener("click", async () => {
  if (current()) await compare.ask(await pad.picture(), current(), inspector.view);
});

// A link and a picture of the view

byId("link").addEventListener("click", async () => {
  await live.rest;
  await deep.rest; // a link to a picture carries what the network sees of it
  await share.copyLink(inspector.view, pad, seen);
});
byId("save").addEventListener("click", async () => {
  if (answer.found) await share.savePicture(answer);
});
addEventListener("hashchange", restore);

/** Resolves to whether the address line holds a drawing. */
async function restore() {
  const { view, drawn } = await share.restore(pad);
  if (view) inspector.go(view);
  return drawn;
}

// Start

/** Show the version that answers now, and look into that one. */
async function adopt(answering) {
  const found = await version.find(answering);
  model = found.model;
  version.tell(model);
  compare.offerVersions(found.models, model);
  strip.follow(model.name);
  seen.centred = model.input.preparation === "centred";
  const opened = await version.open(model);
  unread = opened.unread;
  answer.offer(model.labels);
  inspector.open(opened.network);
  if (opened.network) {
    heat.offer(opened.network.labels);
    lab.showParameters(opened.network);
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

/** Which versions serve beside the one that answers. */
async function look() {
  if (!document.hidden && model) compare.list(await api.models());
}

const turn = () => setTimeout(() => look().catch(() => {}).then(turn), LOOK_MS);
turn();
start().catch(refuse);
