// Turns what spans hold into text that a person can read.
//
// Spans are hostile. What comes from them reaches the page as text, never as markup, cut to a length that the
// page can hold, and with every character that one cannot see, or that reorders its line, shown as a sign.

const LINE_BREAKS = "\n\t";
const UNSEEN = /[\0-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/** A character's number stands for it: not every font has the pictures that Unicode has for some of them. */
const sign = (character) => `⟨U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;

/** The text in one line, or with its lines kept, and at most `limit` characters of it. */
export function visible(text, { lines = false, limit = 300 } = {}) {
  const cut = text.length > limit ? `${text.slice(0, limit)}…` : text;
  return cut.toWellFormed().replace(UNSEEN, (c) => (lines && LINE_BREAKS.includes(c) ? c : sign(c)));
}

/** An element. Children that are strings become text; attributes that are undefined or false are left out. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== false && child !== ""));
  return element;
}

/** A name from a span, kept apart from the direction of the text around it. */
export const named = (text, attributes = {}) =>
  el("bdi", { title: visible(text, { limit: 1000 }), ...attributes }, visible(text) || "(no name)");

/** "1 span", "2 spans". */
export const count = (n, one) => `${n.toLocaleString("en")} ${n === 1 ? one : `${one}s`}`;

/** A duration in nanoseconds, to three digits. */
export function duration(ns) {
  if (ns === 0) return "0";
  if (ns < 0) return `−${duration(-ns)}`;
  for (const [unit, size] of [["ns", 1], ["µs", 1e3], ["ms", 1e6], ["s", 1e9]]) {
    const value = Number((ns / size).toPrecision(3));
    if (value < (unit === "s" ? 60 : 1000)) return `${value} ${unit}`;
  }
  const seconds = Math.round(ns / 1e9);
  const pair = (big, bigSize, small, smallSize) =>
    `${Math.floor(seconds / bigSize)} ${big} ${Math.floor((seconds % bigSize) / smallSize)} ${small}`;
  if (seconds < 3600) return pair("min", 60, "s", 1);
  if (seconds < 86400) return pair("h", 3600, "min", 60);
  return pair("d", 86400, "h", 3600);
}

/** A point in time, exact to the microsecond, in the reader's time zone. Takes nanoseconds as a BigInt. */
export function moment(ns) {
  const date = new Date(Number(ns / 1_000_000n));
  const two = (n) => String(n).padStart(2, "0");
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return `${day} ${time}.${String((ns / 1000n) % 1_000_000n).padStart(6, "0")}`;
}

/** How long ago a point in time was. */
export function ago(ns) {
  const seconds = Math.round((Date.now() - Number(ns / 1_000_000n)) / 1000);
  if (Math.abs(seconds) < 1) return "now";
  const [n, unit] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([n]) => Math.abs(seconds) >= n);
  const amount = `${Math.floor(Math.abs(seconds) / n)} ${unit}`;
  return seconds > 0 ? `${amount} ago` : `in ${amount}`;
}

/** Whether a time can be one at all: not left out, and not counted in some other unit than nanoseconds. */
export const plausible = (ns) => ns > 946_684_800_000_000_000n && ns < 4_102_444_800_000_000_000n; // 2000 to 2100

/** Give an element its service's colour: the same on every page, and never the red of errors. */
export function colour(element, service) {
  let hash = 478; // any number will do; this one puts the services of client.py and server.py far apart
  for (const character of service) hash = Math.imul(hash ^ character.codePointAt(0), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  element.style.setProperty("--hue", 60 + (((hash ^ (hash >>> 13)) >>> 0) % 30) * 10);
  return element;
}

/** The mark of an error: solid for the span's own, hollow for one below it. */
export const errorMark = (below = false) =>
  el("span", { class: below ? "error-mark below" : "error-mark", role: "img", "aria-label": below ? "error below" : "error" }, "!");

/** A chip with the service's name, its spans and its errors. */
export function chip({ name: service = "", spanCount = 0, errorSpanCount = 0 }) {
  const children = [named(service), el("span", { class: "number" }, spanCount.toLocaleString("en"))];
  if (errorSpanCount) children.push(errorMark(), el("span", { class: "number bad" }, errorSpanCount.toLocaleString("en")));
  const label = `${count(spanCount, "span")}${errorSpanCount ? `, ${errorSpanCount} in error` : ""}`;
  return colour(el("span", { class: "chip", title: `${visible(service)}: ${label}` }, ...children), service);
}
