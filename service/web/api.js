// The only place that talks to the service.

import { unpack } from "./safetensors.js";

/** What the service said when it could not answer. */
export class Refusal extends Error {
  constructor(status, problem) {
    super([problem.detail ?? "the service did not answer", problem.found && `found: ${problem.found}`, problem.fix]
      .filter(Boolean).map(sentence).join(" "));
    this.status = status;
  }
}

/** Whether a failure is no fault of what was asked, and so may be over soon. */
export const passes = ({ status }) => !(status >= 400 && status < 500) || status === 429;
export const AGAIN_MS = 2000; // after which it is asked once more

const sentence = (words) => `${words[0].toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? "" : "."}`;

const PATIENCE_MS = 30_000;
// Whoever looks at this page meets one version, while a new one is tried out on some of the callers.
const CANARY_KEY = { "X-Canary-Key": Array.from(crypto.getRandomValues(new Uint32Array(2)), String).join("-") };

async function ask(path, options) {
  const response = await fetch(path, { ...options, signal: AbortSignal.timeout(PATIENCE_MS) }).catch((error) => {
    const slow = error.name === "TimeoutError";
    throw new Refusal(0, { detail: `The service ${slow ? "did not answer in time" : "can not be reached"}.` });
  });
  if (response.ok) return response;
  throw new Refusal(response.status, await response.json().catch(() => ({})));
}

/** A picture file goes as it is, pixels as JSON. */
function post(path, picture, query) {
  const file = picture instanceof Blob;
  return ask(`${path}?${new URLSearchParams(query)}`, {
    method: "POST",
    headers: { ...CANARY_KEY, "Content-Type": file ? "application/octet-stream" : "application/json" },
    body: file ? picture : JSON.stringify({ image: picture }),
  });
}

const arrays = async (response) => unpack(await (await response).arrayBuffer());
const json = async (response) => (await response).json();

/** Nothing of it is kept to train on. */
export async function predict(picture, query) {
  const answer = await json(post("predict", picture, { ...query, feedback: "none" }));
  return { ...answer, ...answer.predictions[0] };
}
export const inside = (picture, query = {}) => arrays(post("inside", picture, { ...query, format: "safetensors" }));
export const occlusion = (picture) => json(post("inside/occlusion", picture, {}));
const networkPath = ({ name, version }) => `models/${encodeURIComponent(name)}/versions/${version}/network`;
export const network = (model) => json(ask(networkPath(model)));
export const weights = (model, query) =>
  arrays(ask(`${networkPath(model)}?${new URLSearchParams({ ...query, format: "safetensors" })}`));
export const ready = () => json(ask("health/ready"));
export const models = async () => (await json(ask("models"))).models;
export const metrics = async () => (await ask("metrics")).text();
export const examples = () => json(ask("examples"));
export const file = async (path) => (await ask(path)).blob();
