// Asks the viewer again and again, and says on the page when it does not answer.

import { $ } from "./text.js";

/** Returns how to ask, anew if need be: from then on `show` gets each new answer to `address()`, as long as `wanted()`. */
export function watch(address, show, wanted = () => true) {
  let timer, request, last;

  async function ask() {
    clearTimeout(timer);
    request?.abort(); // if there is one still: this takes its place
    const { signal } = (request = new AbortController());
    const began = performance.now();
    try {
      const answer = await fetch(address(), { signal }); // with its ETag, the browser sees to that
      if (!answer.ok) throw new Error(answer.status);
      const text = await answer.text();
      if (text !== last) await show(JSON.parse(text));
      last = text;
    } catch {
      last = undefined;
    }
    if (signal.aborted) return;
    $("trouble").hidden = last !== undefined;
    const rest = 2 * (performance.now() - began); // milliseconds; never keep the viewer busy
    timer = setTimeout(() => wanted() && ask(), Math.min(10_000, Math.max(500, rest))); // but a machine may have slept
  }

  return () => {
    last = undefined;
    ask();
  };
}
