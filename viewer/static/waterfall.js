// Draws a trace's axis, and a span's row: its place in the tree, its bar, its events.

import { drawn } from "./path.js";
import { UNITS, between, duration, el, errorMark, named, number, visible } from "./text.js";

export const KINDS = ["", "internal", "server", "client", "producer", "consumer"];
export const DEEPEST = 20; // levels that are indented
const DOTS = 50; // events of a span that are shown on its bar
const LEAST = { name: 12, service: 22 }; // characters that a row has room for, however long the other is
const WHOLE = [[1e9, [1, 2, 5, 10, 15, 30]], [6e10, [1, 2, 5, 10, 15, 30]], [36e11, [1, 2, 3, 6, 12]]];

/** Draw the ticks of a stretch of time: `from` the trace's zero, and of a `length`, in nanoseconds. */
export function drawAxis(axis, { from, length }) {
  const step = niceStep(length / 6);
  const first = Math.ceil(from / step) * step;
  const ticks = Array.from({ length: length && Math.floor((from + length - first) / step) + 1 }, (_, i) => first + i * step);
  axis.replaceChildren(...ticks.map((at) => el("span", { class: "tick", "--x": (at - from) / length }, tickLabel(at, step))));
  const { style } = axis.closest("[role=treegrid]");
  const share = length ? step / length : 1;
  style.setProperty("--step", share);
  style.setProperty("--shift", share < 1 ? (first - from) / length / (1 - share) : 0); // as CSS counts the place of a picture
}

/** A step of 1, 2 or 5, 10, 20, … nanoseconds; from a second on, one that makes up whole minutes, hours and days. */
function niceStep(ns) {
  const whole = WHOLE.flatMap(([unit, steps]) => steps.map((n) => n * unit));
  if (ns > whole[0] / 2 && ns <= whole.at(-1)) return whole.find((step) => step >= ns);
  const unit = ns > whole.at(-1) ? 864e11 : 1;
  const power = 10 ** Math.floor(Math.log10(Math.max(1, ns / unit)));
  return [1, 2, 5, 10].map((n) => n * power * unit).find((step) => step >= ns);
}

/** A place on the axis: from a second on in whole steps, below it with as many digits as tell one tick from the next. */
function tickLabel(at, step) {
  if (at === 0) return "0";
  if (at < 0) return `−${tickLabel(-at, step)}`;
  const [unit, size] = UNITS.slice(0, -1).findLast(([, size]) => (step < 1e9 ? size <= Math.min(at, 1e9) : size <= step)) ?? UNITS[0];
  const digits = Math.max(0, Math.ceil(Math.log10(size / step) - 1e-9));
  return `${number(Number((at / size).toFixed(digits)))} ${unit}`;
}

/** What stands in the row of a span. `view` is the stretch of time that is shown, `beginning` that of all services' names. */
export function cells(node, view, beginning, closed) {
  const { span, service, level, size, error, errorBelow, parent, hit } = node;
  const title = named(span.name, { class: "title", "--least": Math.min(LEAST.name, (span.name ?? "").length) });
  if (hit) title.replaceChildren(el("mark", {}, ...title.childNodes));
  // A process boundary is where the service changes: only there its name is worth the room.
  const boundary = parent?.service !== service;
  return [
    el("div", { role: "gridcell", class: "name", "--level": Math.min(level - 1, DEEPEST) },
      el("span", { class: "twisty", "aria-hidden": "true" }),
      level - 1 > DEEPEST && el("span", { class: "soft" }, `level ${level}`),
      el("span", { class: "stripe", "aria-hidden": "true" }),
      (error || errorBelow) && errorMark(!error),
      title,
      closed && el("span", { class: "soft" }, `+${number(size - 1)}`),
      ...notes(node).map((note) => el("span", { class: "note", title: note }, note)),
      serviceName(service, beginning, boundary)),
    el("div", { role: "gridcell", class: "kind" }, KINDS[span.kind] ?? ""),
    el("div", { role: "gridcell", class: "track" }, ...timeline(node, view)),
  ];
}

/** The name of a service. Where it is too long its beginning is cut, if all have the same. */
function serviceName(service, beginning, boundary) {
  const telling = service.length - beginning.length; // the characters that the others have not
  const least = Math.min(LEAST.service, telling + 2);
  const name = named(service, { class: boundary ? "service" : "service unseen", "--least": least });
  const text = name.textContent;
  if (boundary && beginning) name.replaceChildren(el("span", {}, beginning), el("span", {}, text.slice(beginning.length)));
  return name;
}

/** What is special about a span's place in its trace, in words. */
export function notes({ orphan, circular, shared, early, far }) {
  return [
    orphan && "parent has not come",
    circular && "stands under itself",
    shared > 1 && "shared id",
    far && `begins ${duration(Math.abs(far))} ${far < 0 ? "before" : "after"} the others`,
    early > 0 && !far && `begins ${duration(early)} before its parent`,
  ].filter(Boolean);
}

/** The bar of a span with its events, and its duration beside it. What has no place in the view is not drawn. */
function timeline({ span: { events = [] }, error, from, length, path }, view) {
  const place = (ns) => (ns - view.from) / (view.length || 1); // NaN for a time that was not set
  const inside = (share) => Math.min(1, Math.max(0, share || 0));
  const until = from + Math.max(0, length || 0);
  const [left, right] = [inside(place(from)), inside(place(until))];
  if (place(until) < 0 || place(from) > 1) {
    const [sign, words] = left ? ["▸", "after the shown time"] : ["◂", "before the shown time"];
    return [
      el("span", { class: "elsewhere", role: "img", "aria-label": words, title: words, "--x": left }, sign),
      el("span", { class: "length unseen" }, duration(length)),
    ];
  }
  const bar = { class: error ? "bar bad" : "bar", role: "img", "aria-label": `from ${duration(from)}`, "--x": left, "--w": right - left };
  const dots = events.slice(0, DOTS).map(({ name = "", timeUnixNano = 0 }) => ({ name, at: place(between(view.zero, BigInt(timeUnixNano))) }));
  return [
    Number.isNaN(from) ? "" : el("span", bar),
    ...drawn(path, view).map(({ left, right }) => el("span", {
      class: "path", title: "critical path: the whole waited for this", "--x": left, "--w": right - left,
    })),
    ...dots.filter(({ at }) => at >= 0 && at <= 1).map(({ name, at }) => el("span", {
      class: name === "exception" ? "dot bad" : "dot", role: "img", "aria-label": `event ${visible(name)}`, title: visible(name), "--x": at,
    })),
    el("span", { class: "length", "--x": right }, duration(length)),
  ];
}
