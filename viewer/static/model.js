// Makes the tree of a trace from its OTLP JSON. Nothing here recurses: a trace may be 50,000 spans deep.

import { between } from "./text.js";

const CLIENT = 3; // a span's kind in OTLP

/**
 * The trace: its `nodes`, each followed by all that is below it; the same `byId`; its `root`; its `first` time, and
 * its `total` in nanoseconds.
 *
 * A node holds its `span` with `resource` and `scope`, its place (`parent`, `children`, `level`, `size` of its
 * subtree), its times in nanoseconds (`start` and `end` since 1970, `from` the trace's start, `length`), and what
 * the page marks: `error`, `errorBelow`, `orphan`. Its `id` is the span's; of several with one id, all but the first
 * have a number behind it.
 */
export function readTrace({ resourceSpans = [] }) {
  const found = resourceSpans.flatMap(({ resource = {}, scopeSpans = [] }) => {
    const name = resource.attributes?.find(({ key }) => key === "service.name")?.value?.stringValue;
    const service = name?.slice(0, 200) || "unknown_service"; // as the store has it
    return scopeSpans.flatMap(({ scope = {}, spans = [] }) => spans.map((span) => {
      const [start, end] = [BigInt(span.startTimeUnixNano ?? 0), BigInt(span.endTimeUnixNano ?? 0)];
      const error = span.status.code === 2;
      return { span, service, resource, scope, id: span.spanId, start, end, length: between(start, end), error, children: [], size: 1 };
    }));
  });
  found.sort((a, b) => (a.start < b.start ? -1 : Number(a.start > b.start)));
  const first = found.find(({ start }) => start)?.start ?? 0n; // 0 is a time that was not set
  const last = found.reduce((last, { start, end }) => [start, end].reduce((a, b) => (b > a ? b : a), last), first);
  const sameId = Map.groupBy(found, ({ id }) => id);
  for (const [id, nodes] of sameId) nodes.forEach((node, i) => (node.id = i ? `${id}.${i + 1}` : id));
  const byId = new Map(found.map((node) => [node.id, node]));
  for (const node of found) {
    const { parentSpanId } = node.span;
    node.parent = findParent(node, sameId.get(parentSpanId));
    node.orphan = parentSpanId !== undefined && !node.parent;
    node.from = between(first, node.start);
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
  const root = nodes.find(({ parent, orphan }) => !parent && !orphan) ?? nodes[0];
  return { nodes, byId, root, first, total: Number(last - first) };
}

/** Of the spans that have the parent's id: the last one of the same resource, else the last one. */
function findParent(node, candidates = []) {
  const others = candidates.length > 1 ? candidates.filter((each) => each !== node) : candidates;
  return others.findLast(({ resource }) => resource === node.resource) ?? others.at(-1);
}

/** Whether a span is a call over HTTP or RPC under which nothing has come: its other side sends when it likes. */
export function isUnanswered({ span: { kind, attributes = [] }, children }) {
  const has = (pattern) => attributes.some(({ key }) => pattern.test(key));
  return kind === CLIENT && !children.length && has(/^(http|url|rpc)\./) && !has(/^db\./);
}
