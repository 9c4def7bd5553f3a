// Makes the tree of a trace from its OTLP JSON. Nothing here recurses: a trace may be 50,000 spans deep.

import { plausible } from "./text.js";

/**
 * The trace: its `nodes` in the order of the tree, each followed by all that is below it, and what sums them up.
 *
 * A node holds its `span` with `resource` and `scope`, its place (`parent`, `level`, `size` of its subtree,
 * `position` among `siblings`), its times in nanoseconds (`start` since 1970, `from` since the trace's start,
 * `length`), and what the page marks: `error`, `errorBelow`, `orphan`.
 */
export function readTrace({ resourceSpans = [] }) {
  const nodes = [];
  for (const { resource = {}, schemaUrl: resourceSchema, scopeSpans = [] } of resourceSpans) {
    const name = resource.attributes?.find(({ key }) => key === "service.name")?.value?.stringValue;
    const service = name?.slice(0, 200) || "unknown_service"; // as the store has it
    for (const { scope = {}, schemaUrl: scopeSchema, spans = [] } of scopeSpans) {
      for (const span of spans) {
        const { spanId: id, startTimeUnixNano = 0, endTimeUnixNano = 0, status } = span;
        const [start, end, error] = [BigInt(startTimeUnixNano), BigInt(endTimeUnixNano), status?.code === 2];
        nodes.push({ span, service, resource, resourceSchema, scope, scopeSchema, id, start, end, error, size: 1 });
      }
    }
  }
  const byId = new Map(nodes.map((node) => [node.id, node]));
  for (const node of nodes) {
    const { parentSpanId = "" } = node.span;
    node.parent = byId.get(parentSpanId);
    node.orphan = /[^0]/.test(parentSpanId) && !node.parent;
  }
  const ordered = inOrder(nodes);
  for (const { parent, size, error, errorBelow } of ordered.toReversed()) {
    if (!parent) continue;
    parent.size += size;
    parent.errorBelow ||= error || errorBelow;
  }
  const services = [...Map.groupBy(ordered, ({ service }) => service)].map(([name, nodes]) =>
    ({ name, spanCount: nodes.length, errorSpanCount: nodes.filter(({ error }) => error).length }));
  return {
    nodes: ordered, byId, services, ...measure(ordered),
    errors: ordered.filter(({ error }) => error),
    orphans: ordered.filter(({ orphan }) => orphan).length,
    depth: ordered.reduce((depth, { level }) => Math.max(depth, level), 0),
  };
}

/** Give the nodes their places: roots and children by the time at which they start. */
function inOrder(nodes) {
  const byStart = nodes.toSorted((a, b) => (a.start < b.start ? -1 : Number(a.start > b.start)));
  const children = Map.groupBy(byStart, ({ parent }) => parent);
  const ordered = new Set();
  function walk(tops) {
    const stack = [];
    const push = (siblings) => {
      for (let i = siblings.length; i > 0; i--) stack.push([siblings[i - 1], i, siblings.length]);
    };
    push(tops);
    while (stack.length) {
      const [node, position, siblings] = stack.pop();
      if (ordered.has(node)) continue;
      ordered.add(Object.assign(node, { position, siblings, level: (node.parent?.level ?? 0) + 1 }));
      push(children.get(node) ?? []);
    }
  }
  walk(children.get(undefined) ?? []);
  for (const node of nodes) {
    if (ordered.has(node)) continue;
    // What no root leads to hangs on a circle of parents. Cut that open, and mark where.
    let top = node;
    for (const seen = new Set(); !seen.has(top); top = top.parent) seen.add(top);
    walk([Object.assign(top, { parent: undefined, orphan: true })]);
  }
  return [...ordered];
}

/** Say from when to when the trace goes. A time that cannot be one does not count, unless there is no other. */
function measure(nodes) {
  const times = nodes.flatMap(({ start, end }) => [start, end]);
  const good = times.filter(plausible);
  const counted = good.length ? good : times;
  const first = counted.reduce((a, b) => (b < a ? b : a));
  const last = counted.reduce((a, b) => (b > a ? b : a));
  for (const [index, node] of nodes.entries()) {
    Object.assign(node, { index, from: Number(node.start - first), length: Number(node.end - node.start) });
    node.timed = plausible(node.start) || !good.length;
  }
  return { first, total: Number(last - first) };
}
