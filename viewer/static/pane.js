// Everything that is known about one span.

import { between, count, duration, el, hue, moment, named, visible } from "./text.js";
import { KINDS } from "./waterfall.js";

const MANY = 100; // attributes, events or links that are shown
const LONG = 10_000; // characters of a value that are shown

const soft = (text) => el("span", { class: "soft" }, text);

/** Fill `content` with a span of a trace. */
export function showSpan(content, node, { first }, traceId) {
  const { span, service, resource, scope, start, from, length } = node;
  const { status, events = [], links = [] } = span;
  const dropped = ["Attributes", "Events", "Links"].filter((what) => span[`dropped${what}Count`]);
  content.replaceChildren(
    el("h2", {}, named(span.name)),
    el("p", { class: "chips" }, el("span", { class: "chip", "--hue": hue(service) }, named(service)), KINDS[span.kind] ?? ""),
    table([
      ["Status", el("span", { class: status.code === 2 && "bad" }, ["Unset", "OK", "Error"][status.code ?? 0] ?? "")],
      ["Message", value(status.message)],
      ["Start", ...(start ? [moment(start), soft(`${duration(from)} into the trace`)] : ["not set"])],
      ["Duration", duration(length)],
      ["Span id", ...toCopy(node.id, "span id")],
      ["Parent", ...parent(node)],
      ["Trace id", ...toCopy(traceId, "trace id")],
      ["Trace state", value(span.traceState)],
      ["Not sent", value(dropped.map((what) => count(span[`dropped${what}Count`], what.toLowerCase().slice(0, -1))).join(", "))],
      ["Link", el("a", { href: `#${node.id}` }, "to this span")],
    ]),
    ...section("Events", ...events.slice(0, MANY).map((event) =>
      article(event, named(event.name), soft(`at ${duration(between(first, BigInt(event.timeUnixNano ?? 0)))}`))), more(events)),
    ...section("Attributes", ...attributes(span)),
    ...section("Links", ...links.slice(0, MANY).map((link) => article(link, ...linked(link))), more(links)),
    ...section("Resource", ...attributes(resource)),
    ...section("Scope", table([["Name", value(scope.name)], ["Version", value(scope.version)]]), ...attributes(scope)),
  );
}

function parent({ span, parent, orphan }) {
  if (orphan) return [el("code", {}, span.parentSpanId), el("span", { class: "note" }, "missing")];
  return [parent ? el("a", { href: `#${parent.id}` }, named(parent.span.name)) : soft("none")];
}

/** Where a link leads. Its ids may be anything, or missing. */
const linked = ({ traceId = "", spanId = "" }) => [
  el("a", { href: `/trace/${traceId.slice(0, 32)}#${spanId.slice(0, 16)}` }, `span ${visible(spanId) || "without an id"}`),
  soft(`of trace ${visible(traceId) || "without an id"}`),
];

/** A heading and what is below it; nothing when there is nothing below. */
const section = (title, ...content) =>
  (content.some(({ textContent }) => textContent) ? [el("section", {}, el("h3", {}, title), ...content)] : []);

/** An event or a link, under a heading. */
const article = (item, ...head) => el("article", {}, el("h4", {}, ...head), ...attributes(item));

const more = (items) => items.length > MANY && soft(`and ${items.length - MANY} more: see the download`);

/** The attributes of whatever has some. Whether a convention is old or new makes no difference. */
const attributes = ({ attributes = [] }) =>
  [table(attributes.slice(0, MANY).map((item) => [item.key, value(written(item.value) || "(empty)")])), more(attributes)];

/** A table of names and what belongs to them; without those to which nothing does. */
const table = (rows) => el("dl", {}, ...rows.filter(([, content]) => content).map(([name, ...content]) =>
  el("div", {}, el("dt", {}, named(name)), el("dd", {}, ...content))));

/** An OTLP AnyValue as text. */
function written(value = {}) {
  const [[kind, content] = []] = Object.entries(value);
  const { values = [] } = content ?? {};
  if (kind === "arrayValue") return `[${values.map(written).join(", ")}]`;
  if (kind === "kvlistValue") return `{${values.map(({ key = "", value }) => `${key}: ${written(value)}`).join(", ")}}`;
  return String(content ?? "");
}

/** Text that keeps its lines; nothing for no text. */
function value(text = "") {
  const all = text.length > LONG && soft(`${count(text.length, "character")} in all: see the download`);
  const shown = visible(text, { lines: true, limit: LONG });
  return text && el("span", { class: text.includes("\n") ? "value lines" : "value", dir: "auto" }, shown, all);
}

function toCopy(text, what) {
  const button = el("button", { type: "button", class: "copy", "aria-label": `Copy the ${what}` }, "copy");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.ariaLabel = button.textContent = "copied";
  });
  return [el("code", {}, text), navigator.clipboard && button]; // which is there on localhost, and over HTTPS
}
