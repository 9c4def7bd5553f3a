// Draws a trace's axis, and a span's row: its place in the tree, its bar, its events.

import { between, duration, el, errorMark, named, number, visible } from "./text.js";

export const KINDS = ["", "internal", "server", "client", "producer", "consumer"];
const DEEPEST = 12; // levels that are indented
const DOTS = 50; // events of a span that are shown on its bar

/** Draw the time ticks. */
export function drawAxis(axis, { total }) {
  const step = niceStep(total / 6);
  const ticks = Array.from({ length: total && Math.floor(total / step) + 1 }, (_, i) => i * step);
  axis.replaceChildren(...ticks.map((at) => el("span", { class: "tick", "--x": at / total }, duration(at))));
  axis.closest("[role=treegrid]").style.setProperty("--step", total ? step / total : 1);
}

/** The next of 1, 2, 5, 10, 20, 50, … nanoseconds. */
function niceStep(ns) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, ns)));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= ns);
}

/** What stands in the row of a span. */
export function cells(node, trace, closed) {
  const { span, service, level, size, error, errorBelow, orphan, parent } = node;
  return [
    el("div", { role: "gridcell", class: "name", "--level": Math.min(level - 1, DEEPEST) },
      el("span", { class: "twisty", "aria-hidden": "true" }),
      level - 1 > DEEPEST && el("span", { class: "soft" }, `level ${level}`),
      el("span", { class: "stripe", "aria-hidden": "true" }),
      (error || errorBelow) && errorMark(!error),
      named(span.name, { class: "title" }),
      closed && el("span", { class: "soft" }, `+${number(size - 1)}`),
      orphan && el("span", { class: "note" }, "parent missing"),
      // A process boundary is where the service changes: only there its name is worth the room.
      named(service, { class: parent?.service === service ? "service unseen" : "service" })),
    el("div", { role: "gridcell", class: "kind" }, KINDS[span.kind] ?? ""),
    el("div", { role: "gridcell", class: "track" }, ...timeline(node, trace)),
  ];
}

/** The bar of a span with its events, and its duration beside it. */
function timeline({ span: { events = [] }, error, from, length }, { first, total }) {
  const share = (ns) => Math.min(1, Math.max(0, ns / total || 0));
  const [left, right] = [share(from), share(from + Math.max(0, length || 0))];
  return [
    el("span", { class: error ? "bar bad" : "bar", role: "img", "aria-label": `from ${duration(from)}`, "--x": left, "--w": right - left }),
    ...events.filter(({ timeUnixNano }) => timeUnixNano).slice(0, DOTS).map(({ name = "", timeUnixNano }) => el("span", {
      class: name === "exception" ? "dot bad" : "dot", role: "img", "aria-label": `event ${visible(name)}`, title: visible(name),
      "--x": share(between(first, BigInt(timeUnixNano))),
    })),
    el("span", { class: "length", "--x": right }, duration(length)),
  ];
}
