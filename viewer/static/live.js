// Asks the viewer again and again, and says on the page when it does not answer.

import { $ } from "./text.js";

/** Call `show` with each new answer to `address()`, as long as `wanted()`. Returns how to ask anew. */
export function watch(address, show, wanted = () => true) {
  let timer, request, tag;

  async function ask() {
    clearTimeout(timer);
    request?.abort(); // this question takes its place
    const { signal } = (request = new AbortController());
    const began = performance.now();
    try {
      const answer = await fetch(address(), { signal, headers: { "If-None-Match": tag } });
      if (answer.ok) await show(await answer.json());
      else if (answer.status !== 304) throw new Error(answer.status);
      tag = answer.headers.get("ETag");
    } catch {
      tag = undefined;
    }
    if (signal.aborted) return;
    $("trouble").hidden = tag !== undefined;
    const rest = Math.max(500, 2 * (performance.now() - began)); // milliseconds; never keep the viewer busy
    timer = setTimeout(() => wanted() && ask(), rest);
  }

  ask();
  return () => {
    tag = undefined;
    ask();
  };
}
