// Where the time went: a table of the operations of each service.

import { foldable } from "./folding.js";
import { $, count, duration, el, named, number } from "./text.js";

const MOST = 200; // operations that are shown
const table = $("operations");
let last; // the nodes, the colours of their services, and how to find the spans of one: for when the reader opens it

/** Show the operations of these nodes. `findSpans` is called with the one that a reader chooses. */
export function readOperations(nodes, colour, findSpans) {
  last = { nodes, colour, findSpans };
  const chosen = table.contains(document.activeElement) && document.activeElement.value;
  if (table.hidden) return;
  fill();
  if (chosen) [...table.querySelectorAll("button")].find(({ value }) => value === chosen)?.focus({ preventScroll: true });
}

/**
 * For each name of spans in each service: how many there are, how long they took in all, and how long by themselves,
 * without what their children took, in nanoseconds; those first that took longest by themselves.
 */
export function operationsOf(nodes) {
  const found = new Map();
  for (const node of nodes) {
    const { service, span: { name = "" }, length } = node;
    const key = JSON.stringify([service, name]);
    if (!found.has(key)) found.set(key, { key, service, name, spans: 0, total: 0, self: 0 });
    const operation = found.get(key);
    operation.spans += 1;
    operation.total += Math.max(0, length || 0);
    operation.self += selfTime(node);
  }
  return [...found.values()].sort((a, b) => b.self - a.self);
}

/** The time of a span in which none of its children ran. They come by their start. */
function selfTime({ from, length, children }) {
  if (!(length > 0)) return 0;
  let [self, reached] = [length, from];
  for (const child of children) {
    const begin = Math.max(reached, child.from);
    const end = Math.min(from + length, child.from + child.length);
    if (!(begin < end)) continue;
    self -= end - begin;
    reached = end;
  }
  return self;
}

function fill() {
  const { nodes, colour, findSpans } = last;
  const all = operationsOf(nodes);
  const rest = all.length - MOST;
  table.querySelector("tbody").replaceChildren(...all.slice(0, MOST).map((operation) => row(operation, colour, findSpans)));
  table.querySelector("p").textContent = rest > 0 ? `and ${count(rest, "more operation")} with less time of their own` : "";
}

function row(operation, colour, findSpans) {
  const { key, service, name, spans, total, self } = operation;
  const made = el("tr", {},
    el("th", { scope: "row" }, el("div", { class: "operation" },
      el("button", { type: "button", value: key }, named(name)),
      el("span", {}, el("span", { class: "chip", ...colour.get(service) }, named(service))))),
    ...[number(spans), duration(total), duration(self)].map((figure) => el("td", {}, figure)));
  made.addEventListener("click", () => getSelection().isCollapsed && findSpans(operation));
  return made;
}

/** Open the table and go there; or close it, and go back to its button. */
export const { toggle: toggleOperations } = foldable($("show-operations"), table, fill);
