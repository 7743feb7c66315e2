// A link to the view, and a picture of it.

import { byId } from "./dom.js";
import * as link from "./link.js";
import * as snapshot from "./snapshot.js";
import * as sources from "./sources.js";

/** Put the view and the drawing into the address line, and copy that. */
export async function copyLink(view, pad, seen) {
  try {
    history.replaceState(null, "", await link.write(view, drawing(pad, seen)));
  } catch (error) {
    say(error.message);
    return;
  }
  const copied = await Promise.resolve(navigator.clipboard?.writeText(location.href).then(() => true)).catch(() => false);
  say(`The link to this view ${copied ? "is copied, and " : ""}stands in the address line.`);
}

/** What a link carries of the drawing: strokes, or of a picture what the network sees of it. */
function drawing(pad, seen) {
  if (!pad.base) return { strokes: pad.strokes };
  if (!seen.pixels || Math.max(...seen.pixels.shape) > 255) throw new Error("This picture can not be put into a link.");
  const { shape: [rows, columns, channels], data } = seen.pixels;
  return { pixels: [...data], rows, columns, channels };
}

/** Draw what the address line holds. Resolves to its view, if it has one, and whether there is a drawing in it. */
export async function restore(pad) {
  const found = await link.read(location.hash);
  if (!found) return { view: null, drawn: false };
  say(""); // what was said of another link
  const { view, drawing: drawn, broken } = found;
  if (broken) say("The drawing in this link can not be read.");
  if (drawn?.strokes) pad.set(null, drawn.strokes);
  if (drawn?.pixels) pad.set(sources.fromPixels(drawn.pixels, drawn.rows, drawn.columns, drawn.channels));
  return { view, drawn: Boolean(drawn) };
}

/** Save the view as a picture: the answer in the words of the page. */
export async function savePicture(answer) {
  const words = (id) => byId(id).textContent;
  await snapshot.save({ seen: byId("seen"), lens: byId("lens"), labels: answer.labels, probabilities: answer.found.probabilities,
    best: words("best"), share: words("best-share"), title: byId("lens").getAttribute("aria-label") ?? "", value: words("value") });
  say("The picture is saved as convolve.png.");
}

function say(words) {
  byId("shared").textContent = words;
}
