// One trace: its facts, its tree beside its timeline, and the span that the reader looks at.

import { readAdvice, toggleAdvice } from "./advice.js";
import { find, oneLine } from "./find.js";
import { onKeys } from "./keys.js";
import { watch } from "./live.js";
import { errorsOf, readTrace } from "./model.js";
import { readOperations, toggleOperations } from "./operations.js";
import { drawFrame, drawOverview, onDrag } from "./overview.js";
import { showSpan } from "./pane.js";
import { criticalPath, waited } from "./path.js";
import { exactly } from "./search.js";
import { $, arrange, chips, colours, count, duration, el, moment, named, nameOf, number, sharedBeginning, shortId, visible } from "./text.js";
import { cells, DEEPEST, drawAxis, KINDS } from "./waterfall.js";

const [body, pane, field] = ["rows", "pane", "find"].map($);
const traceId = encodeURIComponent(location.pathname.split("/")[2]).toLowerCase().padStart(32, "0");
const path = `/api/v3/traces/${traceId}`;
const isBack = performance.getEntriesByType("navigation")[0]?.type !== "navigate"; // or loaded again
const PATIENCE = 6_000; // milliseconds: the SDKs send every 5 s
const rows = new Map(); // a span's key -> its element, which is empty until it is near the screen
let trace = { nodes: [], byKey: new Map() };
let colour; // of each service
let beginning; // of the names of all services
let state; // of what is shown: its summary, as text
let collapsed = new Set(); // keys of spans
let open = []; // the rows that are not inside a collapsed one
let active; // the node that takes the keys
let selected; // the node in the pane; null when it was closed
let zoom; // the stretch of time that is shown, its start since 1970 and its length; null for the whole trace
let view; // the same, from the trace's zero
let hits = []; // the nodes in which the text was found that the reader looks for
let reached; // the one of them that was gone to
let lastError; // the key of the span that "Next error" went to
let quietSince; // when something came last, in milliseconds since 1970
let quietTimer;
let nextFrame;

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
  for (const [node, parts] of criticalPath(trace.root)) node.path = parts;
  show(summary);
  state = now;
}

function show({ services, spanCount, errorSpanCount = 0, maxEndTimeUnixNano = 0, viewer: { notices = [] } = {} }) {
  const { nodes, byKey, root, first, total, usual } = trace;
  const isFirst = !active;
  const depth = nodes.reduce((depth, { level }) => Math.max(depth, level), 0);
  const facts = {
    Start: moment(first),
    Duration: duration(total),
    Services: number(new Set(nodes.map(({ service }) => service)).size),
    Depth: number(depth),
    Spans: number(spanCount),
    Errors: number(errorSpanCount),
  };
  $("facts").replaceChildren(...Object.entries(facts).map(([key, value]) => el("div", {}, el("dt", {}, key), el("dd", {}, value))));
  $("services").replaceChildren(...chips(services), ...notices.map((notice) => el("span", { class: "note" }, notice)));
  $("name").replaceChildren(named(root.span.name));
  document.title = `${nameOf(root.span.name)} · ${shortId(traceId)}`;
  warn(usual ? `${sayFar(nodes.filter(({ far }) => far))}.` : "");
  $("next-error").disabled = !errorSpanCount;
  $("lesson").hidden = !errorSpanCount;
  $("found").hidden = false;
  $("grid").style.setProperty("--levels", Math.max(1, Math.min(depth - 1, DEEPEST)));
  const names = new Set(nodes.map(({ service }) => service));
  colour = colours(names);
  beginning = sharedBeginning(names);
  $("grid").classList.toggle("one-service", names.size === 1); // which stands above it
  arrange(body, rows, nodes.map(({ key }) => key), () => el("div", { role: "row", class: "row" }));
  for (const node of nodes) rows.get(node.key).node = node;
  active = byKey.get(active?.key) ?? nodes[0];
  const before = selected;
  selected &&= byKey.get(selected.key);
  if (zoom === undefined) zoom = usual; // until the reader chooses
  look();
  zoomTo(zoom);
  quietSince = isFirst ? Math.min(Date.now(), Number(BigInt(maxEndTimeUnixNano) / 1_000_000n)) : Date.now();
  sayWhetherItGrows();
  readOperations(nodes, colour, findOperation);
  readAdvice(traceId, () => state !== undefined, goToSpan);
  if (isFirst && isBack && !location.hash) scrollTo(0, Number(sessionStorage.getItem(location.pathname)));
  if (!selected) goToAddress();
  else if (selected.parent?.key !== before.parent?.key || selected.orphan !== before.orphan || selected.from !== before.from || waited(selected.path) !== waited(before.path)) tell(selected);
}

function sayFar(far) {
  const begin = far.length === 1 ? "begins" : "begin";
  return `${count(far.length, "span")} ${begin} ${duration(Math.abs(far[0].far))} ${far[0].far < 0 ? "before" : "after"} the others`;
}

const tell = (node) => showSpan($("content"), node, trace, traceId, colour.get(node.service));

/** Hide the rows inside the spans with these keys. */
function fold(keys = collapsed) {
  const focused = body.contains(document.activeElement);
  collapsed = new Set(keys);
  open = [];
  let end = 0;
  for (const [i, { key, size }] of trace.nodes.entries()) {
    const row = rows.get(key);
    row.replaceChildren();
    row.ariaHidden = true; // a row is one when it has its cells
    row.hidden = i < end;
    if (row.hidden) continue;
    row.ariaRowIndex = open.push(row) + 1; // behind the head
    if (collapsed.has(key)) end = i + size;
  }
  $("grid").ariaRowCount = open.length + 1;
  while (active && rows.get(active.key).hidden) active = active.parent;
  const rowHeight = parseInt(getComputedStyle($("grid")).getPropertyValue("--row")); // unlike a row's own, it needs no layout
  const isBig = Boolean(zoom) || open.length * rowHeight > innerHeight;
  $("overview").hidden = !isBig;
  $("grid").classList.toggle("big", isBig);
  paint();
  paintOverviewSoon();
  if (focused) rows.get(active.key).focus({ preventScroll: true });
}

/** Fill the rows that are near the screen, and the one that takes the keys. */
function paint() {
  if (!active) return;
  const height = open[0].offsetHeight;
  const above = -body.getBoundingClientRect().top;
  const near = open.slice(Math.max(0, Math.floor(above / height) - 10), Math.ceil((above + innerHeight) / height) + 10);
  for (const row of [...near, rows.get(active.key)]) if (!row.firstChild) fill(row);
  const all = open.length * height;
  const { from, length } = whole();
  drawFrame((view.from - from) / length, view.length / length, above / all, innerHeight / all);
}

function paintOverviewSoon() {
  cancelAnimationFrame(nextFrame);
  nextFrame = requestAnimationFrame(paintOverview); // behind the rows: they are waited for
}

function paintOverview() {
  if (active && !$("overview").hidden) drawOverview(open.map(({ node }) => node), whole(), colour);
}

function fill(row) {
  const { node } = row;
  const { key, level, size, service } = node;
  for (const [name, value] of Object.entries(colour.get(service))) row.style.setProperty(name, value);
  row.ariaHidden = null;
  row.tabIndex = node === active ? 0 : -1;
  row.ariaLevel = level;
  row.ariaExpanded = size > 1 ? !collapsed.has(key) : null;
  row.ariaSelected = node === selected;
  row.replaceChildren(...cells(node, view, beginning, collapsed.has(key)));
}

/** Move the focus to a span, whatever is collapsed above it. The pane shows `chosen`; null closes it. */
function go(node, chosen = selected && node, block = "nearest") {
  const changed = new Set([active, node, selected, chosen].filter(Boolean));
  active = node;
  selected = chosen;
  const row = rows.get(node.key);
  if (row.hidden) {
    for (let above = node.parent; above; above = above.parent) collapsed.delete(above.key);
    fold();
  }
  for (const { key } of changed) fill(rows.get(key));
  pane.hidden = !chosen;
  history.replaceState(null, "", chosen ? `#${chosen.key}` : location.pathname); // it always leads to what is shown
  if (chosen) tell(chosen);
  pane.scrollTop = 0;
  row.focus({ preventScroll: true });
  row.scrollIntoView({ block });
}

/** Go to a span from afar: it then stands in the middle of the window, among those around it. */
const jumpTo = (node, chosen) => go(node, chosen, "center");

function goToAddress() {
  const id = location.hash.slice(1);
  const node = trace.byKey.get(id);
  if (node) jumpTo(node, node);
  else if (id) warn(`The span ${visible(id)} is not in this trace.`);
  else if (selected) go(active, null);
}

function goToSpan(spanId) {
  const node = trace.nodes.find(({ id }) => id === spanId);
  if (node) jumpTo(node, node);
}

/** Choose the next span in error: first where one began, from wherever the reader is, unless that is one of these. */
function nextError() {
  const errors = errorsOf(trace.nodes);
  const goesOn = selected !== undefined && (active.key === lastError || !active.errorBelow);
  const node = errors[(goesOn ? errors.indexOf(active) + 1 : 0) % errors.length];
  if (!node) return;
  lastError = node.key;
  jumpTo(node, node);
}

/** Look for the text in the field, and count where it is found. */
function look() {
  for (const node of hits) node.hit = false;
  hits = find(trace.nodes, field.value);
  for (const node of hits) node.hit = true;
  reached = hits.find(({ key }) => key === reached?.key);
  for (const name of ["next-hit", "previous-hit"]) $(name).disabled = !hits.length;
  sayHits();
}

function sayHits() {
  const place = `${number(hits.indexOf(reached) + 1)} of ${number(hits.length)}`;
  const name = el("span", { class: "unseen" }, `: ${nameOf(reached?.span.name)}`); // for those who do not see where the focus went
  if (!field.value.trim()) $("hits").replaceChildren();
  else if (reached) $("hits").replaceChildren(place, name);
  else $("hits").replaceChildren(`${number(hits.length)} found`);
}

/** Go to the next hit, from where the reader is and round again; with -1 to the one before. */
function nextHit(by = 1) {
  if (!hits.length) return;
  const isTyping = document.activeElement === field;
  const isAhead = (node) => by * (node.index - active.index) > 0 || (node === active && node !== reached);
  const ahead = by > 0 ? hits.find(isAhead) : hits.findLast(isAhead);
  reached = ahead ?? hits.at(by > 0 ? 0 : -1);
  jumpTo(reached);
  if (isTyping) field.focus({ preventScroll: true }); // and Enter goes on
  sayHits();
}

/** Look for the spans of one operation of a service, and go to the first. */
function findOperation({ service, name }) {
  field.value = [["name", name], ["service", service]].map(([key, text]) => exactly(key, oneLine(text))).join(" ");
  look();
  fold();
  nextHit();
}

function stopLooking() {
  field.value = "";
  look();
  fold();
}

/** The stretch of the whole trace, from its zero. */
const whole = () => ({ from: Number(trace.first - trace.zero), length: trace.total });

/** Show a stretch of time; without one, the whole trace. */
function zoomTo(stretch) {
  zoom = stretch ?? null;
  view = { zero: trace.zero, ...(zoom ? { from: Number(zoom.start - trace.zero), length: zoom.length } : whole()) };
  $("whole").hidden = !zoom;
  $("stretch").textContent = zoom ? `${duration(view.from)} to ${duration(view.from + view.length)}` : "";
  drawAxis($("axis"), view);
  fold();
}

/** Zoom to a part of what an element shows, in shares of it. */
function zoomToPart({ from, length }, left, right) {
  const start = trace.zero + BigInt(Math.round(from + left * length));
  zoomTo({ start, length: Math.max(1, Math.round((right - left) * length)) });
}

function zoomToSpan() {
  if (!active?.start) return;
  zoomTo({ start: active.start, length: Math.max(1, active.length || 0) });
}

/** Say whether a call in this trace has nothing below it yet, and may get it: its other side sends on a clock of its own. */
function sayWhetherItGrows() {
  clearTimeout(quietTimer);
  const rest = quietSince + PATIENCE - Date.now();
  const grows = rest > 0 && trace.nodes.some(isUnanswered);
  $("growing").textContent = grows ? "may still grow" : "";
  if (grows) quietTimer = setTimeout(sayWhetherItGrows, rest);
}

function isUnanswered({ id, span: { kind, attributes = [] }, shared, children }) {
  const client = KINDS.indexOf("client");
  if (kind !== client || children.length) return false;
  const hasOtherHalf = shared > 1 && trace.nodes.some((other) => other.id === id && other.span.kind !== client);
  if (hasOtherHalf) return false;
  const has = (names) => attributes.some(({ key }) => names.test(key));
  return has(/^(http|url|rpc)\./) && !has(/^db\./);
}

/** Save the trace as OTLP JSON, which other programs open: without the object that the API puts around it. */
async function download() {
  const answer = await fetch(path).catch(() => ({ ok: false }));
  if (!answer.ok) return warn("The viewer does not give this trace any more.");
  const wrapped = await answer.blob();
  const address = URL.createObjectURL(wrapped.slice('{"result":'.length, -"}".length, "application/json"));
  el("a", { href: address, download: `trace-${traceId}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

const toggle = (key) => fold(collapsed.delete(key) ? collapsed : collapsed.add(key));
const collapseAll = () => fold(trace.nodes.filter(({ size }) => size > 1).map(({ key }) => key));
const expandAll = () => fold([]);
const step = (by) => go(open[Math.min(open.length - 1, Math.max(0, open.indexOf(rows.get(active.key)) + by))].node);
const isOpen = () => active.size > 1 && !collapsed.has(active.key);

function close() {
  if (active) go(active, null);
}

/** Take back the last thing that the reader opened. */
function back() {
  if (!active) return;
  if (field.value && (pane.hidden || document.activeElement === field)) stopLooking();
  else if (pane.hidden && zoom) zoomTo(null);
  close();
}

body.addEventListener("click", ({ target }) => {
  const node = target.closest(".row")?.node;
  if (!node || !getSelection().isCollapsed) return; // the reader marks some text
  if (target.matches("[aria-expanded] .twisty")) {
    toggle(node.key);
    go(node);
  } else {
    go(node, node);
  }
});
field.addEventListener("input", () => {
  look();
  fold();
});
field.addEventListener("keydown", (event) => {
  if (event.key === "Enter") nextHit(event.shiftKey ? -1 : 1);
});
$("next-hit").addEventListener("click", () => nextHit());
$("previous-hit").addEventListener("click", () => nextHit(-1));
$("next-error").addEventListener("click", nextError);
$("collapse").addEventListener("click", collapseAll);
$("expand").addEventListener("click", expandAll);
$("zoom").addEventListener("click", zoomToSpan);
$("whole").addEventListener("click", () => zoomTo(null));
$("download").addEventListener("click", download);
$("close").addEventListener("click", close);
onDrag($("axis"), (from, to) => zoomToPart(view, from, to));
onDrag($("overview"), (from, to) => zoomToPart(whole(), from, to), (share) => {
  open[Math.min(open.length - 1, Math.floor(share * open.length))].scrollIntoView({ block: "center" });
});
new ResizeObserver(paintOverviewSoon).observe($("overview"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paintOverviewSoon);
addEventListener("hashchange", goToAddress);
addEventListener("scroll", paint, { passive: true });
addEventListener("resize", paint);
addEventListener("beforeprint", () => open.filter((row) => !row.firstChild).forEach(fill)); // on paper nothing is far away
$("back").href = `/${sessionStorage.getItem("list") ?? ""}`; // as it was left
history.scrollRestoration = "manual"; // the browser would scroll before the rows are there
addEventListener("pagehide", () => sessionStorage.setItem(location.pathname, scrollY));
onKeys(body, {
  ArrowDown: ["next span", () => step(1)],
  ArrowUp: ["previous span", () => step(-1)],
  ArrowRight: ["open, or to the child", () => (isOpen() ? step(1) : active.size > 1 && toggle(active.key))],
  ArrowLeft: ["close, or to the parent", () => (isOpen() ? toggle(active.key) : active.parent && go(active.parent))],
  Home: ["first span", () => step(-Infinity)],
  End: ["last span", () => step(Infinity)],
  Enter: ["all about the span; Tab goes there", () => go(active, active)],
});
onKeys(document, {
  "/": ["find: name, service, attribute", () => field.select()],
  n: ["next hit; in the field, Enter", () => nextHit()],
  p: ["previous hit; in the field, Shift and Enter", () => nextHit(-1)],
  e: ["next error, first where it began", nextError],
  t: ["where the time went: operations", toggleOperations],
  a: ["advice: what a reviewer would say", toggleAdvice],
  z: ["zoom to the span; or drag over the time", zoomToSpan],
  Z: ["the whole time", () => active && zoomTo(null)],
  "-": ["collapse all", collapseAll],
  "+": ["expand all", expandAll],
  Escape: ["back: close the span, stop finding, the whole time", back],
});
watch(() => `/api/v3/trace-summaries?viewer.search=${traceId}&query.searchDepth=1000`, check)();
