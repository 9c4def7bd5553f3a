// One trace: its facts, its waterfall, and the span that the reader looks at.

import { onKeys } from "./keys.js";
import { watch } from "./live.js";
import { readTrace } from "./model.js";
import { showSpan, written } from "./pane.js";
import { $, chip, count, duration, el, moment, number, visible } from "./text.js";
import { Waterfall } from "./waterfall.js";

const [search, said, pane, warning] = ["search", "said", "pane", "warning"].map($);
const traceId = location.pathname.split("/").pop().toLowerCase().padStart(32, "0");
const path = `/api/v3/traces/${traceId}`;
const waterfall = new Waterfall($("grid"), selected);
let trace; // what is shown
let state; // of what is shown, by its summary

/** Look whether the trace has changed, and only then read all of it. */
async function check({ summaries = [] }) {
  const { spanCount, viewer: { refused = 0 } = {} } = summaries.find((each) => each.traceId === traceId) ?? {};
  const now = `${spanCount} ${refused}`;
  if (spanCount && now === state) return;
  const answer = spanCount && (await fetch(path));
  if (!answer?.ok) return gone();
  trace = readTrace((await answer.json()).result);
  show(refused);
  if (state) said.textContent = `Now ${count(trace.nodes.length, "span")}`;
  state = now;
}

function gone() {
  state = undefined; // whatever comes next is new
  if (trace) return warn("The viewer keeps this trace no longer: it has left to make room. Do not reload this page.");
  $("name").textContent = "No such trace";
  warn(`${visible(traceId)} is not here: it has not come yet, or it has left to make room. If it comes, it shows.`);
}

function warn(...texts) {
  warning.textContent = texts.filter(Boolean).join(" ");
  warning.hidden = !warning.textContent;
}

function show(refused) {
  const { nodes, services, errors, orphans, depth, first, total } = trace;
  const root = visible(nodes[0].span.name ?? "") || "(no name)";
  document.title = `${root} · ${traceId.slice(0, 8)}`;
  $("name").textContent = root;
  $("trace-id").textContent = traceId;
  $("found").hidden = false;
  const facts = {
    Start: moment(first), Duration: duration(total), Spans: number(nodes.length),
    Services: number(services.length), Depth: number(depth), Errors: number(errors.length),
  };
  $("facts").replaceChildren(...Object.entries(facts).map(([key, value]) =>
    el("div", { class: key === "Errors" && errors.length > 0 && "bad" }, el("dt", {}, key), el("dd", {}, value))));
  $("services").replaceChildren(...services.slice(0, 50).map(chip));
  $("next-error").disabled = errors.length === 0;
  warn(
    orphans && `${count(orphans, "span")} came without a parent: it was not sent, not sampled, or lost on its way.`,
    refused && `${count(refused, "span")} more came than one trace can hold here.`,
  );
  waterfall.show(trace);
  if (waterfall.selected && !pane.contains(document.activeElement)) showSpan($("content"), waterfall.selected, trace, traceId);
  else if (document.activeElement === document.body) goToAddress();
}

/** Show the span that the reader chose, or close the pane. The address always leads to what is shown. */
function selected(node) {
  pane.hidden = !node;
  document.body.classList.toggle("with-pane", Boolean(node));
  history.replaceState(null, "", node ? `#${node.id}` : location.pathname);
  if (!node) return;
  showSpan($("content"), node, trace, traceId);
  pane.scrollTop = 0;
}

function choose(node) {
  waterfall.select(node);
  waterfall.focus(node ?? waterfall.active);
}

function goToAddress() {
  const id = location.hash.slice(1);
  const node = trace?.byId.get(id);
  if (node) choose(node);
  else if (!id && waterfall.selected) choose();
  else if (id) said.textContent = `Span ${visible(id, { limit: 16 })} is not in this trace`;
}

/** Choose the next of these spans, in the order of the tree and round again; the one before when `by` is -1. */
function step(nodes, what, by) {
  if (!nodes.length) return (said.textContent = `No ${what}`);
  const now = waterfall.selected?.index ?? -1;
  const next = by > 0 ? nodes.findIndex((node) => node.index > now) : nodes.findLastIndex((node) => node.index < now);
  const node = nodes.at(next < 0 && by > 0 ? 0 : next);
  choose(node);
  said.textContent = `${what} ${nodes.indexOf(node) + 1} of ${nodes.length}`;
}

const errorStep = (by) => trace && step(trace.errors, "error", by);

function find(by) {
  const text = search.value.trim().toLowerCase();
  if (!text) return;
  const words = ({ span: { name, spanId, status, attributes = [] }, service }) =>
    [name, service, spanId, status?.message, ...attributes.flatMap(({ key, value }) => [key, written(value)])];
  step(trace.nodes.filter((node) => words(node).join("\n").toLowerCase().includes(text)), "match", by);
  search.focus({ preventScroll: true });
}

$("next-error").addEventListener("click", () => errorStep(1));
$("collapse").addEventListener("click", () => waterfall.setAll("collapsed"));
$("expand").addEventListener("click", () => waterfall.setAll("expanded"));
$("close").addEventListener("click", () => choose());
Object.assign($("download"), { href: path, download: `trace-${traceId}.json` });
search.addEventListener("keydown", (event) => event.key === "Enter" && find(event.shiftKey ? -1 : 1));
addEventListener("hashchange", goToAddress);
onKeys(document, {
  e: ["next error", () => errorStep(1)],
  E: ["previous error", () => errorStep(-1)],
  "/": ["find; Enter goes to the next one", () => search.focus()],
  "-": ["collapse all", () => waterfall.setAll("collapsed")],
  "+": ["expand all", () => waterfall.setAll("expanded")],
  Escape: ["back to the tree", () => trace && choose()],
});
watch(() => `/api/v3/trace-summaries?query.searchDepth=1000&viewer.search=${encodeURIComponent(traceId)}`, check);
