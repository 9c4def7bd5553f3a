// Asks the viewer again and again, and says on the page when it does not answer.

import { $ } from "./text.js";

const EVERY = 500; // milliseconds

/** Call `show` with the answer to `address()`, now and whenever it changes, and return how to pause and hurry it. */
export function watch(address, show) {
  const live = { paused: false, again };
  let timer, request, last;

  async function ask() {
    request = new AbortController();
    const began = performance.now();
    try {
      const answer = await fetch(address(), { signal: request.signal }); // with its ETag, the browser sees to that
      if (!answer.ok) throw new Error(answer.status);
      const text = await answer.text();
      if (text !== last) await show(JSON.parse(text));
      last = text;
      $("trouble").hidden = true;
    } catch (problem) {
      if (problem.name === "AbortError") return; // another question has taken its place
      $("trouble").hidden = false;
    }
    const rest = Math.max(EVERY, 2 * (performance.now() - began)); // never keep the viewer busy
    timer = setTimeout(() => live.paused || document.hidden || ask(), rest);
  }

  function again() {
    request.abort();
    clearTimeout(timer);
    last = undefined;
    ask();
  }

  document.addEventListener("visibilitychange", () => live.paused || document.hidden || again());
  ask();
  return live;
}
