"""Take the README's pictures of the viewer's page from a demo of its own: `make screenshots`.

Needs a Chromium; CHROMIUM names one that is not on the path.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60  # seconds until a trace is there
WHOLE = 6  # spans of a healthy trace


def main() -> None:
    """Start the demo, wait for a healthy trace and for one with Redis stopped, and take both, light and dark."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "demo"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    viewer = f"http://127.0.0.1:{os.environ.get('VIEWER_WEB_PORT', '16686')}"
    try:
        # Not the first: connecting to the databases makes it look slower than the others.
        healthy = wait_for(viewer, lambda trace: trace["spanCount"] == WHOLE and "errorSpanCount" not in trace, 2)
        demo.send_signal(signal.SIGUSR1)  # stops Redis
        broken = wait_for(viewer, lambda trace: trace["spanCount"] < WHOLE and trace.get("errorSpanCount", 0) > 3)
        take(viewer, healthy["traceId"], broken["traceId"])
    finally:
        demo.send_signal(signal.SIGTERM)
        demo.wait()


def wait_for(viewer: str, fits, count: int = 1) -> dict:
    """Return the summary of the newest trace that fits, as soon as there are `count`."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{viewer}/api/v3/trace-summaries") as answer:
                summaries = json.load(answer).get("summaries", [])
        except OSError:  # not up yet
            summaries = []
        fitting = [summary for summary in summaries if "rootServiceName" in summary and fits(summary)]
        if len(fitting) >= count:
            return fitting[0]
        time.sleep(0.5)
    sys.exit(f"no such trace within {PATIENCE} s")


def take(viewer: str, healthy: str, broken: str) -> None:
    """Take the pictures into docs/."""
    browser_path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-quic"])
        for scheme in ("light", "dark"):
            page = browser.new_page(color_scheme=scheme, device_scale_factor=2, timezone_id="UTC")

            def picture(name, width, height, page=page, scheme=scheme):
                page.set_viewport_size({"width": width, "height": height})
                page.mouse.move(0, 0)
                page.screenshot(path=ROOT / "docs" / f"{name}-{scheme}.png")

            page.goto(f"{viewer}/trace/{healthy}")
            page.locator(".row").nth(WHOLE - 1).wait_for()
            picture("trace", 1200, 480)
            page.goto(f"{viewer}/trace/{broken}")
            page.locator(".row").last.click()
            stack = page.get_by_text("exception.stacktrace").bounding_box()
            picture("error", 1200, int(stack["y"] - 2))  # it holds paths of this machine
        browser.close()


if __name__ == "__main__":
    main()
