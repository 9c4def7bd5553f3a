// What a reviewer would say of the trace: a button with the number, and the list that it opens.

import { foldable } from "./folding.js";
import { $, count, el, visible } from "./text.js";

// Milliseconds after a change of the trace: what it lost may come with its neighbours, whose programs send every 5 s,
// and a parent has 10 s to come.
const LOOKS = [0, 2_000, 6_000, 11_000];
const button = $("show-advice");
const { open, toggle } = foldable(button, $("advice"));
let timers = [];
let last; // the answer that is shown, as text

/** Look for advice now and some times more, as long as the trace `isHere()`; `goToSpan` shows a span, by its id. */
export function readAdvice(traceId, isHere, goToSpan) {
  timers.forEach(clearTimeout);
  timers = LOOKS.map((later) => setTimeout(() => isHere() && look(traceId, goToSpan), later));
}

async function look(traceId, goToSpan) {
  const answer = await fetch(`/viewer/advice/${traceId}`).catch(() => ({ ok: false }));
  const text = answer.ok ? await answer.text() : last;
  if (text === last) return;
  last = text;
  const { advice } = JSON.parse(text);
  $("advice").querySelector("ol").replaceChildren(...advice.map((piece) => item(piece, goToSpan)));
  button.hidden = !advice.length;
  button.title = `${count(advice.length, "thing")} that a reviewer would say (a)`;
  button.querySelector("b").textContent = advice.length;
  if (!advice.length) open(false);
}

function item({ rule, spanId, text, see }, goToSpan) {
  const show = el("button", { type: "button", class: "small", "aria-label": `Show the span: ${rule}` }, "Show the span");
  show.addEventListener("click", () => goToSpan(spanId));
  const [other] = text.match(/(?<=\btrace )[0-9a-f]{32}/) ?? [];
  return el("li", {},
    el("p", {}, el("span", { class: "soft" }, rule), visible(text, { limit: 2000 })),
    el("div", { class: "ways" }, show,
      other && el("a", { href: `/trace/${other}` }, "The other trace"),
      el("a", { href: `/${see}`, target: "_blank" }, see)));
}

/** Open the list and go there; or close it, and go back to its button. */
export const toggleAdvice = toggle;
