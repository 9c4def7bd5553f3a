// The list of traces: newest first, live, and still under the reader's pointer.

import { onKeys } from "./keys.js";
import { watch } from "./live.js";
import { $, ago, arrange, chips, count, duration, el, errorMark, moment, named, number, plausible, visible } from "./text.js";

const [list, search, errors, pause] = ["traces", "search", "errors", "pause"].map($);
const rows = new Map(); // trace id -> its <li>
let latest; // what the viewer said last
let asked = true; // whether the reader waits for the answer, and wants the rows to move

const start = ({ minStartTimeUnixNano = 0 }) => BigInt(minStartTimeUnixNano);
const end = ({ maxEndTimeUnixNano = 0 }) => BigInt(maxEndTimeUnixNano);
const timed = (summary) => plausible(start(summary)) && plausible(end(summary));
const spent = (summary) => (timed(summary) ? Number(end(summary) - start(summary)) : 0);
const started = (summary) => (timed(summary) ? ago(start(summary)) : "");

/** Bring the page up to date. Nothing moves under the reader's pointer: what is new waits until it leaves. */
function paint() {
  const { summaries = [], viewer: { found = 0, kept = 0, dropped, refused, refusedReason = "" } = {} } = latest;
  const news = summaries.filter((summary) => rows.get(summary.traceId)?.content !== JSON.stringify(summary));
  const held = news.length > 0 && !asked && list.matches(":hover") && matchMedia("(hover)").matches; // a finger never leaves
  $("waiting").hidden = !held;
  $("waiting").textContent = `${number(news.length)} more when the pointer leaves the list`;
  if (held) return;
  asked = false;
  arrange(list, rows, summaries.map(({ traceId }) => traceId), () => el("li"));
  for (const summary of news) fill(rows.get(summary.traceId), summary);
  const longest = Math.max(1, ...summaries.map(spent));
  for (const summary of summaries) rows.get(summary.traceId).style.setProperty("--share", spent(summary) / longest);

  const narrowed = search.value.trim() !== "" || errors.checked;
  $("kept").textContent = [
    narrowed ? `${number(found)} of ${count(kept, "trace")}` : `${count(kept, "trace")} kept`,
    found > summaries.length && `the newest ${number(summaries.length)} shown`,
    dropped && `${number(dropped)} dropped for room`,
    refused && `${count(refused, "span")} refused`,
  ].filter(Boolean).join(" · ");
  $("kept").title = visible(refusedReason);
  $("nothing").hidden = found > 0 || !narrowed;
  $("empty").hidden = found > 0 || narrowed;
}

function fill(row, summary) {
  Object.assign(row, { summary, content: JSON.stringify(summary) });
  const { traceId, spanCount = 0, errorSpanCount = 0, orphanSpanCount = 0, services = [], viewer = {} } = summary;
  const { rootOperationName } = viewer.insteadOfRoot ?? summary;
  const notes = [
    viewer.insteadOfRoot && "no root",
    orphanSpanCount && `${count(orphanSpanCount, "span")} without a parent`,
    viewer.refused && `${count(viewer.refused, "span")} not kept`,
  ].filter(Boolean);
  const focused = row.contains(document.activeElement);
  row.replaceChildren(
    el("div", { class: "what" },
      el("a", { href: `/trace/${traceId}` }, named(rootOperationName)),
      ...notes.map((note) => el("span", { class: "note" }, note))),
    el("div", { class: "chips" }, ...chips(services)),
    el("span", { class: "spans" }, count(spanCount, "span")),
    el("span", { class: "errors bad" }, ...(errorSpanCount ? [errorMark(), count(errorSpanCount, "error")] : [])),
    el("span", { class: "duration" }, timed(summary) ? duration(spent(summary)) : "no valid time"),
    el("time", { title: timed(summary) && moment(start(summary)) }, started(summary)),
    el("code", { title: traceId }, traceId.slice(0, 8)),
  );
  if (focused) row.querySelector("a").focus({ preventScroll: true });
}

/** Where to read what the reader asks for. */
function address() {
  const wanted = new URLSearchParams({ "query.searchDepth": 1000, "viewer.search": search.value, "viewer.errors": errors.checked });
  return `/api/v3/trace-summaries?${wanted}`;
}

function changed() {
  asked = true;
  askAnew();
}

function clear() {
  search.value = "";
  errors.checked = false;
  changed();
}

const askAnew = watch(address, (answer) => {
  latest = answer;
  paint();
}, () => !pause.checked);
setInterval(() => {
  for (const row of rows.values()) row.querySelector("time").textContent = started(row.summary);
}, 1000);
search.addEventListener("input", changed);
errors.addEventListener("change", changed);
pause.addEventListener("change", () => pause.checked || askAnew());
list.addEventListener("pointerleave", () => latest && paint());
$("clear").addEventListener("click", () => (clear(), search.focus()));
onKeys(document, { "/": ["search", () => search.focus()], Escape: ["clear the search", clear] });
