// Finds spans by a text: their names, services, attributes, and what else a reader may remember of them.

import { parseExact } from "./search.js";
import { written } from "./values.js";

/**
 * The nodes in which a text is found, in any case, in their order. None for no text. In quotation marks the value of an
 * attribute, or of the span's own `name` and `service`, is meant as a whole: `name="GET"`.
 */
export function find(nodes, searched) {
  const { exact, text } = parseExact(searched);
  const wanted = text.toLowerCase();
  if (!wanted && !exact.length) return [];
  const has = (content = "") => content.toLowerCase().includes(wanted);
  const hasOne = ({ attributes = [] }) => attributes.some(({ key = "", value }) => has(`${key}=${written(value)}`));
  const isFound = (node) => {
    const { id, service, span } = node;
    const { name, status, events = [] } = span;
    const owners = wanted.includes("=") ? ownersOf(node) : [span, ...events]; // or a word of a resource would find all
    return has(name) || has(service) || has(status.message) || events.some((event) => has(event.name)) || owners.some(hasOne) || id === wanted;
  };
  return nodes.filter((node) => exact.every(([key, value]) => isExactly(node, key, value)) && (!wanted || isFound(node)));
}

/** All that has attributes, as in the search of the list. */
const ownersOf = ({ span, resource, scope }) => [span, resource, scope, ...(span.events ?? []), ...(span.links ?? [])];

function isExactly(node, key, value) {
  const own = { service: node.service, name: node.span.name ?? "" };
  const isOne = (attribute) => attribute.key === key && oneLine(written(attribute.value)) === value;
  return (Object.hasOwn(own, key) && oneLine(own[key]) === value) || ownersOf(node).some(({ attributes = [] }) => attributes.some(isOne));
}

/** A text as a field of one line keeps it. */
export const oneLine = (text) => text.replace(/[\r\n]/g, "");
