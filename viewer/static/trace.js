// One trace: its facts, its waterfall, and the span that the reader looks at.

import { onKeys } from "./keys.js";
import { watch } from "./live.js";
import { readTrace } from "./model.js";
import { showSpan, written } from "./pane.js";
import { chip, count, duration, el, moment, visible } from "./text.js";
import { Waterfall } from "./waterfall.js";

const [search, said, pane, warning] = ["search", "said", "pane", "warning"].map((id) => document.getElementById(id));
const traceId = location.pathname.split("/").pop().toLowerCase().padStart(32, "0");
const waterfall = new Waterfall(document.getElementById("grid"), selected);
let trace; // what is shown
let state; // of what is shown, by its summary

/** Look whether the trace has changed, and only then read all of it. */
async function check({ summaries = [] }) {
  const summary = summaries.find((summary) => summary.traceId === traceId);
  if (!summary) return gone();
  const { spanCount, viewer: { refused = 0 } = {} } = summary;
  if (state === `${spanCount} ${refused}`) return;
  const answer = await fetch(`/api/v3/traces/${traceId}`);
  if (!answer.ok) return gone();
  trace = readTrace((await answer.json()).result);
  show(refused);
  if (state) said.textContent = `Now ${count(trace.nodes.length, "span")}`;
  state = `${spanCount} ${refused}`;
}

function gone() {
  document.getElementById("missing-title").textContent = "No such trace";
  document.getElementById("missing-why").textContent =
    `${visible(traceId)} is not here: it has not come yet, or it has left to make room. If it comes, it shows.`;
  warn(trace && "The viewer keeps this trace no longer: it has left to make room. Do not reload this page.");
}

function warn(text) {
  warning.hidden = !text;
  warning.textContent = text || "";
}

function show(refused) {
  const { nodes, services, errors, orphans, depth, first, total } = trace;
  const root = visible(nodes[0].span.name ?? "") || "(no name)";
  document.title = `${root} · ${traceId.slice(0, 8)}`;
  document.getElementById("name").textContent = root;
  document.getElementById("trace-id").textContent = traceId;
  document.getElementById("missing").hidden = true;
  document.getElementById("found").hidden = false;
  const facts = [
    ["Start", moment(first)],
    ["Duration", duration(total)],
    ["Spans", nodes.length.toLocaleString("en")],
    ["Services", services.length.toLocaleString("en")],
    ["Depth", depth.toLocaleString("en")],
    ["Errors", errors.toLocaleString("en")],
  ];
  document.getElementById("facts").replaceChildren(
    ...facts.map(([key, value]) =>
      el("div", { class: key === "Errors" && errors > 0 && "bad" }, el("dt", {}, key), el("dd", {}, value))),
  );
  document.getElementById("services").replaceChildren(...services.slice(0, 50).map(chip));
  document.getElementById("next-error").disabled = errors === 0;
  warn([
    orphans && `${count(orphans, "span")} came without a parent: it was not sent, not sampled, or lost on its way.`,
    refused && `${count(refused, "span")} more came than one trace can hold here.`,
  ].filter(Boolean).join(" "));
  waterfall.show(trace);
  if (waterfall.selected) showSpan(document.getElementById("content"), waterfall.selected, trace, traceId);
  else goToAddress();
}

/** Show the span that the reader chose, or close the pane. The address always leads to what is shown. */
function selected(node) {
  pane.hidden = !node;
  document.body.classList.toggle("with-pane", Boolean(node));
  history.replaceState(null, "", node ? `#${node.id}` : location.pathname);
  if (!node) return;
  showSpan(document.getElementById("content"), node, trace, traceId);
  pane.scrollTop = 0;
}

function choose(node) {
  waterfall.select(node);
  waterfall.go(node);
}

function close() {
  if (!waterfall.selected) return;
  waterfall.select(undefined);
  waterfall.focus(waterfall.active);
}

function goToAddress() {
  const id = location.hash.slice(1);
  const node = trace?.byId.get(id);
  if (node) choose(node);
  else if (id) said.textContent = `Span ${visible(id, { limit: 16 })} is not in this trace`;
}

/** Choose the next of these spans, in the order of the tree and round again. */
function step(nodes, what, by = 1) {
  if (!nodes.length) return (said.textContent = `No ${what}`);
  const now = waterfall.selected?.index ?? -1;
  let next = by > 0 ? nodes.findIndex((node) => node.index > now) : nodes.findLastIndex((node) => node.index < now);
  if (next < 0) next = by > 0 ? 0 : nodes.length - 1;
  choose(nodes[next]);
  said.textContent = `${what} ${next + 1} of ${nodes.length}`;
}

const errorStep = (by) => step(trace.nodes.filter((node) => node.error), "error", by);

function find(by) {
  const text = search.value.trim().toLowerCase();
  if (!text) return;
  const words = ({ span: { name, spanId, status, attributes = [] }, service }) =>
    [name, service, spanId, status?.message, ...attributes.flatMap(({ key, value }) => [key, written(value)])];
  step(trace.nodes.filter((node) => words(node).join("\n").toLowerCase().includes(text)), "match", by);
  search.focus({ preventScroll: true });
}

document.getElementById("next-error").addEventListener("click", () => errorStep(1));
document.getElementById("collapse").addEventListener("click", () => waterfall.collapseAll());
document.getElementById("expand").addEventListener("click", () => waterfall.expandAll());
document.getElementById("close").addEventListener("click", close);
document.getElementById("download").href = `/api/v3/traces/${traceId}`;
document.getElementById("download").download = `trace-${traceId}.json`;
search.addEventListener("keydown", (event) => {
  if (event.key === "Enter") find(event.shiftKey ? -1 : 1);
  if (event.key === "Escape" && trace) waterfall.focus(waterfall.active);
});
addEventListener("hashchange", goToAddress);
onKeys({
  "/": () => search.focus(),
  e: () => trace && errorStep(1),
  E: () => trace && errorStep(-1),
  "-": () => waterfall.collapseAll(),
  "+": () => waterfall.expandAll(),
  Escape: close,
});
watch(() => `/api/v3/trace-summaries?query.searchDepth=1000&viewer.search=${encodeURIComponent(traceId)}`, check);
