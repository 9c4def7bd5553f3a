// Makes the tree of a trace from its OTLP JSON. Nothing here recurses: a trace may be 50,000 spans deep.

import { plausible } from "./text.js";

/**
 * The trace: its `nodes`, each followed by all that is below it; the same `byId`; its `first` time and its `total`.
 *
 * A node holds its `span` with `resource` and `scope`, its place (`parent`, `children`, `level`, `size` of its
 * subtree), its times in nanoseconds (`start` and `end` since 1970, `from` the trace's start, `length`), and what
 * the page marks: `error`, `errorBelow`, `orphan`, and whether it is `timed`.
 */
export function readTrace({ resourceSpans = [] }) {
  const found = resourceSpans.flatMap(({ resource = {}, schemaUrl: resourceSchema, scopeSpans = [] }) => {
    const name = resource.attributes?.find(({ key }) => key === "service.name")?.value?.stringValue;
    const service = name?.slice(0, 200) || "unknown_service"; // as the store has it
    return scopeSpans.flatMap(({ scope = {}, schemaUrl: scopeSchema, spans = [] }) => spans.map((span) => ({
      span, service, resource, resourceSchema, scope, scopeSchema, id: span.spanId,
      start: BigInt(span.startTimeUnixNano ?? 0), end: BigInt(span.endTimeUnixNano ?? 0),
      error: span.status?.code === 2, children: [], size: 1,
    })));
  });
  found.sort((a, b) => (a.start < b.start ? -1 : Number(a.start > b.start)));
  const byId = new Map(found.map((node) => [node.id, node]));
  for (const node of found) {
    const { parentSpanId = "" } = node.span;
    node.parent = byId.get(parentSpanId);
    node.orphan = /[^0]/.test(parentSpanId) && !node.parent;
  }
  for (const node of found) {
    let top = node;
    for (; top && !top.cameFrom; top = top.parent) top.cameFrom = node;
    if (top?.cameFrom === node) Object.assign(top, { parent: undefined, orphan: true }); // a circle: cut it open
  }
  for (const node of found) node.parent?.children.push(node);
  const nodes = [];
  for (const next = found.filter(({ parent }) => !parent).reverse(); next.length; ) {
    const node = next.pop();
    node.level = (node.parent?.level ?? 0) + 1;
    nodes.push(node);
    for (const child of node.children.toReversed()) next.push(child);
  }
  for (const { parent, size, error, errorBelow } of nodes.toReversed()) {
    if (!parent) continue;
    parent.size += size;
    parent.errorBelow ||= error || errorBelow;
  }
  return { nodes, byId, ...measure(nodes) };
}

/** Say from when to when the trace goes. A time that cannot be one does not count, unless there is no other. */
function measure(nodes) {
  const times = nodes.flatMap(({ start, end }) => [start, end]);
  const good = times.filter(plausible);
  const counted = good.length ? good : times;
  const first = counted.reduce((a, b) => (b < a ? b : a));
  const last = counted.reduce((a, b) => (b > a ? b : a));
  for (const node of nodes) {
    node.timed = plausible(node.start) || !good.length;
    Object.assign(node, { from: Number(node.start - first), length: Number(node.end - node.start) });
  }
  return { first, total: Number(last - first) };
}
