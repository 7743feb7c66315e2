// The version that answers: its layers, its weights as they are needed, and all values for the picture at hand.

import * as api from "./api.js";

const SMALL = 50_000; // weights of a layer that are fetched as a whole; of a larger one, those of one value at a time

/** What people call a layer's activation; nothing where it has none. */
export const activationOf = ({ activation }) => ({ relu: "ReLU", softmax: "softmax" })[activation];

export class Network {
  constructor(description) {
    this.name = description.model;
    this.version = description.version;
    this.labels = description.labels;
    this.parameters = description.parameters;
    this.layers = description.layers;
    this.fetched = new Map();
    this.values = null;
  }

  static async load(model) {
    return new Network(await api.network(model));
  }

  position(name) {
    return this.layers.findIndex((layer) => layer.name === name);
  }

  /** All values of a layer, before or after its activation. */
  of(layer, stage = "after") {
    return this.values?.[stage === "before" && layer.activation ? `${layer.name}.before` : layer.name]?.data;
  }

  /** The weights of a layer: {kernel, bias}; of a large layer those of value `unit` only. */
  async weights(layer, unit) {
    const whole = layer.parameters <= SMALL;
    const key = whole ? layer.name : `${layer.name} ${unit}`;
    if (!this.fetched.has(key)) {
      const query = whole ? { weights: layer.name } : { weights: layer.name, unit };
      const asked = api.weights(this, query).then(({ arrays }) => ({
        kernel: arrays[`${layer.name}.kernel`].data,
        bias: arrays[`${layer.name}.bias`].data,
      }));
      asked.catch(() => this.fetched.delete(key)); // to be tried again
      this.fetched.set(key, asked);
    }
    const { kernel, bias } = await this.fetched.get(key);
    if (!whole) return { column: kernel, bias: bias[0] };
    if (layer.kind !== "dense") return { kernel, bias };
    const outputs = layer.shape[0];
    return { column: kernel.filter((_, index) => index % outputs === unit), bias: bias[unit] };
  }
}
