// The view as a link: everything stands behind the #, which no browser sends to anyone.

const VERSION = "1";

/** `view` and the drawing as a fragment. */
export async function write(view, drawing) {
  const { layer, map, row, column, stage, scale } = view;
  const parts = new URLSearchParams({ v: VERSION, layer, map, row, column, stage, scale });
  parts.set("drawing", await pack(drawing));
  return `#${parts}`;
}

/** The opposite of `write`: {view, drawing, broken}, or null where the fragment is none of ours. */
export async function read(fragment) {
  const parts = new URLSearchParams(fragment.replace(/^#/, ""));
  if (parts.get("v") !== VERSION) return null;
  const whole = (name) => Math.max(0, Number.parseInt(parts.get(name) ?? "0", 10) || 0);
  const view = {
    layer: parts.get("layer") ?? "", map: whole("map"), row: whole("row"), column: whole("column"),
    stage: parts.get("stage") === "before" ? "before" : "after",
    scale: parts.get("scale") === "map" ? "map" : "common",
  };
  const drawing = parts.has("drawing") ? await unpack(parts.get("drawing")).catch(() => null) : null;
  return { view, drawing, broken: parts.has("drawing") && !drawing };
}

/** {strokes} or {pixels, rows, columns, channels} → text: strokes begin with 0, grey pixels with 1, colours with 3. */
async function pack({ strokes, pixels, rows, columns, channels }) {
  const bytes = pixels ? [channels, rows, columns, ...pixels] : [0, ...strokes.flatMap(strokeBytes)];
  return toText(await squeeze(Uint8Array.from(bytes), new CompressionStream("deflate-raw")));
}

async function unpack(text) {
  const bytes = await squeeze(fromText(text), new DecompressionStream("deflate-raw"));
  if (bytes[0]) {
    const [channels, rows, columns, ...pixels] = bytes;
    const known = [1, 3].includes(channels) && pixels.length > 0;
    return known && pixels.length === rows * columns * channels ? { pixels, rows, columns, channels } : null;
  }
  const strokes = [];
  for (let at = 1; at < bytes.length;) {
    const [width, erase, low, high] = bytes.slice(at, at + 4);
    const points = Array.from({ length: low + 256 * high }, (_, index) => [...bytes.slice(at + 4 + 2 * index, at + 6 + 2 * index)]);
    if (!points.length || points.at(-1).length < 2) return null;
    strokes.push({ width, erase: Boolean(erase), points });
    at += 4 + 2 * points.length;
  }
  return { strokes };
}

const strokeBytes = ({ width, erase, points }) =>
  [width, Number(erase), points.length & 255, points.length >> 8, ...points.flat().map(Math.round)];

async function squeeze(bytes, stream) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}

const toText = (bytes) =>
  btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
const fromText = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));
