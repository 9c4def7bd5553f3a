// Turns what spans hold into text that a person can read.
//
// Spans are hostile. What comes from them reaches the page as text, never as markup, cut to a length that the
// page can hold, and with the characters that one cannot see, or that reorder their line, shown as signs.

const LINE_BREAKS = "\n\t";
const UNSEEN = /[\0-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
const SECONDS = new Intl.DateTimeFormat("sv", { dateStyle: "short", timeStyle: "medium" }); // Sweden writes 2026-11-22 12:00:00
const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 9 });
const ZONE = new Intl.DateTimeFormat("en", { timeZoneName: "short" });

/** The units of durations, with their nanoseconds. */
export const UNITS = [
  ["ns", 1], ["µs", 1e3], ["ms", 1e6], ["s", 1e9], ["min", 6e10], ["h", 36e11], ["d", 864e11], ["y", 31_557_600e9],
];

/** A character's number stands for it: not every font has the pictures that Unicode has for some of them. */
const sign = (character) => `⟨U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;

/** The text in one line, or with its lines kept, and at most `limit` characters of it. */
export function visible(text, { lines = false, limit = 300 } = {}) {
  const shown = text.slice(0, limit).toWellFormed().replace(UNSEEN, (c) => (lines && LINE_BREAKS.includes(c) ? c : sign(c)));
  return text.length > limit || shown.length > limit ? `${shown.slice(0, limit)}…` : shown;
}

export const $ = (id) => document.getElementById(id);

/** An element. Strings become text; `--names` become properties of its style; what is undefined or false is left out. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("--")) element.style.setProperty(key, value);
    else if (value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== false && child !== ""));
  return element;
}

/** Make the children of `parent` those of `items`, in their order. `elements` maps them: what is there stays. */
export function arrange(parent, elements, items, make) {
  const wanted = new Set(items);
  const focused = document.activeElement;
  for (const [item, element] of elements) {
    if (wanted.has(item)) continue;
    element.remove();
    elements.delete(item);
  }
  let place = parent.firstElementChild;
  for (const item of items) {
    if (!elements.has(item)) elements.set(item, make(item));
    if (elements.get(item) === place) place = place.nextElementSibling;
    else parent.insertBefore(elements.get(item), place);
  }
  if (document.activeElement !== focused) focused.focus({ preventScroll: true }); // what moves loses it
}

/** A name from a span; and as an element, kept apart from the direction of the text around it. */
export const nameOf = (text = "") => visible(text).trim() || "(no name)";
export const named = (text = "", attributes = {}) => el("bdi", { title: visible(text, { limit: 1000 }), ...attributes }, nameOf(text));

/** The parts of a text that may break behind a dot or a low line, as a name of several words. */
export const breakable = (text) => text.split(/(?<=[._])/).flatMap((word, i) => (i ? [el("wbr"), word] : [word]));

/** The words with which all of several names begin: what tells them apart comes behind it. */
export function sharedBeginning(names) {
  const [one, ...others] = [...new Set(names)].map(nameOf);
  if (!others.length) return "";
  let length = 0;
  while (length < one.length && others.every((other) => other[length] === one[length])) length += 1;
  return one.slice(0, length).match(/^.*[-_./ :]/s)?.[0] ?? "";
}

/** "1,000"; "1 span", "2 spans". */
export const number = (n) => NUMBER.format(n);
export const count = (n, one) => `${number(n)} ${n === 1 ? one : `${one}s`}`;

/** The nanoseconds from one point in time to another; NaN where one of them is 0, which is none. */
export const between = (from, to) => (from && to ? Number(to - from) : NaN);

/** A duration in nanoseconds, to three digits. */
export function duration(ns) {
  if (Number.isNaN(ns)) return "not set";
  if (ns === 0) return "0";
  if (ns < 0) return `−${duration(-ns)}`;
  const rounded = (size) => Number((ns / size).toPrecision(3));
  const isReached = ([, size], i) => i === 0 || rounded(UNITS[i - 1][1]) * UNITS[i - 1][1] >= size; // 59.96 s is 1 min
  const [unit, size] = UNITS.findLast(isReached);
  return `${size > ns ? 1 : rounded(size)} ${unit}`;
}

/** A point in time, exact to the microsecond, in the reader's time zone, which it names. Takes nanoseconds as a BigInt. */
export function moment(ns) {
  const date = new Date(Number(ns / 1_000_000n));
  const zone = ZONE.formatToParts(date).find(({ type }) => type === "timeZoneName").value;
  return `${SECONDS.format(date)}.${String((ns / 1000n) % 1_000_000n).padStart(6, "0")} ${zone}`;
}

/** The beginning of a trace id that tells it from others: one of 64 bits begins with zeros. */
export const shortId = (traceId) => traceId.replace(/^0{8,}/, "").slice(0, 8);

/** How long ago a point in time was. */
export function ago(ns) {
  if (!ns) return "not set";
  const past = Date.now() * 1e6 - Number(ns);
  const [unit, size] = UNITS.slice(3).findLast(([, size]) => past >= size) ?? [];
  if (!unit) return past > -1e9 ? "now" : "in the future";
  return `${Math.floor(past / size)} ${unit} ago`;
}

const HUES = Array.from({ length: 30 }, (_, n) => 60 + 10 * n); // never the red of errors
const TONES = [0, -1, 1]; // as bright as most, and more and less so: see style.css
const PLACES = TONES.flatMap((tone) => HUES.map((hue) => ({ hue, tone })));
const FAR = 0.08; // from there on two colours are told apart at a glance

/** How far from each other two colours look: their distance in OKLab, with the chroma and the tones of style.css. */
function apart(one, other) {
  const angle = ((one.hue - other.hue) * Math.PI) / 180;
  return Math.hypot(0.11 * (one.tone - other.tone), 2 * 0.11 * Math.sin(angle / 2));
}

/** The colour that a service has unless another one in its trace has nearly the same. */
function ownColour(service) {
  let hash = 478; // any number will do; this one puts the services of client.py and server.py far apart
  for (const character of service) hash = Math.imul(hash ^ character.codePointAt(0), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return { hue: HUES[((hash ^ (hash >>> 13)) >>> 0) % HUES.length], tone: 0 };
}

/** The colours of the services in one trace, as properties of a style by name: far from each other, and the same on every page. */
export function colours(services) {
  const given = new Map();
  for (const service of [...new Set(services)].sort()) {
    const taken = [...given.values()];
    const distance = (colour) => Math.min(...taken.map((other) => apart(colour, other)));
    let best = ownColour(service);
    if (taken.length < PLACES.length && distance(best) < FAR) {
      for (const place of PLACES) if (distance(place) > distance(best)) best = place;
    }
    given.set(service, best);
  }
  return new Map([...given].map(([service, { hue, tone }]) => [service, { "--hue": hue, "--tone": tone }]));
}

/** The mark of an error: solid for the span's own, hollow for one below it. */
export const errorMark = (below = false) =>
  el("span", { class: below ? "error-mark below" : "error-mark", role: "img", "aria-label": below ? "error below" : "error" }, "!");

const chip = ({ name, spanCount, errorSpanCount = 0 }, colour) =>
  el("span", { class: "chip", ...colour, title: `${visible(name)}: ${count(spanCount, "span")}, ${errorSpanCount} in error` },
    named(name), el("b", {}, number(spanCount)),
    ...(errorSpanCount ? [errorMark(), el("b", { class: "bad" }, number(errorSpanCount))] : []));

/** A chip for each service, with its name, its spans and its errors; of very many the first. */
export function chips(services) {
  const shown = services.slice(0, 20);
  const colour = colours(shown.map(({ name }) => name)); // those behind them, by their names, change nothing
  const rest = services.length - shown.length;
  return [
    ...shown.map((service) => chip(service, colour.get(service.name))),
    ...(rest ? [el("span", { class: "soft" }, `and ${rest} more`)] : []),
  ];
}
