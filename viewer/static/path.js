// The critical path: the parts of the spans that the whole had to wait for. What lies beside them may run longer at no cost.

const GRAIN = 1 / 500; // of the shown time; a gap that is smaller is not seen

/**
 * The parts of each span on the critical path below `root`, by its node: from a time to a time in nanoseconds, the last first.
 *
 * It is walked from the end. A span waits for the child that ended last, then for the last one that had ended when that
 * one began, and so on; what is between them is its own. What runs on behind its parent counts as far as that goes.
 */
export function criticalPath(root) {
  const path = new Map();
  const next = [{ node: root, from: -Infinity, until: Infinity }];
  while (next.length) { // nothing recurses: a trace may be 50,000 spans deep
    const { node, from, until } = next.pop();
    const begin = Math.max(from, node.from);
    const last = Math.min(until, endOf(node));
    const endIn = (child) => Math.min(last, endOf(child));
    const timed = node.children.filter((child) => child.from < endIn(child)); // nor is there one without its times
    const parts = [];
    let end = last;
    for (const child of timed.sort((a, b) => endIn(b) - endIn(a) || a.from - b.from)) {
      if (endIn(child) > end) continue; // it ran beside the one after it
      if (endIn(child) <= begin) break;
      if (endIn(child) < end) parts.push([endIn(child), end]);
      next.push({ node: child, from: begin, until: endIn(child) });
      end = Math.max(begin, child.from);
    }
    if (begin < end) parts.push([begin, end]);
    path.set(node, parts);
  }
  return path;
}

const endOf = ({ from, length }) => from + Math.max(0, length);

/** How long the whole waited for these parts of a span. */
export const waited = (parts = []) => parts.reduce((sum, [from, until]) => sum + until - from, 0);

/** From where to where these parts are drawn, in shares of the shown time. */
export function drawn(parts = [], { from, length }) {
  const shares = [];
  for (const part of parts) {
    const [left, right] = part.map((at) => Math.min(1, Math.max(0, (at - from) / length)));
    const before = shares.at(-1);
    if (before?.left - right < GRAIN) before.left = left;
    else if (left < right) shares.push({ left, right });
  }
  return shares;
}
