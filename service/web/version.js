// The version that answers: found among all, told in words, and opened to be looked into.

import * as api from "./api.js";
import { byId, percent } from "./dom.js";
import { Network } from "./network.js";

/** All versions, and the one of them that answers: `answering` names it by model and version. */
export async function find(answering) {
  const models = await api.models();
  const model = models.find(({ name, version }) => name === answering.model && String(version) === String(answering.version));
  if (!model?.input) throw new Error("Another version is taking over.");
  return { models, model };
}

export function tell({ name, version, accuracy, precision }) {
  const parts = [`${name} ${version}`, accuracy?.test && `${percent(accuracy.test)} right on the test set`,
    precision && `answers in ${precision}`];
  byId("model").textContent = parts.filter(Boolean).join(" · ");
  byId("arithmetic").textContent = precision && precision !== "f32"
    ? `All of it, and what is compared, is computed in f32; the answer above in ${precision}, and may differ a little.` : "";
}

/** {network, unread}: null where it may not be looked into, which is told; `unread` where that may be over soon. */
export async function open(model) {
  let unread = false;
  const network = await Network.load(model).catch((error) => {
    unread = ![404, 422].includes(error.status);
    byId("closed").textContent = error.status === 404
      ? "Looking inside is switched off on this server. Draw, and the network answers all the same."
      : `The network can not be looked into here. ${error.message}`;
    return null;
  });
  if (network) byId("closed").textContent = "";
  document.body.classList.toggle("closed", !network);
  return { network, unread };
}
