// Everything that is known about one span.

import { colour, duration, el, moment, named, plausible, visible } from "./text.js";
import { KINDS } from "./waterfall.js";

const SHORT = 2_000; // characters of a value that are shown at first
const LONG = 200_000; // and at most
const ITEMS = 100; // attributes, events or links in one list

/** Fill `content` with a span of a trace. */
export function showSpan(content, node, trace, traceId) {
  const { span, service, resource, scope } = node;
  const { attributes, events = [], links = [], status = {} } = span;
  const address = `/trace/${traceId}#${node.id}`;
  content.replaceChildren(
    el("h2", {}, named(span.name ?? "")),
    el("p", { class: "of" }, colour(el("span", { class: "chip" }, named(service)), service), KINDS[span.kind] ?? ""),
    table([
      ["Status", el("span", { class: status.code === 2 && "bad" }, ["Unset", "OK", "Error"][status.code ?? 0] ?? "")],
      ["Message", status.message && longText(status.message)],
      ["Start", el("span", {}, moment(node.start)), el("span", { class: "soft" }, relation(node))],
      ["Duration", node.end === 0n ? "no end" : duration(node.length)],
      ["Span id", el("code", {}, node.id), copy(node.id, "span id")],
      ["Parent", ...parent(node)],
      ["Trace id", el("code", {}, traceId), copy(traceId, "trace id")],
      ["Trace state", span.traceState && longText(span.traceState)],
      ["Link", el("a", { href: address }, "to this span"), copy(location.origin + address, "link")],
    ]),
    ...list("Events", events, span.droppedEventsCount, (event) => [
      el("h4", {}, named(event.name ?? ""), el("span", { class: "soft" }, since(event.timeUnixNano, trace))),
      ...pairs(event.attributes, event.droppedAttributesCount),
    ]),
    ...section("Attributes", pairs(attributes, span.droppedAttributesCount)),
    ...list("Links", links, span.droppedLinksCount, (link) => [
      el("h4", {}, el("a", { href: `/trace/${link.traceId}#${link.spanId}` }, `span ${link.spanId}`),
        el("span", { class: "soft" }, `of trace ${link.traceId}`)),
      ...pairs(link.attributes, link.droppedAttributesCount),
    ]),
    ...section("Resource", [
      ...pairs(resource.attributes, resource.droppedAttributesCount),
      table([["Schema", node.resourceSchema && longText(node.resourceSchema)]]),
    ]),
    ...section("Scope", [
      table([["Name", scope.name && longText(scope.name)], ["Version", scope.version && longText(scope.version)]]),
      ...pairs(scope.attributes, scope.droppedAttributesCount),
      table([["Schema", node.scopeSchema && longText(node.scopeSchema)]]),
    ]),
  );
}

/** Where the span stands against the trace and its parent. A clock that is ahead shows here, and stays as it is. */
function relation({ from, parent, start }) {
  const lead = parent ? Number(parent.start - start) : 0;
  return `${duration(from)} into the trace${lead > 0 ? `, ${duration(lead)} before its parent starts` : ""}`;
}

function parent({ span, parent, orphan }) {
  if (!span.parentSpanId) return [el("span", { class: "soft" }, "none")];
  const id = el("code", {}, span.parentSpanId);
  if (orphan) return [id, el("span", { class: "note" }, "missing")];
  return [el("a", { href: `#${parent.id}` }, named(parent.span.name ?? "")), id];
}

const since = (time = "0", { first }) =>
  plausible(BigInt(time)) ? `at ${duration(Number(BigInt(time) - first))}` : "no valid time";

/** A heading and what is below it; nothing when there is nothing below. */
function section(title, content) {
  const parts = content.filter(Boolean);
  return parts.length ? [el("section", {}, el("h3", {}, title), ...parts)] : [];
}

const list = (title, items, droppedCount, show) =>
  section(title, [...items.slice(0, ITEMS).map((item) => el("article", {}, ...show(item))), ...rest(items, droppedCount)]);

/** Attributes by name, those of many lines last. Whether a convention is old or new makes no difference. */
function pairs(attributes = [], droppedCount) {
  const shown = attributes.slice(0, ITEMS).map(({ key = "", value }) => ({ key, text: written(value) }));
  const lines = ({ text }) => Number(text.includes("\n"));
  shown.sort((a, b) => lines(a) - lines(b) || (a.key < b.key ? -1 : 1));
  const rows = shown.map(({ key, text }) => [visible(key) || "(no name)", longText(text)]);
  return [table(rows), ...rest(attributes, droppedCount)];
}

const rest = (items, droppedCount) => [
  items.length > ITEMS && el("p", { class: "soft" }, `and ${items.length - ITEMS} more: see the download`),
  droppedCount && el("p", { class: "soft" }, `${droppedCount} more were dropped before they were sent`),
];

/** A table of names and what belongs to them; without those to which nothing does. */
function table(rows) {
  const full = rows.filter(([, first]) => first);
  const line = ([key, ...content]) =>
    el("div", { class: content[0].long && "wide" }, el("dt", {}, el("bdi", {}, key)), el("dd", {}, ...content));
  return full.length > 0 && el("dl", {}, ...full.map(line));
}

/** An OTLP AnyValue as text. */
export function written(value = {}) {
  const [[kind, content] = []] = Object.entries(value);
  if (kind === "arrayValue") return `[${(content.values ?? []).slice(0, ITEMS).map(written).join(", ")}]`;
  if (kind === "kvlistValue") {
    const parts = (content.values ?? []).slice(0, ITEMS).map(({ key = "", value }) => `${key}: ${written(value)}`);
    return `{${parts.join(", ")}}`;
  }
  return String(content ?? "");
}

/** Text that keeps its lines. Of a long one the beginning, and more when asked for. */
function longText(text) {
  const part = (limit) => visible(text, { lines: true, limit }) || "(empty)";
  const lines = text.includes("\n");
  const value = el("span", { class: lines ? "value lines" : "value", dir: "auto" }, part(SHORT));
  value.long = lines || text.length > 40;
  if (text.length <= SHORT) return value;
  const more = el("button", { type: "button" }, `Show more of ${text.length.toLocaleString("en")} characters`);
  more.addEventListener("click", () => value.replaceChildren(part(LONG)));
  value.append(more);
  return value;
}

function copy(text, what) {
  const button = el("button", { type: "button", class: "copy", "aria-label": `Copy the ${what}` }, "copy");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    document.getElementById("said").textContent = button.textContent = "copied";
    setTimeout(() => (button.textContent = "copy"), 2000);
  });
  return button;
}
