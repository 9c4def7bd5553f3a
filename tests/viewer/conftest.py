"""Browsers, and pages of the viewer. What needs the browser's library is imported late: not everybody has it."""

import os
import shutil
import time

import pytest

from tests.viewer.otlp import trace_id

# Nothing but what the tests ask for: no first-run pages, no updates.
QUIET = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # One process draws all pages: most of a page's cost is a process of its own.
    "--renderer-process-limit=1",
    "--disable-features=SpareRendererForSitePerProcess,IsolateOrigins,site-per-process",
]


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium. Without one these tests are skipped, but in CI they fail."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        complain = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        complain("no browser: `apt-get install chromium`, or set CHROMIUM to the path of one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def context(browser):
    """What the pages without options of their own share; its first page stays open, and with it their process."""
    context = browser.new_context(timezone_id="UTC")
    context.new_page()
    return context


@pytest.fixture(scope="session")
def viewer():
    from tests.viewer.browsing import Viewer

    return Viewer()


@pytest.fixture
def real_viewer(start):
    """`python -m viewer` as a process: `.url` is its page, `.endpoint` takes OTLP."""
    process = start("-m", "viewer", VIEWER_WEB_PORT=0, VIEWER_OTLP_PORT=0)
    process.endpoint, process.url = process.wait_for(r"gRPC on (\S+)\s(?:.*\s)*?.*traces on (\S+)\s").groups()
    return process


@pytest.fixture
def page(browser, context, viewer, start):
    """Open a page of an empty viewer: `page(path, bounds=…, **options of the browser)`. With `clock` its time stands
    still but for `page.clock.run_for`, however long the test takes.

    Whatever the test: the browser must not complain, and must ask nobody but the viewer. (`start` is asked for
    so that a page is closed before the process that serves it.)
    """
    from tests.viewer.browsing import Page, Viewer

    opened = []

    def page(path="/", viewer=viewer, bounds=None, width=1280, height=800, scheme="light", clock=False, **options):
        if isinstance(viewer, Viewer):
            viewer.clear(**bounds or {})
        own = browser.new_context(**{"timezone_id": "UTC"} | options) if options or clock else context
        if clock:
            own.clock.install()
            own.clock.pause_at(time.time() + 60)  # ahead, or it would have passed on a busy machine
        opened.append(Page(own.new_page(), viewer))
        opened[-1].set_viewport_size({"width": width, "height": height})
        opened[-1].emulate_media(color_scheme=scheme)
        return opened[-1].open(path) if path else opened[-1]

    yield page
    for each in opened:
        (each.close if each.context == context else each.context.close)()
        assert each.problems == []


@pytest.fixture
def trace(page):
    """Send requests to a viewer and open the page of the trace in them."""

    def trace(*requests, path="", number=1, **options):
        shown = page(None, **options)
        shown.send(*requests)
        shown.open(f"/trace/{trace_id(number)}{path}")
        shown.rows.first.wait_for()
        return shown

    return trace
