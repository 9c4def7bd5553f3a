"""Measure the viewer's page with the store full: `python benchmarks/page.py`. Needs a Chromium; takes half a minute.

Prints the list's answer over HTTP, and how long a trace of 10,000 spans takes until it is on screen and to scroll.
"""

import os
import shutil
import statistics
import sys
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for the viewer and the tests' requests
from playwright.sync_api import sync_playwright

from tests.viewer.otlp import request, send, span, trace_id
from viewer import web
from viewer.store import Store

TRACES, SPANS, BIG = 1_000, 190, 10_000  # 199,810 spans in all: just below the store's bound
SCROLL = """async (share) => {  // of the way in each frame
    const rows = document.scrollingElement, frames = [];
    let last = performance.now();
    for (let n = 1; n <= 100; n++) {
        rows.scrollTop = n * share * rows.scrollHeight;
        await new Promise(requestAnimationFrame);
        frames.push(performance.now() - last);
        last = performance.now();
    }
    return frames.sort((a, b) => a - b);
}"""


def main() -> None:
    """Fill a store, open its page in a browser, and print the figures."""
    store = Store()
    for trace in range(1, TRACES):
        spans = [span(f"work {n}", trace=trace, id=n + 1, parent=n) for n in range(SPANS)]
        send(store, request(*spans, service=f"service {trace % 7}"))
    send(store, request(*(span(f"work {n}", trace=TRACES, id=n + 1, parent=n // 10, end=n + 10) for n in range(BIG))))
    print(f"{store.kept():,} traces, {sum(summary.span_count for summary in store.summaries()):,} spans")
    url = f"http://127.0.0.1:{web.start(store, '127.0.0.1', 0, 0)}"

    for depth in (100, TRACES):
        taken = []
        for _ in range(20):
            start = time.perf_counter()
            urllib.request.urlopen(f"{url}/api/v3/trace-summaries?query.searchDepth={depth}").read()
            taken.append(1000 * (time.perf_counter() - start))
        print(f"list of {depth:,} traces over HTTP: {middle_and_worst(taken)}")

    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-quic"])
        page = browser.new_page()
        for what, address, there in (
            ("list of traces", "/", "#traces a"),
            (f"trace of {BIG:,} spans", f"/trace/{trace_id(TRACES)}", "#grid .title"),
        ):
            start = time.perf_counter()
            page.goto(url + address)
            page.locator(there).first.wait_for()
            print(f"{what} on screen after {time.perf_counter() - start:.2f} s")
        for what, share in (("five rows a frame", 5 / BIG), ("from end to end in 100 frames", 1 / 100)):
            print(f"a frame while scrolling, {what}: {middle_and_worst(page.evaluate(SCROLL, share))}")
        browser.close()


def middle_and_worst(milliseconds: list[float]) -> str:
    """Return the median and the maximum, in words."""
    return f"median {statistics.median(milliseconds):.0f} ms, worst {max(milliseconds):.0f} ms"


if __name__ == "__main__":
    main()
