// Asks the viewer again and again, and says on the page when it does not answer.

const EVERY = 500; // milliseconds
const trouble = document.getElementById("trouble");

/** Call `show` with the answer to `address()`, now and whenever it changes, and return how to pause and hurry it. */
export function watch(address, show) {
  const live = { paused: false, again };
  let timer, request, last, tag;

  async function ask() {
    request = new AbortController();
    const began = performance.now();
    const path = address();
    if (path !== last) [last, tag] = [path, undefined];
    try {
      const answer = await fetch(path, { headers: tag ? { "If-None-Match": tag } : {}, signal: request.signal });
      if (answer.ok) {
        await show(await answer.json());
        tag = answer.headers.get("ETag");
      } else if (answer.status !== 304) {
        throw new Error(`${path}: ${answer.status}`);
      }
      trouble.hidden = true;
    } catch (problem) {
      if (problem.name === "AbortError") return; // another question has taken its place
      trouble.hidden = false;
    }
    const rest = Math.max(EVERY, 2 * (performance.now() - began)); // never keep the viewer busy
    timer = setTimeout(() => live.paused || document.hidden || ask(), rest);
  }

  function again() {
    request.abort();
    clearTimeout(timer);
    ask();
  }

  document.addEventListener("visibilitychange", () => live.paused || document.hidden || again());
  ask();
  return live;
}
