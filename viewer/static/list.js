// The list of traces: newest first, live, and still under the reader's pointer.

import { onKeys } from "./keys.js";
import { watch } from "./live.js";
import { $, ago, arrange, chip, count, duration, el, errorMark, moment, named, number, plausible, visible } from "./text.js";

const AT_MOST = 1000; // traces
const [list, search, errors, pause, held] = ["traces", "search", "errors", "pause", "held"].map($);
const rows = new Map(); // trace id -> its <li>
let latest; // what the viewer said last
let asked = true; // whether the reader waits for the answer, and wants the rows to move

const start = ({ minStartTimeUnixNano = 0 }) => BigInt(minStartTimeUnixNano);
const end = ({ maxEndTimeUnixNano = 0 }) => BigInt(maxEndTimeUnixNano);
const timed = (summary) => plausible(start(summary)) && plausible(end(summary));
const spent = (summary) => (timed(summary) ? Number(end(summary) - start(summary)) : 0);
const started = (summary) => (timed(summary) ? ago(start(summary)) : "");

/** Bring the rows up to date. None moves under the reader's pointer: new ones wait until they are let in. */
function paint(letIn = asked || !list.matches(":hover")) {
  const { summaries = [] } = latest;
  if (letIn) arrange(list, rows, summaries.map(({ traceId }) => traceId), () => el("li"));
  const shown = summaries.filter(({ traceId }) => rows.has(traceId));
  held.hidden = shown.length === summaries.length;
  held.textContent = `${summaries.length - shown.length} new`;
  const longest = Math.max(1, ...summaries.map(spent));
  for (const summary of shown) {
    const row = rows.get(summary.traceId);
    fill(row, summary);
    row.style.setProperty("--share", spent(summary) / longest);
  }
  asked = false;
}

/** Say how many traces there are, or why there is none. */
function tell() {
  const { summaries = [], viewer = {} } = latest;
  const { found = 0, kept = 0, dropped, refused, refusedReason = "" } = viewer;
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
  const content = JSON.stringify(summary);
  if (row.content === content) return;
  Object.assign(row, { content, summary });
  const { traceId, spanCount = 0, errorSpanCount = 0, orphanSpanCount = 0, services = [], viewer = {} } = summary;
  const { rootServiceName, rootOperationName } = viewer.insteadOfRoot ?? summary;
  const rootFirst = services.toSorted((a, b) => (b.name === rootServiceName) - (a.name === rootServiceName));
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
    el("div", { class: "chips" }, ...rootFirst.map(chip)),
    el("span", { class: "spans" }, count(spanCount, "span")),
    el("span", { class: "errors bad" }, ...(errorSpanCount ? [errorMark(), count(errorSpanCount, "error")] : [])),
    el("span", { class: "duration" }, timed(summary) ? duration(spent(summary)) : "no valid time"),
    el("time", { title: timed(summary) && moment(start(summary)) }, started(summary)),
    el("code", { title: traceId }, traceId.slice(0, 8)),
  );
  if (focused) row.querySelector("a").focus();
}

setInterval(() => {
  for (const row of rows.values()) row.querySelector("time").textContent = started(row.summary);
}, 1000);

/** What the reader asks for, with names that begin with `prefix`. */
function query(prefix, parameters) {
  const wanted = new URLSearchParams(parameters);
  if (search.value.trim()) wanted.set(`${prefix}search`, search.value.trim());
  if (errors.checked) wanted.set(`${prefix}errors`, "true");
  return wanted;
}

/** Show what the search asks for at once, and keep it in the address, for links and for the way back. */
function changed() {
  const address = query("");
  history.replaceState(null, "", address.size ? `/?${address}` : "/");
  asked = true;
  live.again();
}

function clear() {
  search.value = "";
  errors.checked = false;
  changed();
}

/** Move the focus to the trace `step` rows away, or to the first or last one. */
function move(step) {
  const links = [...list.querySelectorAll("a")];
  links[Math.min(links.length - 1, Math.max(0, links.indexOf(document.activeElement) + step))]?.focus();
}

const given = new URLSearchParams(location.search);
search.value = given.get("search") ?? "";
errors.checked = given.get("errors") === "true";
const address = () => `/api/v3/trace-summaries?${query("viewer.", { "query.searchDepth": AT_MOST })}`;
const live = watch(address, (answer) => {
  latest = answer;
  paint();
  tell();
});

pause.addEventListener("click", () => {
  live.paused = !live.paused;
  pause.setAttribute("aria-pressed", live.paused);
  pause.textContent = live.paused ? "Paused" : "Pause";
  if (!live.paused) live.again();
});
search.addEventListener("input", changed);
errors.addEventListener("change", changed);
held.addEventListener("click", () => paint(true));
list.addEventListener("pointerleave", () => latest && paint());
$("clear").addEventListener("click", () => (clear(), search.focus()));
onKeys(document, {
  "/": ["search", () => search.focus()],
  ArrowDown: ["next trace; Enter opens it", () => move(1)],
  ArrowUp: ["previous trace", () => move(-1)],
  Home: ["first trace", () => move(-Infinity)],
  End: ["last trace", () => move(Infinity)],
  e: ["errors only", () => errors.click()],
  p: ["pause", () => pause.click()],
  Escape: ["clear the search", clear],
});
