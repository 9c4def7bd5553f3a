// Everything that is known about one span.

import { $, count, duration, el, hue, moment, named, number, plausible, visible } from "./text.js";
import { KINDS } from "./waterfall.js";

const SHORT = 2_000; // characters of a value that are shown at first
const LONG = 200_000; // and at most
const ITEMS = 100; // attributes, events or links in one list

const soft = (...text) => el("span", { class: "soft" }, ...text);

/** Fill `content` with a span of a trace. */
export function showSpan(content, node, trace, traceId) {
  const { span, service, resource, scope, resourceSchema, scopeSchema } = node;
  const { attributes, events, links, status = {} } = span;
  const address = `/trace/${traceId}#${node.id}`;
  content.replaceChildren(
    el("h2", {}, named(span.name)),
    el("p", { class: "of" }, el("span", { class: "chip", "--hue": hue(service) }, named(service)), KINDS[span.kind] ?? ""),
    table({
      Status: [el("span", { class: status.code === 2 && "bad" }, ["Unset", "OK", "Error"][status.code ?? 0] ?? "")],
      Message: [longText(status.message)],
      Start: [el("span", {}, moment(node.start)), soft(relation(node))],
      Duration: [node.end === 0n ? "no end" : duration(node.length)],
      "Span id": [el("code", {}, node.id), copy(node.id, "span id")],
      Parent: parent(node),
      "Trace id": [el("code", {}, traceId), copy(traceId, "trace id")],
      "Trace state": [longText(span.traceState)],
      Link: [el("a", { href: address }, "to this span"), copy(location.origin + address, "link")],
    }),
    ...section("Events", list(events, span.droppedEventsCount, ({ name, timeUnixNano = 0 }) => {
      const time = BigInt(timeUnixNano);
      return [named(name), soft(plausible(time) ? `at ${duration(Number(time - trace.first))}` : "no valid time")];
    })),
    ...section("Attributes", pairs(attributes, span.droppedAttributesCount)),
    ...section("Links", list(links, span.droppedLinksCount, ({ traceId = "", spanId = "" }) => [
      el("a", { href: `/trace/${traceId}#${spanId}` }, `span ${spanId || "without an id"}`), soft(`of trace ${traceId}`),
    ])),
    ...section("Resource", [
      ...pairs(resource.attributes, resource.droppedAttributesCount),
      table({ Schema: [longText(resourceSchema)] }),
    ]),
    ...section("Scope", [
      table({ Name: [longText(scope.name)], Version: [longText(scope.version)] }),
      ...pairs(scope.attributes, scope.droppedAttributesCount),
      table({ Schema: [longText(scopeSchema)] }),
    ]),
  );
}

/** Where the span stands against the trace and its parent. A clock that is ahead shows here, and stays as it is. */
function relation({ from, parent, start }) {
  const lead = parent ? Number(parent.start - start) : 0;
  return `${duration(from)} into the trace${lead > 0 ? `, ${duration(lead)} before its parent starts` : ""}`;
}

function parent({ span, parent, orphan }) {
  if (!parent && !orphan) return [soft("none")];
  const id = el("code", {}, span.parentSpanId);
  if (orphan) return [id, el("span", { class: "note" }, "missing")];
  return [el("a", { href: `#${parent.id}` }, named(parent.span.name)), id];
}

/** A heading and what is below it; nothing when there is nothing below. */
function section(title, content) {
  const parts = content.filter(Boolean);
  return parts.length ? [el("section", {}, el("h3", {}, title), ...parts)] : [];
}

/** Events or links, each under the heading that `head` gives it. */
const list = (items = [], droppedCount, head) => [
  ...items.slice(0, ITEMS).map((item) =>
    el("article", {}, el("h4", {}, ...head(item)), ...pairs(item.attributes, item.droppedAttributesCount).filter(Boolean))),
  ...rest(items, droppedCount),
];

/** Attributes by name, those of many lines last. Whether a convention is old or new makes no difference. */
function pairs(attributes = [], droppedCount) {
  const shown = attributes.slice(0, ITEMS).map(({ key = "", value }) => [key, written(value)]);
  const lines = ([, text]) => Number(text.includes("\n"));
  shown.sort((a, b) => lines(a) - lines(b) || (a[0] < b[0] ? -1 : 1));
  return [rows(shown.map(([key, text]) => [visible(key) || "(no name)", longText(text || "(empty)")])), ...rest(attributes, droppedCount)];
}

const rest = (items, droppedCount) => [
  items.length > ITEMS && el("p", { class: "soft" }, `and ${items.length - ITEMS} more: see the download`),
  droppedCount && el("p", { class: "soft" }, `${droppedCount} more were dropped before they were sent`),
];

/** A table of names and what belongs to them; without those to which nothing does. */
const table = (content) => rows(Object.entries(content).flatMap(([key, parts]) => (parts[0] ? [[key, ...parts]] : [])));
const rows = (rows) => rows.length > 0 && el("dl", {}, ...rows.map(([key, ...content]) =>
  el("div", { class: content[0].long && "wide" }, el("dt", {}, el("bdi", {}, key)), el("dd", {}, ...content))));

/** An OTLP AnyValue as text. */
export function written(value = {}) {
  const [[kind, content] = []] = Object.entries(value);
  const values = () => (content.values ?? []).slice(0, ITEMS);
  if (kind === "arrayValue") return `[${values().map(written).join(", ")}]`;
  if (kind === "kvlistValue") return `{${values().map(({ key = "", value }) => `${key}: ${written(value)}`).join(", ")}}`;
  return String(content ?? "");
}

/** Text that keeps its lines; nothing for no text. Of a long one the beginning, and more when asked for. */
function longText(text) {
  if (!text) return;
  const part = (limit) => visible(text, { lines: true, limit });
  const lines = text.includes("\n");
  const value = el("span", { class: lines ? "value lines" : "value", dir: "auto" }, part(SHORT));
  value.long = lines || text.length > 40;
  if (text.length <= SHORT) return value;
  const more = el("button", { type: "button" }, `Show more of ${count(text.length, "character")}`);
  more.addEventListener("click", () => {
    value.replaceChildren(part(LONG));
    Object.assign(value, { tabIndex: -1 }).focus(); // the button had it
  });
  value.append(more);
  return value;
}

function copy(text, what) {
  const button = el("button", { type: "button", class: "copy", "aria-label": `Copy the ${what}` }, "copy");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    $("said").textContent = button.textContent = "copied";
    setTimeout(() => (button.textContent = "copy"), 2000);
  });
  return button;
}
