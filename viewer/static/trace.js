// One trace: its facts, its tree beside its timeline, and the span that the reader looks at.

import { onKeys } from "./keys.js";
import { watch } from "./live.js";
import { isUnanswered, readTrace } from "./model.js";
import { showSpan } from "./pane.js";
import { $, arrange, chips, count, duration, el, hue, moment, nameOf, number, visible } from "./text.js";
import { cells, drawAxis } from "./waterfall.js";

const [body, pane] = ["rows", "pane"].map($);
const traceId = encodeURIComponent(location.pathname.split("/").pop()).toLowerCase().padStart(32, "0");
const path = `/api/v3/traces/${traceId}`;
const rows = new Map(); // span id -> its element, which is empty until it is near the screen
let trace = { nodes: [], byId: new Map() };
let state; // of what is shown: its summary, as text
let collapsed = new Set(); // span ids
let open = []; // the rows that are not inside a collapsed one
let active; // the node that takes the keys
let selected; // the node in the pane; null when it was closed
let quiet; // the timer that ends the waiting for the other side of a call
const PATIENCE = 6_000; // milliseconds: programs send every 5 s by default

function warn(text) {
  if ($("warning").textContent !== text) $("warning").textContent = text; // or a screen reader would say it again
}

/** Look whether the trace has changed, and only then read all of it. */
async function check({ summaries }) {
  // One that comes back smaller has left, and its late spans make a trace without a beginning.
  const summary = summaries.find((each) => each.traceId === traceId && each.spanCount >= trace.nodes.length);
  const now = JSON.stringify(summary);
  if (summary && now === state) return;
  state = undefined;
  const answer = summary && (await fetch(path));
  if (!answer?.ok && active) return warn("The viewer keeps this trace no longer: do not reload this page.");
  if (!answer?.ok) return warn(`The trace ${visible(traceId)} is not here: it has not come yet, or it has left. If it comes, it shows.`);
  trace = readTrace((await answer.json()).result);
  show(summary);
  sayWhetherItGrows();
  state = now;
}

function show({ services, spanCount, errorSpanCount = 0, viewer: { refused } = {} }) {
  const { nodes, byId, root, first, total } = trace;
  const facts = {
    Start: moment(first), Duration: duration(total), Services: number(new Set(nodes.map(({ service }) => service)).size),
    Depth: number(nodes.reduce((depth, { level }) => Math.max(depth, level), 0)),
    Spans: number(spanCount), Errors: number(errorSpanCount),
  };
  $("facts").replaceChildren(...Object.entries(facts).map(([key, value]) => el("div", {}, el("dt", {}, key), el("dd", {}, value))));
  $("services").replaceChildren(...chips(services));
  $("name").textContent = nameOf(root.span.name);
  document.title = `${$("name").textContent} · ${traceId.slice(0, 8)}`;
  warn(refused ? `${count(refused, "span")} more came than one trace can hold here.` : "");
  $("next-error").disabled = !errorSpanCount;
  $("found").hidden = false;
  drawAxis($("axis"), trace);
  arrange(body, rows, nodes.map(({ id }) => id), () => el("div", { role: "row", class: "row" }));
  for (const node of nodes) rows.get(node.id).node = node;
  active = byId.get(active?.id) ?? nodes[0];
  const before = selected;
  selected &&= byId.get(selected.id);
  fold();
  if (!selected) goToAddress();
  else if (selected.orphan !== before.orphan || selected.from !== before.from) showSpan($("content"), selected, trace, traceId);
}

/** Say that a trace may still grow, for as long as the other side of a call in it may only not have been sent yet. */
function sayWhetherItGrows() {
  clearTimeout(quiet);
  const ended = trace.nodes.reduce((last, { end }) => (end > last ? end : last), 0n);
  const rest = Number(ended / 1_000_000n) + PATIENCE - Date.now();
  const grows = rest > 0 && trace.nodes.some(isUnanswered);
  $("growing").hidden = !grows;
  if (grows) quiet = setTimeout(sayWhetherItGrows, Math.min(rest, PATIENCE));
}

/** Hide the rows inside the spans with these ids. */
function fold(ids = collapsed) {
  const focused = body.contains(document.activeElement);
  collapsed = new Set(ids);
  open = [];
  let end = 0;
  for (const [i, { id, size }] of trace.nodes.entries()) {
    const row = rows.get(id);
    row.replaceChildren();
    row.ariaHidden = true; // a row is one when it has its cells
    row.hidden = i < end;
    if (row.hidden) continue;
    row.ariaRowIndex = open.push(row) + 1; // behind the head
    if (collapsed.has(id)) end = i + size;
  }
  $("grid").ariaRowCount = open.length + 1;
  while (active && rows.get(active.id).hidden) active = active.parent;
  paint();
  if (focused) rows.get(active.id).focus({ preventScroll: true });
}

/** Fill the rows that are near the screen, and the one that takes the keys. */
function paint() {
  if (!active) return;
  const height = open[0].offsetHeight;
  const above = -body.getBoundingClientRect().top;
  const near = open.slice(Math.max(0, Math.floor(above / height) - 10), Math.ceil((above + innerHeight) / height) + 10);
  for (const row of [...near, rows.get(active.id)]) if (!row.firstChild) fill(row);
}

function fill(row) {
  const { node } = row;
  const { id, level, size, service } = node;
  row.style.setProperty("--hue", hue(service));
  row.ariaHidden = null;
  row.tabIndex = node === active ? 0 : -1;
  row.ariaLevel = level;
  row.ariaExpanded = size > 1 ? !collapsed.has(id) : null;
  row.ariaSelected = node === selected;
  row.replaceChildren(...cells(node, trace, collapsed.has(id)));
}

/** Move the focus to a span, whatever is collapsed above it. The pane shows `chosen`; null closes it. */
function go(node, chosen = selected && node) {
  const changed = new Set([active, node, selected, chosen].filter(Boolean));
  [active, selected] = [node, chosen];
  const row = rows.get(node.id);
  if (row.hidden) {
    for (let above = node.parent; above; above = above.parent) collapsed.delete(above.id);
    fold();
  }
  for (const { id } of changed) fill(rows.get(id));
  pane.hidden = !chosen;
  history.replaceState(null, "", chosen ? `#${chosen.id}` : location.pathname); // it always leads to what is shown
  if (chosen) showSpan($("content"), chosen, trace, traceId);
  pane.scrollTop = 0;
  row.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

function goToAddress() {
  const id = location.hash.slice(1);
  const node = trace.byId.get(id);
  if (node) go(node, node);
  else if (id) warn(`The span ${visible(id)} is not in this trace.`);
  else if (selected) go(active, null);
}

/** Choose the next span with an error of its own, in the order of the tree and round again. */
function nextError() {
  const { nodes } = trace;
  const from = nodes.indexOf(active) + (selected === undefined ? 0 : 1);
  const node = [...nodes.slice(from), ...nodes].find(({ error }) => error);
  if (node) go(node, node);
}

const toggle = (id) => fold(collapsed.delete(id) ? collapsed : collapsed.add(id));
const collapseAll = () => fold(trace.nodes.filter(({ size }) => size > 1).map(({ id }) => id));
const expandAll = () => fold([]);
const close = () => active && go(active, null);
const step = (by) => go(open[Math.min(open.length - 1, Math.max(0, open.indexOf(rows.get(active.id)) + by))].node);
const isOpen = () => active.size > 1 && !collapsed.has(active.id);

body.addEventListener("click", ({ target }) => {
  const node = target.closest(".row")?.node;
  if (!node || !getSelection().isCollapsed) return; // the reader marks some text
  if (target.matches("[aria-expanded] .twisty")) toggle(node.id), go(node);
  else go(node, node);
});
$("next-error").addEventListener("click", nextError);
$("collapse").addEventListener("click", collapseAll);
$("expand").addEventListener("click", expandAll);
$("close").addEventListener("click", close);
Object.assign($("download"), { href: path, download: `trace-${traceId}.json` });
addEventListener("hashchange", goToAddress);
addEventListener("scroll", paint, { passive: true });
addEventListener("resize", paint);
onKeys(body, {
  ArrowDown: ["next span", () => step(1)],
  ArrowUp: ["previous span", () => step(-1)],
  ArrowRight: ["open, or to the child", () => (isOpen() ? step(1) : active.size > 1 && toggle(active.id))],
  ArrowLeft: ["close, or to the parent", () => (isOpen() ? toggle(active.id) : active.parent && go(active.parent))],
  Home: ["first span", () => step(-Infinity)],
  End: ["last span", () => step(Infinity)],
  Enter: ["all about the span; Tab goes there", () => go(active, active)],
});
onKeys(document, {
  e: ["next error", nextError],
  "-": ["collapse all", collapseAll],
  "+": ["expand all", expandAll],
  Escape: ["back to the tree", close],
});
watch(() => `/api/v3/trace-summaries?viewer.search=${traceId}&query.searchDepth=1000`, check)();
