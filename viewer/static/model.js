// Makes the tree of a trace from its OTLP JSON. Nothing here recurses: a trace may be 50,000 spans deep.

import { plausible } from "./text.js";

/**
 * The trace as a list of nodes in the order of the tree, each followed by all that is below it.
 *
 * A node holds its `span` with `resource` and `scope`, its place (`parent`, `level`, `size` of its subtree,
 * `position` among `siblings`), its times in nanoseconds (`start` since 1970, `from` since the trace's start,
 * `length`), and what the page marks: `error`, `errorBelow`, `orphan`.
 */
export function readTrace({ resourceSpans = [] }) {
  const nodes = [];
  for (const { resource = {}, schemaUrl: resourceSchema, scopeSpans = [] } of resourceSpans) {
    const service = serviceOf(resource);
    for (const { scope = {}, schemaUrl: scopeSchema, spans = [] } of scopeSpans) {
      for (const span of spans) nodes.push(newNode(span, { service, resource, resourceSchema, scope, scopeSchema }));
    }
  }
  const byId = new Map(nodes.map((node) => [node.id, node]));
  for (const node of nodes) {
    const { parentSpanId = "" } = node.span;
    node.parent = byId.get(parentSpanId);
    node.orphan = /[^0]/.test(parentSpanId) && !node.parent;
  }
  const ordered = inOrder(nodes);
  for (const node of ordered.toReversed()) {
    if (!node.parent) continue;
    node.parent.size += node.size;
    if (node.error || node.errorBelow) node.parent.errorBelow = true;
  }
  return { nodes: ordered, byId, ...measure(ordered), services: perService(ordered) };
}

/** The service's name, as the store has it. */
function serviceOf({ attributes = [] }) {
  const name = attributes.find(({ key }) => key === "service.name")?.value?.stringValue;
  return name?.slice(0, 200) || "unknown_service";
}

function newNode(span, origin) {
  const { spanId: id, startTimeUnixNano = "0", endTimeUnixNano = "0", status = {} } = span;
  const [start, end] = [BigInt(startTimeUnixNano), BigInt(endTimeUnixNano)];
  return { span, ...origin, id, start, end, error: status.code === 2, errorBelow: false, size: 1, level: 1 };
}

/** Give the nodes their places: roots and children by the time at which they start. */
function inOrder(nodes) {
  const byStart = (a, b) => (a.start < b.start ? -1 : Number(a.start > b.start));
  const roots = [];
  const children = new Map(nodes.map((node) => [node, []]));
  for (const node of nodes.toSorted(byStart)) (node.parent ? children.get(node.parent) : roots).push(node);

  const ordered = [];
  const seen = new Set();
  function walk(top, siblings, position) {
    const stack = [[top, siblings, position]];
    while (stack.length) {
      const [node, siblings, position] = stack.pop();
      if (seen.has(node)) continue;
      seen.add(node);
      ordered.push(Object.assign(node, { siblings, position, level: node.parent ? node.parent.level + 1 : 1 }));
      const below = children.get(node);
      for (let i = below.length; i > 0; i--) stack.push([below[i - 1], below.length, i]);
    }
  }
  roots.forEach((root, i) => walk(root, roots.length, i + 1));
  for (const node of nodes) {
    if (seen.has(node)) continue;
    // What no root leads to goes round in a circle. Cut it open, and mark where.
    Object.assign(node, { parent: undefined, orphan: true });
    walk(node, 1, 1);
  }
  return ordered;
}

/** Say from when to when the trace goes. A time that cannot be one does not count, unless there is no other. */
function measure(nodes) {
  const times = nodes.flatMap(({ start, end }) => [start, end]);
  const good = times.filter(plausible);
  let [first, last] = [good[0] ?? times[0] ?? 0n, good[0] ?? times[0] ?? 0n];
  for (const time of good.length ? good : times) {
    if (time < first) first = time;
    if (time > last) last = time;
  }
  let [depth, errors, orphans] = [0, 0, 0];
  for (const [index, node] of nodes.entries()) {
    node.index = index;
    node.from = Number(node.start - first);
    node.length = Number(node.end - node.start);
    node.timed = plausible(node.start) || !good.length;
    depth = Math.max(depth, node.level);
    errors += node.error;
    orphans += node.orphan;
  }
  return { first, total: Number(last - first), depth, errors, orphans };
}

function perService(nodes) {
  const services = new Map();
  for (const { service, error } of nodes) {
    const entry = services.get(service) ?? { name: service, spanCount: 0, errorSpanCount: 0 };
    entry.spanCount += 1;
    entry.errorSpanCount += error;
    services.set(service, entry);
  }
  return [...services.values()];
}
