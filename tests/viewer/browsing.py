"""A page of the viewer in a real browser, as the tests use it."""

import os
import re

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support import wait_until
from tests.viewer.otlp import send
from viewer import web
from viewer.store import Store

IN_CI = os.environ.get("CI") == "true"
if not IN_CI:
    pytest.importorskip("playwright", reason="pip install -r requirements-test.txt")
from axe_playwright_python.sync_playwright import Axe  # noqa: E402, F401
from playwright.sync_api import expect  # noqa: E402

expect.set_options(timeout=30_000)


class Viewer:
    """A page served from a store of our own, for what needs no other process. `clear()` is a fresh start."""

    def __init__(self):
        self.store = Store()
        self.otlp_port = 4318
        self.url = f"http://127.0.0.1:{web.start(self.store, '127.0.0.1', 0, self.otlp_port)}"

    def clear(self, **bounds):
        before = self.store.revision
        self.store.__init__(**bounds)
        self.store.revision = before + 1  # the browser still has the old list

    def send(self, *requests):
        """Keep all of them at once: a page that asks between two would show a part."""
        whole = ExportTraceServiceRequest()
        for each in requests:
            whole.MergeFrom(each)
        send(self.store, whole)


class Page:
    """A page of one viewer, and what went wrong on it."""

    def __init__(self, page, viewer):
        self.page, self.viewer, self.problems = page, viewer, []
        page.on("console", lambda line: line.type in ("error", "warning") and self.problems.append(line.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda made: made.url.startswith(viewer.url) or self.problems.append(made.url))
        self.press = page.keyboard.press

    def __getattr__(self, name):
        return getattr(self.page, name)

    def send(self, *requests):
        self.viewer.send(*requests)

    def open(self, path="/"):
        self.page.goto(self.viewer.url + path)
        return self

    @property
    def traces(self):
        """The names in the list of traces."""
        return self.page.locator("#traces a")

    @property
    def rows(self):
        """The rows of the waterfall."""
        return self.page.locator("#grid .row:not([hidden])")

    def row(self, name):
        """The row of the span with this name."""
        return self.rows.filter(has=self.page.locator(".title", has_text=re.compile(f"^{re.escape(name)}$")))

    def tree(self):
        """The waterfall as a list of (level, name)."""
        return [(int(row.get_attribute("aria-level")), row.locator(".title").inner_text()) for row in self.rows.all()]

    @property
    def notes(self):
        """What is said in the rows of the waterfall besides name and service."""
        return self.rows.locator(".note")

    def colours_of_the_overview(self):
        """The colours that are drawn in it, as `red,green,blue`, once it is painted, a frame behind the rows.

        Read from a copy: of a canvas that is read again and again the browser complains.
        """
        seen = """canvas => {
            const {width, height} = canvas;
            const copy = new OffscreenCanvas(width, height).getContext("2d", {willReadFrequently: true});
            copy.drawImage(canvas, 0, 0);
            const {data} = copy.getImageData(0, 0, width, height);
            const seen = new Set();
            for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255) seen.add(data.slice(i, i + 3).join());
            return [...seen];
        }"""
        return wait_until(lambda: self.page.locator("#overview canvas").evaluate(seen), "the overview is painted")

    def pane(self):
        return self.page.locator("#pane")

    def told(self, key):
        """What the pane says about `key`."""
        name = self.page.locator("dt bdi", has_text=re.compile(f"^{re.escape(key)}$"))
        line = self.pane().locator("dl > div").filter(has=name)
        return line.locator("dd").first

    def value(self, key):
        """The value of the attribute `key` in the pane."""
        return self.told(key).locator(".value")
