// Makes the tree of a trace from its OTLP JSON. Nothing here recurses: a trace may be 50,000 spans deep.

import { between } from "./text.js";

const YEAR = 31_557_600e9; // nanoseconds

/**
 * The trace: its `nodes`, each followed by all that is below it; the same `byKey`; its `root`; its `first` time, its
 * `total` in nanoseconds; where some spans are years from the rest, the stretch of time of the others: `usual`; and the
 * time from which the page counts: `zero`.
 *
 * A node holds its `span` with `resource`, `scope` and the URLs of their `schemas`, its place (`index` among the nodes, `parent`, `children`, `level`,
 * `size` of its subtree), its times in nanoseconds (`start` and `end` since 1970, `from` zero, `length`), and what
 * the page marks: `error`, `errorBelow`, `orphan`, `circular`, `shared` (how many spans have its id), `early` (how long before
 * its parent it begins), `far` (how long after the others, if it is years). Its `key` is its id; of spans that share one the
 * first has it, and the others have a number behind it.
 */
export function readTrace({ resourceSpans = [] }) {
  const found = resourceSpans.flatMap(readResource);
  found.sort(byStart);
  const first = found.find(({ start }) => start)?.start ?? 0n; // 0 is a time that was not set
  const usual = markFar(found);
  const zero = usual?.start ?? first;
  const byId = Map.groupBy(found, ({ id }) => id);
  for (const [id, same] of byId) {
    for (const [i, node] of same.entries()) {
      node.key = i ? `${id}.${i + 1}` : id;
      node.shared = same.length;
    }
  }
  for (const node of found) {
    node.parent = findParent(node, byId.get(node.span.parentSpanId));
    node.orphan = node.span.parentSpanId !== undefined && !node.parent;
    node.from = between(zero, node.start);
  }
  cutCircles(found);
  for (const node of found) {
    node.parent?.children.push(node);
    node.early = between(node.start, node.parent?.start);
  }
  const nodes = inOrder(found);
  for (const { parent, size, error, errorBelow } of nodes.toReversed()) {
    if (!parent) continue;
    parent.size += size;
    parent.errorBelow ||= error || errorBelow;
  }
  return {
    nodes,
    byKey: new Map(nodes.map((node) => [node.key, node])),
    root: nodes.find(({ parent, orphan, circular }) => !parent && !orphan && !circular) ?? nodes[0],
    first,
    total: Number(latest(found, first) - first),
    usual,
    zero,
  };
}

/** The spans in error: first those where one began, with none below them, by their start; then what passed it on, from below. */
export function errorsOf(nodes) {
  const errors = nodes.filter(({ error }) => error);
  const began = errors.filter(({ errorBelow }) => !errorBelow).sort(byStart);
  return [...began, ...errors.filter(({ errorBelow }) => errorBelow).reverse()];
}

const byStart = (a, b) => (a.start < b.start ? -1 : Number(a.start > b.start));

/** The spans of one resource, as nodes that have no place yet. */
function readResource({ resource = {}, schemaUrl, scopeSpans = [] }) {
  const name = resource.attributes?.find(({ key }) => key === "service.name")?.value;
  const service = name?.stringValue?.slice(0, 200) || "unknown_service"; // as the store has it
  return scopeSpans.flatMap(({ scope = {}, schemaUrl: ofScope, spans = [] }) => spans.map((span) => {
    const start = BigInt(span.startTimeUnixNano ?? 0);
    const end = BigInt(span.endTimeUnixNano ?? 0);
    const error = span.status.code === 2;
    const schemas = [schemaUrl, ofScope];
    return { span, service, resource, scope, schemas, id: span.spanId, start, end, length: between(start, end), error, children: [], size: 1 };
  }));
}

/** Of the spans that have the parent's id: the last one in the same process, else the last one. */
function findParent(node, candidates = []) {
  // Its own id names the span itself, unless another one has it too.
  const mayBe = (other) => other !== node || candidates.length === 1;
  return candidates.findLast((other) => mayBe(other) && other.resource === node.resource) ?? candidates.findLast(mayBe);
}

/** Take the parent from one span of each ring, so that there is a tree. */
function cutCircles(found) {
  for (const node of found) {
    let top = node;
    while (top && !top.cameFrom) {
      top.cameFrom = node;
      top = top.parent;
    }
    if (top?.cameFrom === node) {
      top.parent = undefined;
      top.circular = true;
    }
  }
}

/** The nodes by their tree: first the roots and those without a parent, then what stands under itself; all by their start. */
function inOrder(found) {
  const tops = found.filter(({ parent }) => !parent);
  const next = [...tops.filter(({ circular }) => !circular), ...tops.filter(({ circular }) => circular)].reverse();
  const nodes = [];
  while (next.length) {
    const node = next.pop();
    node.level = (node.parent?.level ?? 0) + 1;
    node.index = nodes.push(node) - 1;
    for (const child of node.children.toReversed()) next.push(child);
  }
  return nodes;
}

function latest(nodes, first) {
  let last = first;
  for (const { start, end } of nodes) {
    if (start > last) last = start;
    if (end > last) last = end;
  }
  return last;
}

/** Mark the spans that are years from the rest, and give the stretch of the others, if there are such. */
function markFar(found) {
  const timed = found.filter(({ start }) => start);
  let [gap, place] = [0, 0];
  for (let i = 1; i < timed.length; i++) {
    const wait = Number(timed[i].start - timed[i - 1].start);
    if (wait > gap) [gap, place] = [wait, i];
  }
  if (gap < YEAR) return undefined;
  const [before, after] = [timed.slice(0, place), timed.slice(place)];
  const isBefore = before.length <= after.length;
  const [far, usual] = isBefore ? [before, after] : [after, before];
  for (const node of far) node.far = isBefore ? -gap : gap;
  const { start } = usual[0];
  return { start, length: Number(latest(usual, start) - start) };
}
