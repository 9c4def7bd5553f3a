// The list of traces: newest first, live, and still under the reader's pointer.

import { onKeys } from "./keys.js";
import { watch } from "./live.js";
import { hint, parse } from "./search.js";
import { $, ago, arrange, between, chips, count, duration, el, errorMark, moment, named, number, shortId, visible } from "./text.js";

const [list, search, pause, order] = ["traces", "search", "pause", "order"].map($);
const rows = new Map(); // trace id -> its <li>
let latest; // what the viewer said last
let asked = true; // whether the reader waits for the answer, and wants the rows to move

const start = ({ minStartTimeUnixNano = 0 }) => BigInt(minStartTimeUnixNano);
const spent = ({ maxEndTimeUnixNano = 0, ...summary }) => between(start(summary), BigInt(maxEndTimeUnixNano));

/** The traces in the order that the reader wants; equal ones stay as they come: newest first. */
function sorted(summaries) {
  const measures = {
    newest: () => 0,
    longest: (summary) => spent(summary) || 0,
    errors: (summary) => summary.errorSpanCount ?? 0,
  };
  const measure = measures[order.value];
  return summaries.toSorted((a, b) => measure(b) - measure(a));
}

/** Bring the page up to date. Nothing moves under the reader's pointer: what is new waits until it leaves. */
function paint() {
  const { viewer: { found = 0, kept = 0, dropped, refused, refusedReason } } = latest;
  const summaries = sorted(latest.summaries);
  const news = summaries.filter((summary) => rows.get(summary.traceId)?.content !== JSON.stringify(summary));
  const held = news.length > 0 && !asked && list.matches(":hover") && matchMedia("(hover)").matches; // a finger never leaves
  $("waiting").textContent = held ? `${number(news.length)} more when the pointer leaves the list` : "";
  if (held) return;
  asked = false;
  arrange(list, rows, summaries.map(({ traceId }) => traceId), () => el("li"));
  for (const summary of news) fill(rows.get(summary.traceId), summary);
  const shares = summaries.map((summary) => spent(summary) || 0);
  const longest = Math.max(1, ...shares);
  for (const [i, { traceId }] of summaries.entries()) rows.get(traceId).style.setProperty("--share", shares[i] / longest);
  const narrowed = Object.keys(asking()).length > 0;
  $("kept").textContent = [
    narrowed ? `${number(found)} of ${count(kept, "trace")}` : `${count(kept, "trace")} kept`,
    found > summaries.length && `the newest ${number(summaries.length)} shown`,
    dropped && `${number(dropped)} dropped for room`,
    refused && `${count(refused, "span")} refused: ${visible(refusedReason)}`,
  ].filter(Boolean).join(" · ");
  $("nothing").hidden = found > 0 || !narrowed;
  $("hint").textContent = hint(search.elements.wanted.value) || "No trace fits.";
  $("empty").hidden = found > 0 || narrowed;
}

function fill(row, summary) {
  Object.assign(row, { summary, content: JSON.stringify(summary) });
  const { traceId, spanCount, errorSpanCount, services, viewer: { insteadOfRoot = summary, notices = [] } = {} } = summary;
  const focused = row.contains(document.activeElement);
  row.replaceChildren(
    el("div", { class: "what" },
      el("a", { href: `/trace/${traceId}` }, named(insteadOfRoot.rootOperationName)),
      ...notices.map((note) => el("span", { class: "note" }, note))),
    el("span", { class: "spans" }, count(spanCount, "span")),
    el("span", { class: "errors bad" }, ...(errorSpanCount ? [errorMark(), count(errorSpanCount, "error")] : [])),
    el("span", { class: "duration" }, duration(spent(summary))),
    el("time", { title: moment(start(summary)) }, ago(start(summary))),
    el("code", { title: traceId }, shortId(traceId)),
    el("div", { class: "chips" }, ...chips(services)),
  );
  if (focused) row.querySelector("a").focus({ preventScroll: true });
}

/** What the reader looks for, as parameters of the API. */
function asking() {
  const { wanted, errors } = Object.fromEntries(new FormData(search));
  return { ...parse(wanted), ...(errors && { "viewer.errors": true }) };
}

const address = () => `/api/v3/trace-summaries?${new URLSearchParams({ "query.searchDepth": 1000, ...asking() })}`;
const ask = watch(address, (answer) => {
  latest = answer;
  paint();
}, () => !pause.checked);

/** Let the address say what the reader looks for and in which order, so that a link and the way back keep it. */
function keepInAddress() {
  const { wanted, errors } = search.elements;
  const said = { search: wanted.value, errors: errors.checked ? "only" : "", order: order.value === "newest" ? "" : order.value };
  const query = String(new URLSearchParams(Object.entries(said).filter(([, value]) => value)));
  history.replaceState(null, "", query ? `?${query}` : location.pathname);
  sessionStorage.setItem("list", location.search); // for the link that leads back
}

function readAddress() {
  const said = new URLSearchParams(location.search);
  search.elements.wanted.value = said.get("search") ?? "";
  search.elements.errors.checked = said.get("errors") === "only";
  order.value = said.get("order") ?? "newest";
  if (!order.value) order.value = "newest"; // it was none of the orders
}

function changed() {
  asked = true;
  keepInAddress();
  ask();
}

function clear() {
  search.reset();
  changed();
}

setInterval(() => {
  for (const row of rows.values()) row.querySelector("time").textContent = ago(start(row.summary));
}, 1000);
search.addEventListener("input", changed);
addEventListener("pageshow", ({ persisted }) => {
  if (persisted) return;
  readAddress(); // by now the browser has put in the last search, of whatever address
  changed();
});
$("clear").addEventListener("click", clear);
order.addEventListener("change", () => {
  asked = true;
  keepInAddress();
  if (latest) paint();
});
pause.addEventListener("change", () => {
  if (!pause.checked) ask();
});
list.addEventListener("pointerleave", () => {
  if (latest) paint();
});
list.addEventListener("click", ({ target }) => { // beside the link, unless the reader marks some text
  if (!target.closest("a") && getSelection().isCollapsed) target.closest("li")?.querySelector("a").click();
});
onKeys(document, { "/": ["search", () => search.querySelector("input").focus()], Escape: ["clear the search", clear] });
