// Elements from words. Text is always set as text.

/** An element: attributes as given, functions as listeners, everything else as children. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

/** Rows and columns that each arrow key goes, by its name. */
export const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

export const byId = (id) => document.getElementById(id);

/** A number to read, with all its digits in `value`. */
export function number(value, digits = 4) {
  return h("data", { value: String(value), class: value < 0 ? "negative" : null }, text(value, digits));
}

/** A number as text: so many decimals, more where it would round to nothing. */
export function text(value, digits = 4) {
  if (value === 0) return "0";
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "–" : value > 0 ? "∞" : "−∞";
  if (Math.abs(value) < 10 ** -digits / 2) return value.toExponential(1);
  return Math.abs(value) >= 1e6 ? value.toExponential(2) : value.toFixed(digits);
}

/** A share as per cent. */
export function percent(share) {
  if (share > 0 && share < 0.001) return "< 0.1 %";
  if (share > 0.999) return "> 99.9 %";
  return `${(share * 100).toFixed(1)} %`;
}

export const group = (count) => count.toLocaleString("en");
