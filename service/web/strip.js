// The service's own numbers, live: requests, latency, batches, and which classes were found.

import * as api from "./api.js";
import { byId, h } from "./dom.js";

const EVERY_MS = 2000;
const ROOM = 20; // classes; of more, those that were found most
const OURS = /^(\/metrics|\/web|\/examples|\/|\/models|\/docs)$/;

let model = null;

/** Show the classes that this model found; until then, those of all. */
export function follow(name) {
  model = name;
}

export function start() {
  let last = null, busy = false;
  const turn = async () => {
    if (document.hidden || busy) return; // a server that hangs is not asked again and again
    busy = true;
    const now = await api.metrics().then(read, () => null);
    busy = false;
    if (now && last && now.requests >= last.requests) show(now, last); // fewer: the service was started anew
    if (now) last = now;
    else for (const name of ["requests", "latency", "batch"]) byId(`strip-${name}`).textContent = "–";
  };
  turn();
  setInterval(turn, EVERY_MS);
}

/** Prometheus' text → the sums that we show. */
function read(page) {
  const found = { time: performance.now(), requests: 0, seconds: 0, timed: 0, batches: 0, pictures: 0, classes: new Map() };
  for (const line of page.split("\n")) {
    const [, name, labels = "", value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    const label = (key) => new RegExp(`(?:^|,)${key}="([^"]*)"`).exec(labels)?.[1];
    if (!name || OURS.test(label("route") ?? "")) continue;
    if (name === "convolve_requests_total") found.requests += Number(value);
    if (name === "convolve_request_seconds_sum") found.seconds += Number(value);
    if (name === "convolve_request_seconds_count") found.timed += Number(value);
    if (name === "convolve_batch_pictures_count") found.batches += Number(value);
    if (name === "convolve_batch_pictures_sum") found.pictures += Number(value);
    if (name === "convolve_predictions_total" && (!model || label("model") === model)) {
      found.classes.set(label("label"), (found.classes.get(label("label")) ?? 0) + Number(value));
    }
  }
  return found;
}

function show(now, last) {
  const rate = (now.requests - last.requests) / ((now.time - last.time) / 1000);
  byId("strip-requests").textContent = rate.toFixed(rate < 10 ? 1 : 0);
  if (now.timed > last.timed) {
    byId("strip-latency").textContent = (((now.seconds - last.seconds) / (now.timed - last.timed)) * 1000).toFixed(1);
  }
  if (now.batches > last.batches) {
    byId("strip-batch").textContent = ((now.pictures - last.pictures) / (now.batches - last.batches)).toFixed(1);
  }
  const most = Math.max(1, ...now.classes.values());
  const shown = now.classes.size <= ROOM ? [...now.classes] : [...now.classes].filter(([, count]) => count)
    .sort(([, one], [, other]) => other - one).slice(0, ROOM);
  byId("strip-classes").replaceChildren(...shown.map(([label, count]) => {
    const bar = h("span", { class: "column" });
    bar.style.transform = `scaleY(${count / most})`;
    return h("li", { title: `${label}: ${count}` }, bar, h("span", {}, label.length > 2 ? "" : label));
  }));
}
