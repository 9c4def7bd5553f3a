// Finds spans by a text: their names, services, attributes, and what else a reader may remember of them.

import { written } from "./values.js";

/** The nodes in which a text is found, in any case, in their order. None for no text. */
export function find(nodes, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return [];
  const has = (content = "") => content.toLowerCase().includes(wanted);
  const hasOne = ({ key = "", value }) => has(`${key}=${written(value)}`);
  const isEvent = ({ name, attributes = [] }) => has(name) || attributes.some(hasOne);
  return nodes.filter(({ id, service, span: { name, status, attributes = [], events = [] } }) =>
    has(name) || has(service) || attributes.some(hasOne) || has(status.message) || events.some(isEvent) || id === wanted);
}
