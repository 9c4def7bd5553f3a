// Everything that is known about one span.

import { between, breakable, count, duration, el, moment, named, nameOf, visible } from "./text.js";
import { waited } from "./path.js";
import { hasParts, laidOut, remark, written } from "./values.js";
import { KINDS, notes } from "./waterfall.js";

const MANY = 100; // attributes, events or links that are shown
const LONG = 10_000; // characters of a value that are shown
const SHORT = 40; // characters that need no laying out, and may be a name

const soft = (words) => words && el("span", { class: "soft" }, words);
const note = (words) => el("span", { class: "note" }, words);

/** Fill `content` with a span of a trace, whose service has this colour. */
export function showSpan(content, node, { zero, first, total }, traceId, colour) {
  const { span, service, resource, scope, schemas, start, from, length, shared, path } = node;
  const { status, events = [], links = [] } = span;
  const dropped = ["Attributes", "Events", "Links"].filter((what) => span[`dropped${what}Count`]);
  const outside = (event) => {
    const at = between(first, BigInt(event.timeUnixNano ?? 0));
    return (at < 0 || at > total) && note("outside the trace");
  };
  content.replaceChildren(
    el("h2", {}, named(span.name)),
    el("p", { class: "chips" },
      el("span", { class: "chip", ...colour }, named(service)), KINDS[span.kind] ?? "", ...notes(node).map(note)),
    table([
      ["Status", el("span", { class: status.code === 2 && "bad" }, ["Unset", "OK", "Error"][status.code ?? 0] ?? "")],
      ["Message", text(status.message)],
      ["Exception", text(exceptionOf(span))],
      ["Start", ...(start ? [moment(start), soft(`${duration(from)} into the trace`)] : ["not set"])],
      ["Duration", duration(length), path?.length && soft(`${duration(waited(path))} of it on the critical path`)],
      ["Span id", el("code", {}, node.id), copyButton(node.id, "the span id"), shared > 1 && soft(`shared by ${shared} spans`)],
      ["Parent", ...parent(node)],
      ["Trace id", el("code", {}, traceId), copyButton(traceId, "the trace id")],
      ["Trace state", text(span.traceState)],
      ["Not sent", text(dropped.map((what) => count(span[`dropped${what}Count`], what.toLowerCase().slice(0, -1))).join(", "))],
      ["Link", el("a", { href: `#${node.key}` }, "to this span")],
    ]),
    ...section("Events", ...events.slice(0, MANY).map((event) =>
      article(event, named(event.name), soft(`at ${duration(between(zero, BigInt(event.timeUnixNano ?? 0)))}`), outside(event))), more(events)),
    ...section("Attributes", ...attributes(span)),
    ...section("Links", ...links.slice(0, MANY).map(linkArticle), more(links)),
    ...section("Resource", table([["Schema URL", text(schemas[0])]]), ...attributes(resource), droppedOf(resource)),
    ...section("Scope", table([["Name", text(scope.name)], ["Version", text(scope.version)], ["Schema URL", text(schemas[1])]]), ...attributes(scope), droppedOf(scope)),
  );
}

/** Type and message of the last exception, as far as the status does not say it already. */
function exceptionOf({ status: { message: said = "" }, events = [] }) {
  const { attributes = [] } = events.findLast(({ name }) => name === "exception") ?? {};
  const [type, message] = ["exception.type", "exception.message"].map((wanted) => written(attributes.find(({ key }) => key === wanted)?.value));
  return [type, !said.includes(message) && message].filter(Boolean).join(": ");
}

function parent({ span, parent, orphan, circular }) {
  const id = span.parentSpanId;
  if (!id) return [soft("none")];
  const copy = copyButton(id, "the parent's id");
  if (orphan) return [el("code", {}, id), copy, soft("has not come")];
  if (circular) return [el("a", { href: `#${id}` }, el("code", {}, id)), copy];
  return [el("a", { href: `#${parent.key}` }, named(parent.span.name)), el("code", {}, id), copy];
}

/** Where a link leads. Its ids may be anything, or missing. */
const linked = ({ traceId = "", spanId = "" }) => [
  el("a", { href: `/trace/${traceId.slice(0, 32)}#${spanId.slice(0, 16)}` }, `span ${visible(spanId) || "without an id"}`),
  soft(`of trace ${visible(traceId) || "without an id"}`),
];

/** A heading and what is below it; nothing when there is nothing below. */
const section = (title, ...content) =>
  (content.some((each) => each?.textContent) ? [el("section", {}, el("h3", {}, title), ...content)] : []);

/** An event or a link, under a heading. */
const article = (item, ...head) => el("article", {}, el("h4", {}, ...head), ...attributes(item), droppedOf(item));

const linkArticle = (link) => {
  const shown = article(link, ...linked(link));
  shown.querySelector("h4").after(table([["Trace state", text(link.traceState)], ["Flags", ...flags(link)]]));
  return shown;
};

/** The flags of a link: W3C Trace Context, section 3.2.2.5, and what OTLP adds in the bits above. */
function flags({ flags = 0 }) {
  const words = [flags & 1 ? "sampled" : "not sampled", flags & 2 && "random trace id", flags & 0x100 && (flags & 0x200 ? "from another process" : "from this process")];
  return flags ? [el("code", {}, `0x${flags.toString(16)}`), soft(words.filter(Boolean).join(", "))] : [];
}

/** How many attributes of a resource, a scope, an event or a link its sender left out. */
const droppedOf = ({ droppedAttributesCount: dropped }) => dropped > 0 && soft(`${count(dropped, "attribute")} not sent`);

const more = (items) => items.length > MANY && soft(`and ${items.length - MANY} more: see the download`);

/** The attributes of whatever has some. Whether a convention is old or new makes no difference. */
const attributes = ({ attributes = [] }) => [table(attributes.slice(0, MANY).map(({ key, value }) => [key, ...valueOf(value, key)])), more(attributes)];

/** A table of names and what belongs to them; without those to which nothing does. */
const table = (rows) => el("dl", {}, ...rows.filter(([, ...content]) => content.some(Boolean)).map(([name, ...content]) =>
  el("div", {}, el("dt", {}, el("bdi", { title: visible(name, { limit: 1000 }) }, ...breakable(nameOf(name)))), el("dd", {}, ...content))));

/** The value of an attribute as it was sent, and what can be done with it. */
function valueOf(value, key) {
  const all = written(value);
  const shown = text(all.trim() ? all : all && `"${all}"`);
  return [shown, soft(remark(value)), layOutButton(value, all, shown), all && copyButton(all, `the value of ${visible(key)}`, "small quiet")];
}

/** Text that keeps its lines; nothing for no text. */
function text(content = "") {
  return content && fillWith(el("span", { dir: "auto" }), content);
}

function fillWith(element, content) {
  const all = content.length > LONG && soft(`${count(content.length, "character")} in all: see the download`);
  element.className = content.includes("\n") ? "value lines" : "value";
  const shown = visible(content, { lines: true, limit: LONG });
  element.replaceChildren(...[...(content.length < SHORT ? breakable(shown) : [shown]), all].filter(Boolean));
  return element;
}

/** Lays out a value that has parts, and puts it back as it was sent. */
function layOutButton(value, content, shown) {
  if (content.length <= SHORT || content.length > LONG || !hasParts(value)) return false;
  const button = el("button", { type: "button", class: "small", "aria-pressed": "false" }, "lay out");
  button.addEventListener("click", () => {
    const wanted = button.ariaPressed === "false";
    button.ariaPressed = wanted;
    fillWith(shown, wanted ? laidOut(content) : content);
  });
  return button;
}

function copyButton(content, what, kind = "small") {
  const button = el("button", { type: "button", class: kind, "aria-label": `Copy ${what}` }, "copy");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(content);
    button.textContent = "copied";
    button.ariaLabel = `Copied ${what}`;
  });
  return navigator.clipboard && button; // which is there on localhost, and over HTTPS
}
