// Asks the viewer again and again, and says on the page when it does not answer.

import { $ } from "./text.js";

/** Call `show` with the answer to `address()` whenever it changes, as long as `wanted()`. Returns how to ask anew. */
export function watch(address, show, wanted = () => true) {
  let timer, request, last;

  async function ask() {
    clearTimeout(timer);
    request?.abort(); // this question takes its place
    const { signal } = (request = new AbortController());
    const began = performance.now();
    try {
      const answer = await fetch(address(), { signal }); // with its ETag, the browser sees to that
      if (!answer.ok) throw new Error(answer.status);
      const text = await answer.text();
      if (text !== last) await show(JSON.parse(text));
      last = text;
    } catch (problem) {
      if (signal.aborted) return;
      last = undefined;
    }
    $("trouble").hidden = last !== undefined;
    const rest = Math.max(500, 2 * (performance.now() - began)); // milliseconds; never keep the viewer busy
    timer = setTimeout(() => wanted() && !document.hidden && ask(), rest);
  }

  document.addEventListener("visibilitychange", () => wanted() && !document.hidden && ask());
  ask();
  return () => {
    last = undefined;
    ask();
  };
}
