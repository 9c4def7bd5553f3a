"""The viewer's page, in a real browser, with real traces."""

import json
import os
import re
import shutil

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.support import free_port, wait_until
from tests.viewer.otlp import NOON, attribute, exception, request, send, span, trace_id
from viewer import web
from viewer.store import Store

IN_CI = os.environ.get("CI") == "true"
if not IN_CI:
    pytest.importorskip("playwright", reason="pip install -r requirements-test.txt")
from axe_playwright_python.sync_playwright import Axe  # noqa: E402
from playwright.sync_api import expect, sync_playwright  # noqa: E402

expect.set_options(timeout=10_000)

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
CLIENT, SERVER = "py-opentelemetry-manual-otlp-client", "py-opentelemetry-manual-otlp-server"


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium. Without one these tests are skipped, but in CI they fail."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        complain = pytest.fail if IN_CI else pytest.skip
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
        for each in requests:
            send(self.store, each)


@pytest.fixture(scope="session")
def viewer():
    return Viewer()


@pytest.fixture
def real_viewer(start):
    """`python -m viewer` as a process: `.url` is its page, `.endpoint` takes OTLP."""
    process = start("-m", "viewer", VIEWER_WEB_PORT=0, VIEWER_OTLP_PORT=0)
    process.endpoint, process.url = process.wait_for(r"gRPC on (\S+)\s(?:.*\s)*?.*traces on (\S+)\s").groups()
    return process


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

    def pane(self):
        return self.page.locator("#pane")

    def told(self, key):
        """What the pane says about `key`."""
        line = self.pane().locator("dl > div").filter(has=self.page.locator(f"dt bdi:text-is({json.dumps(key)})"))
        return line.locator("dd").first


@pytest.fixture
def page(browser, context, viewer, start):
    """Open a page of an empty viewer: `page(path, bounds=…, **options of the browser)`.

    Whatever the test: the browser must not complain, and must ask nobody but the viewer. (`start` is asked for
    so that a page is closed before the process that serves it.)
    """
    opened = []

    def page(path="/", viewer=viewer, bounds=None, width=1280, height=800, scheme="light", **options):
        if isinstance(viewer, Viewer):
            viewer.clear(**bounds or {})
        own = browser.new_context(timezone_id="UTC", **options) if options else context
        opened.append(Page(own.new_page(), viewer))
        opened[-1].set_viewport_size({"width": width, "height": height})
        opened[-1].emulate_media(color_scheme=scheme)
        return opened[-1].open(path) if path else opened[-1]

    yield page
    for each in opened:
        (each.close if each.context == context else each.context.close)()
        assert each.problems == []


def shop(failed=False, **fields):
    """Return the requests of a small trace over two services."""
    return (
        request(span("order", id=1, start=0, end=100, **fields), service="shop"),
        request(
            span("pay", id=2, parent=1, start=20, end=80, failed=failed, **fields),
            span("ship", id=3, parent=1, start=82, end=90, **fields),
            service="bank",
        ),
    )


# The list


def test_an_empty_list_says_how_to_send_a_first_trace(page):
    page = page()
    empty = page.locator("#empty")
    expect(empty).to_contain_text("Waiting for the first trace")
    expect(empty).to_contain_text("OTLP/HTTP on port 4318")
    expect(empty).to_contain_text("OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318")
    expect(empty).to_contain_text("python client.py test")


def test_a_trace_appears_without_a_reload(page):
    page = page()
    expect(page.locator("#empty")).to_be_visible()
    page.send(*shop())
    expect(page.traces).to_have_text(["order"])
    expect(page.locator("#empty")).to_be_hidden()


def test_a_row_tells_what_the_trace_is(page):
    page = page()
    page.send(*shop(failed=True))
    row = page.locator("#traces li")
    expect(row.locator(".chip")).to_have_text([re.compile(r"bank\s*2\s*!\s*1"), "shop1"])
    expect(row.locator(".spans")).to_have_text("3 spans")
    expect(row.locator(".errors")).to_contain_text("1 error")
    expect(row.locator(".duration")).to_have_text("100 ms")
    expect(row.locator("time")).to_have_attribute("title", "2023-11-14 22:13:20.000000")
    expect(row.locator("time")).to_contain_text("ago")
    expect(row.locator("code")).to_have_text(trace_id(1)[:8])


def test_the_newest_trace_is_on_top(page):
    page = page()
    for number in (1, 2, 3):
        page.send(request(span(f"trace {number}", trace=number)))
    expect(page.traces).to_have_text(["trace 3", "trace 2", "trace 1"])


def test_the_bar_of_a_duration_is_relative_to_the_longest(page):
    page = page()
    page.send(request(span("long", trace=1, end=200), span("short", trace=2, end=50)))
    expect(page.traces).to_have_count(2)
    shares = page.locator("#traces li").evaluate_all("rows => rows.map(row => row.style.getPropertyValue('--share'))")
    assert shares == ["0.25", "1"]


def test_what_is_missing_in_a_trace_is_marked(page):
    page = page()
    page.send(request(span("/ping", parent=9)))
    expect(page.locator("#traces .note")).to_have_text(["1 span without a parent"])


def test_what_left_for_room_is_told(page):
    page = page(bounds={"max_traces": 2})
    page.send(*(request(span(trace=number)) for number in range(1, 6)))
    expect(page.locator("#kept")).to_have_text("2 traces kept · 3 dropped for room")


def test_a_row_stays_where_it_is_under_the_pointer(page):
    page = page()
    page.send(request(span("first", trace=1)))
    page.traces.first.hover()
    before = page.traces.first.bounding_box()
    page.send(request(span("second", trace=2)))
    expect(page.get_by_role("status")).to_have_text("1 more when the pointer leaves the list")
    assert page.traces.all_inner_texts() == ["first"]
    assert page.traces.first.bounding_box() == before


def test_a_row_stays_where_it_is_while_one_above_it_grows(page):
    page = page(width=400)
    page.send(request(span("below", trace=1)), request(span("above", trace=2)))
    expect(page.traces).to_have_text(["above", "below"])
    page.traces.last.hover()
    before = page.traces.last.bounding_box()
    for number in range(5):
        page.send(request(span(trace=2), service=f"a service with a long name {number}"))
    expect(page.get_by_role("status")).to_have_text("1 more when the pointer leaves the list")
    assert page.traces.last.bounding_box() == before
    page.mouse.move(1, 1)
    expect(page.locator("#traces li").first.locator(".chip")).to_have_count(6)


def test_what_waits_comes_in_when_the_pointer_leaves(page):
    page = page()
    page.send(request(span("first", trace=1)))
    page.traces.first.hover()
    page.send(request(span("second", trace=2)))
    expect(page.get_by_role("status")).to_be_visible()
    page.mouse.move(1, 1)
    expect(page.traces).to_have_text(["second", "first"])


@pytest.mark.parametrize("part", [".chip bdi", "time", "code"])
def test_the_whole_row_leads_to_the_trace_and_has_its_titles(page, part):
    page = page()
    page.send(*shop())
    place = page.locator(f"#traces {part}").first.bounding_box()
    at = [place["x"] + place["width"] / 2, place["y"] + place["height"] / 2]
    assert page.evaluate("at => document.elementFromPoint(...at).closest('[title]').title", at)
    page.mouse.click(*at)
    expect(page.get_by_role("heading", level=1)).to_have_text("order")


def test_a_paused_list_does_not_ask(page):
    page = page()
    expect(page.locator("#empty")).to_be_visible()
    page.get_by_label("Pause").check()
    page.clock.install()
    asked = []
    page.on("request", lambda made: asked.append(made.url))
    page.send(*shop())
    page.clock.run_for(10_000)
    assert asked == []
    page.get_by_label("Pause").uncheck()
    expect(page.traces).to_have_text(["order"])


@pytest.mark.parametrize("text", ["PAY", "bank", trace_id(1)[-20:]])
def test_the_search_finds_by_span_name_service_and_id(page, text):
    page = page()
    page.send(*shop(), request(span("other", trace=2 << 100), service="other"))
    expect(page.traces).to_have_count(2)
    page.get_by_role("searchbox").fill(text)
    page.press("Enter")
    expect(page.traces).to_have_text(["order"])
    expect(page.locator("#kept")).to_have_text("1 of 2 traces")


def test_a_search_that_finds_nothing_says_so(page):
    page = page()
    page.send(*shop())
    page.get_by_role("searchbox").fill("nowhere")
    expect(page.locator("#nothing")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(page.traces).to_have_text(["order"])


def test_errors_only_leaves_the_others_out(page):
    page = page()
    page.send(request(span("good", trace=1), span("bad", trace=2, failed=True)))
    expect(page.traces).to_have_count(2)
    page.get_by_label("Errors only").check()
    expect(page.traces).to_have_text(["bad"])


def test_the_search_is_still_there_on_the_way_back(page):
    page = page()
    page.send(request(span("good", trace=1), span("bad", trace=2, failed=True)))
    page.get_by_label("Errors only").check()
    expect(page.traces).to_have_text(["bad"])
    page.traces.first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("bad")
    page.go_back()
    expect(page.get_by_label("Errors only")).to_be_checked()
    expect(page.traces).to_have_text(["bad"])


def test_the_list_is_reached_by_keys_alone(page):
    page = page()
    page.send(request(span("one", trace=1), span("two", trace=2)))
    expect(page.traces).to_have_count(2)
    page.press("/")
    for _ in ("errors only", "two", "one"):
        page.press("Tab")
    expect(page.locator(":focus")).to_have_text("one")
    page.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("one")


def test_keys_stand_for_actions_on_the_list(page):
    page = page()
    page.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("pe?")
    expect(page.get_by_role("searchbox")).to_have_value("pe?")
    page.press("Escape")
    expect(page.get_by_role("searchbox")).to_have_value("")


@pytest.mark.parametrize("path", ["/", f"/trace/{trace_id(1)}"])
def test_the_question_mark_lists_the_keys(page, path):
    page = page(path)
    page.press("?")
    expect(page.locator("#keys")).to_contain_text("these keys")
    page.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()


def test_escape_closes_the_keys_and_nothing_else(page):
    page = page()
    page.get_by_role("searchbox").fill("shop")
    page.locator("h1").click()
    page.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    expect(page.get_by_role("searchbox")).to_have_value("shop")


def test_a_thousand_traces_are_listed(page):
    page = page()
    page.send(request(*(span(trace=number) for number in range(1, 1002))))
    expect(page.traces).to_have_count(1000)
    expect(page.locator("#kept")).to_have_text("1,000 traces kept · 1 dropped for room")


@pytest.mark.parametrize("named", [True, False])
def test_a_page_elsewhere_may_send_when_its_origin_is_named_and_read_never(start, page, named):
    elsewhere = page()  # the page of another viewer has an origin of its own
    origin = elsewhere.viewer.url
    process = start(
        "-m", "viewer", VIEWER_OTLP_PORT=0, VIEWER_WEB_PORT=0, VIEWER_CORS_ORIGINS=origin if named else None
    )
    otlp, web = process.wait_for(r"HTTP on (\S+)\s.*traces on (\S+)\s").groups()
    ask = """([url, options]) => fetch(url, options).then((answer) => answer.status, () => "refused")"""
    send = {"method": "POST", "headers": {"content-type": "application/json"}, "body": "{}"}
    context = elsewhere.context.browser.new_context(bypass_csp=True)
    other = context.new_page()
    other.goto(origin)
    assert other.evaluate(ask, [f"{otlp}/v1/traces", send]) == (200 if named else "refused")
    assert other.evaluate(ask, [f"{web}/api/v3/services", {}]) == "refused"
    context.close()


def test_a_viewer_that_is_gone_is_told(page, real_viewer):
    page = page(viewer=real_viewer)
    expect(page.locator("#empty")).to_be_visible()
    expect(page.locator("#trouble")).to_be_hidden()
    before = page.locator("#empty").bounding_box()
    real_viewer.stop()
    expect(page.locator("#trouble")).to_contain_text("The viewer does not answer")
    assert page.locator("#empty").bounding_box() == before  # nothing moves under the pointer
    page.close()
    page.problems.clear()  # the browser has noted each refused connection


# The trace of the post


@pytest.fixture
def ping(page, real_viewer, server, client):
    """Run the real client once against the real server, and open the page of their trace."""

    def ping(**settings):
        shown = page(viewer=real_viewer)
        to_viewer = {"OTEL_EXPORTER_OTLP_ENDPOINT": real_viewer.endpoint}
        process = server(**to_viewer, **settings)
        client("--count", 1, DESTINATION_URL=f"{process.url}/ping", **to_viewer).wait()
        expect(shown.locator("#traces .chip")).to_have_count(2)
        shown.traces.first.click()
        return shown

    return ping


def test_a_ping_is_the_tree_of_the_post(ping):
    page = ping()
    expect(page.rows).to_have_count(6)
    assert page.tree() == [
        (1, "client operation"),
        (2, "/ping"),
        (3, "redis_integration"),
        (4, "server redis operation"),
        (3, "pymongo_integration"),
        (4, "server pymongo operation"),
    ]
    expect(page.rows.locator(".kind")).to_have_text(["client", "server", "internal", "client", "internal", "client"])
    expect(page.locator("#services .chip bdi")).to_have_text([CLIENT, SERVER])
    expect(page.locator(".error-mark")).to_have_count(0)


def test_a_stopped_redis_is_an_error_where_it_happened(ping):
    page = ping(REDIS_URL=f"redis://localhost:{free_port()}/0")
    expect(page.rows).to_have_count(4)
    assert [name for _, name in page.tree()] == [
        "client operation",
        "/ping",
        "redis_integration",
        "server redis operation",
    ]
    expect(page.rows.get_by_role("img", name="error", exact=True)).to_have_count(4)
    page.row("server redis operation").click()
    expect(page.told("Status")).to_have_text("Error")
    expect(page.told("exception.type")).to_contain_text("ConnectionError")
    stack = page.told("exception.stacktrace").locator(".value")
    expect(stack).to_contain_text("Traceback (most recent call last):\n")
    assert stack.evaluate("value => getComputedStyle(value).whiteSpace") == "pre-wrap"


def test_each_attribute_of_the_server_is_in_the_pane(ping):
    page = ping()
    page.row("/ping").click()
    expect(page.told("http.route")).to_have_text("/ping")
    expect(page.told("http.response.status_code")).to_have_text("200")
    expect(page.told("service.name")).to_have_text(SERVER)
    expect(page.told("telemetry.sdk.language")).to_have_text("python")


# Any trace


@pytest.fixture
def trace(page):
    """Send requests to a viewer and open the page of the trace in them."""

    def trace(*requests, path="", number=1, **options):
        shown = page(None, **options)
        shown.send(*requests)
        shown.open(f"/trace/{trace_id(number)}{path}")
        expect(shown.rows.first).to_be_visible()
        return shown

    return trace


def test_the_facts_of_the_trace_stand_above_it(trace):
    page = trace(*shop(failed=True))
    facts = dict(
        zip(page.locator("#facts dt").all_inner_texts(), page.locator("#facts dd").all_inner_texts(), strict=True)
    )
    assert facts == {
        "Start": "2023-11-14 22:13:20.000000",
        "Duration": "100 ms",
        "Spans": "3",
        "Services": "2",
        "Depth": "2",
        "Errors": "1",
    }


def test_a_bar_lies_where_and_as_long_as_its_span(trace):
    page = trace(*shop())
    track, bar = page.row("pay").locator(".track").bounding_box(), page.row("pay").locator(".bar").bounding_box()
    assert (bar["x"] - track["x"]) / track["width"] == pytest.approx(0.2, abs=0.01)
    assert bar["width"] / track["width"] == pytest.approx(0.6, abs=0.01)


def test_the_axis_has_ticks_in_round_steps(trace):
    page = trace(*shop())
    expect(page.locator(".tick").first).to_have_text("0")
    assert set(page.locator(".tick").all_inner_texts()) >= {"20 ms", "40 ms", "60 ms", "80 ms", "100 ms"}


@pytest.mark.parametrize("width", [1280, 400])
def test_a_duration_is_never_cut_off(trace, width):
    spans = [span(f"{start}", id=start + 2, parent=1, start=start, end=start + 8) for start in range(0, 100, 4)]
    page = trace(request(span("all", id=1, end=108), *spans), width=width)
    for row in page.rows.all():
        row.scroll_into_view_if_needed()
        bar, text = row.locator(".bar").bounding_box(), row.locator(".length").bounding_box()
        assert bar["x"] + bar["width"] <= text["x"] + 3, row.inner_text()
        assert text["x"] + text["width"] <= row.bounding_box()["x"] + row.bounding_box()["width"], row.inner_text()


def test_an_error_below_leaves_a_hollow_mark_above(trace):
    page = trace(*shop(failed=True))
    expect(page.row("order").locator(".error-mark")).to_have_accessible_name("error below")
    expect(page.row("pay").locator(".error-mark")).to_have_accessible_name("error")
    expect(page.row("ship").locator(".error-mark")).to_have_count(0)


def test_a_span_whose_parent_never_came_is_marked_and_kept(trace):
    page = trace(request(span("root", id=1), span("lost", id=3, parent=2), span("below", id=4, parent=3)))
    assert page.tree() == [(1, "root"), (1, "lost"), (2, "below")]
    expect(page.row("lost").locator(".note")).to_have_text("parent missing")


def test_spans_that_are_their_own_ancestors_are_shown(trace):
    page = trace(request(span("root", id=1), span("hen", id=2, parent=3), span("egg", id=3, parent=2)))
    assert page.tree() == [(1, "root"), (1, "hen"), (2, "egg")]


def test_a_span_that_hangs_on_a_circle_of_parents_keeps_its_parent(trace):
    page = trace(request(span("chick", id=1, parent=2), span("hen", id=2, parent=3), span("egg", id=3, parent=2)))
    assert page.tree() == [(1, "hen"), (2, "chick"), (2, "egg")]
    expect(page.row("chick").locator(".note")).to_have_count(0)


def test_a_clock_that_is_ahead_is_shown_as_it_is(trace):
    page = trace(request(span("caller", id=1, start=10, end=60), span("answer", id=2, parent=1, start=0, end=40)))
    bars = [page.row(name).locator(".bar").bounding_box()["x"] for name in ("caller", "answer")]
    assert bars[1] < bars[0]
    page.row("caller").click()
    expect(page.told("Start")).to_contain_text("10 ms into the trace")


def test_a_time_that_was_not_set_is_said_and_does_not_squeeze_the_others(trace):
    page = trace(*shop(), request(span("never", id=9, parent=1, start_time_unix_nano=0, events=[Span.Event()])))
    expect(page.locator("#facts")).to_contain_text("Duration100 ms")
    expect(page.row("never").locator(".length")).to_have_text("not set")
    expect(page.row("never").locator(".dot")).to_have_count(0)
    page.row("never").click()
    expect(page.told("Start")).to_have_text("not set")
    expect(page.pane().locator("h4")).to_contain_text("at not set")


def test_a_span_that_ends_before_it_starts_is_shown_so(trace):
    page = trace(*shop(), request(span("back", id=9, parent=1, start=50, end=45)))
    expect(page.row("back").locator(".length")).to_have_text("\N{MINUS SIGN}5 ms")


def test_times_are_exact_to_the_nanosecond(trace):
    page = trace(request(span("short", start_time_unix_nano=NOON + 123_456_789, end_time_unix_nano=NOON + 123_456_796)))
    expect(page.row("short").locator(".length")).to_have_text("7 ns")
    page.row("short").click()
    expect(page.told("Start")).to_contain_text("22:13:20.123456")


def test_events_are_dots_on_the_bar(trace):
    when = {"time_unix_nano": NOON + 50_000_000}
    failure = exception()
    failure.time_unix_nano = NOON + 75_000_000
    page = trace(request(span("work", end=100, events=[Span.Event(name="half", **when), failure])))
    dots = page.locator(".dot")
    expect(dots).to_have_count(2)
    assert [dot.get_attribute("title") for dot in dots.all()] == ["half", "exception"]
    assert dots.first.evaluate("dot => dot.style.getPropertyValue('--x')") == "0.5"


def test_a_service_has_one_colour_everywhere(page):
    page = page()
    page.send(*shop())
    hues = "parts => parts.map(part => part.style.getPropertyValue('--hue'))"
    expect(page.traces).to_have_count(1)
    in_list = page.locator("#traces .chip").evaluate_all(hues)
    page.traces.first.click()
    expect(page.rows).to_have_count(3)
    assert page.locator("#services .chip").evaluate_all(hues) == in_list
    assert page.rows.evaluate_all(hues) == [in_list[1], in_list[0], in_list[0]]  # the list has them by name
    assert len(set(in_list)) == 2


def test_a_click_on_its_arrow_closes_a_span(trace):
    page = trace(*shop())
    page.row("order").locator(".twisty").click()
    assert page.tree() == [(1, "order")]
    expect(page.row("order")).to_contain_text("+2")
    expect(page.pane()).to_be_hidden()


def test_all_close_and_open_at_once(trace):
    page = trace(request(span("a", id=1), span("b", id=2, parent=1), span("c", id=3, parent=2)))
    page.get_by_role("button", name="Collapse all").click()
    assert page.tree() == [(1, "a")]
    page.get_by_role("button", name="Expand all").click()
    assert page.tree() == [(1, "a"), (2, "b"), (3, "c")]


def test_next_error_goes_to_each_and_round(trace):
    spans = [span(f"span {n}", id=n + 2, parent=1, start=n, end=n + 1, failed=n in (3, 7)) for n in range(9)]
    page = trace(request(span("root", id=1), *spans))
    page.get_by_role("button", name="Collapse all").click()
    button = page.get_by_role("button", name="Next error")
    for name in ("span 3", "span 7", "span 3"):
        button.click()
        expect(page.pane().get_by_role("heading", level=2)).to_have_text(name)
    expect(page.row("span 3")).to_be_focused()


def test_next_error_goes_on_where_the_reader_is(trace):
    page = trace(request(*(span(f"span {n}", id=n + 1, parent=min(n, 1), start=n, failed=True) for n in range(3))))
    for name in ("span 0", "span 1", "span 2", "span 0"):
        page.press("e")
        expect(page.row(name)).to_be_focused()
        page.press("Escape")


def test_without_errors_there_is_no_next_one(trace):
    expect(trace(*shop()).get_by_role("button", name="Next error")).to_be_disabled()


def test_the_tree_is_walked_by_keys(trace):
    page = trace(
        request(
            span("a", id=1), span("b", id=2, parent=1), span("c", id=3, parent=2), span("d", id=4, parent=1, start=5)
        )
    )
    page.row("a").focus()
    steps = (
        "ArrowRight b ArrowRight c ArrowLeft b ArrowLeft b ArrowDown d ArrowUp b ArrowRight b ArrowRight c End d Home a"
    )
    steps = steps.split()
    for key, name in zip(steps[::2], steps[1::2], strict=True):
        page.press(key)
        expect(page.locator(":focus .title")).to_have_text(name)


def test_enter_tells_all_and_escape_goes_back(trace):
    page = trace(*shop())
    page.row("order").focus()
    page.press("ArrowDown")
    page.press("Enter")
    expect(page.pane().get_by_role("heading", level=2)).to_have_text("pay")
    page.press("ArrowDown")
    expect(page.pane().get_by_role("heading", level=2)).to_have_text("ship")
    page.press("Tab")
    expect(page.pane().locator(":focus")).to_have_count(1)
    page.press("Escape")
    expect(page.pane()).to_be_hidden()
    expect(page.row("ship")).to_be_focused()


def test_keys_stand_for_actions_on_the_trace(trace):
    page = trace(*shop(failed=True))
    page.press("e")
    expect(page.row("pay")).to_be_focused()
    page.press("-")
    expect(page.rows).to_have_count(1)
    expect(page.row("order")).to_be_focused()
    page.press("+")
    expect(page.rows).to_have_count(3)


def test_a_screen_reader_knows_the_tree(trace):
    page = trace(*shop())
    facts = ["aria-level", "aria-selected", "aria-expanded", "tabindex"]
    known = [[row.get_attribute(fact) for fact in facts] for row in page.rows.all()]
    assert known == [
        ["1", "false", "true", "0"],
        ["2", "false", None, "-1"],
        ["2", "false", None, "-1"],
    ]
    grid = page.get_by_role("treegrid", name="Spans")
    expect(grid).to_have_attribute("aria-rowcount", "4")
    indices = [row.get_attribute("aria-rowindex") for row in grid.get_by_role("row").all()]
    assert indices == ["1", "2", "3", "4"]


def test_a_link_leads_straight_to_a_span(trace):
    page = trace(*shop(), path=f"#{3:016x}")
    expect(page.pane().get_by_role("heading", level=2)).to_have_text("ship")
    expect(page.row("ship")).to_have_attribute("aria-selected", "true")


def test_the_address_follows_the_reader(trace):
    page = trace(*shop())
    page.row("pay").click()
    assert page.url.endswith(f"/trace/{trace_id(1)}#{2:016x}")
    page.press("Escape")
    assert page.url.endswith(f"/trace/{trace_id(1)}")


def test_a_link_to_a_span_that_is_not_there_says_so(trace):
    page = trace(*shop(), path="#00000000000000ff")
    expect(page.get_by_role("status")).to_have_text("The span 00000000000000ff is not in this trace.")


def test_a_trace_may_be_looked_at_before_it_comes(page):
    page = page(f"/trace/{trace_id(1)}")
    expect(page.get_by_role("status")).to_contain_text("it has not come yet")
    page.send(*shop())
    expect(page.rows).to_have_count(3)
    expect(page.locator("#warning")).to_be_hidden()


def test_a_trace_that_leaves_stays_on_the_page(trace):
    page = trace(*shop(), bounds={"max_traces": 1})
    page.send(request(span("other", trace=2)))
    expect(page.locator("#warning")).to_contain_text("keeps this trace no longer")
    expect(page.rows).to_have_count(3)


def test_of_a_trace_that_left_its_late_spans_take_nothing_away(trace):
    page = trace(*shop(), bounds={"max_traces": 1})
    page.send(request(span("other", trace=2)))
    expect(page.locator("#warning")).to_contain_text("keeps this trace no longer")
    page.send(request(span("late", id=9, parent=1)))
    # The first answer may be older, and the third is asked for when all of the second is on the page.
    for _ in range(3):
        with page.expect_response("**/api/v3/trace-summaries*"):
            pass
    expect(page.locator("#warning")).to_contain_text("keeps this trace no longer")
    expect(page.rows).to_have_count(3)


def test_a_trace_grows_while_the_reader_looks_at_it(trace):
    client, server = shop()
    page = trace(server)
    expect(page.row("pay").locator(".note")).to_have_text("parent missing")
    page.row("ship").click()
    page.send(client)
    expect(page.rows).to_have_count(3)
    assert page.tree() == [(1, "order"), (2, "pay"), (2, "ship")]
    expect(page.locator(".note")).to_have_count(0)
    expect(page.row("ship")).to_have_attribute("aria-selected", "true")
    expect(page.pane().get_by_role("heading", level=2)).to_have_text("ship")


def test_a_row_that_moves_keeps_the_focus(trace):
    page = trace(request(span("lost", id=5, parent=4, start=1), span("root", id=1, start=2)))
    page.row("lost").focus()
    page.press("ArrowDown")
    page.send(request(span("found", id=4, parent=1, start=3)))
    expect(page.rows).to_have_count(3)
    assert page.tree() == [(1, "root"), (2, "found"), (3, "lost")]
    expect(page.row("root")).to_be_focused()


def test_a_trace_is_called_after_its_root(trace):
    page = trace(request(span("lost", id=5, parent=4, start=1), span("root", id=1, start=2)))
    expect(page.get_by_role("heading", level=1)).to_have_text("root")


def test_what_the_reader_marked_stays_marked_while_the_trace_grows(trace):
    page = trace(*shop(), path=f"#{2:016x}")
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#content h2'))")
    page.send(request(span("more", id=9, parent=1)))
    expect(page.rows).to_have_count(4)
    assert page.evaluate("String(getSelection())") == "pay"


def test_the_pane_stays_where_it_was_scrolled_to_while_the_trace_grows(trace):
    events = [exception(message="line\n" * 30) for _ in range(60)]
    page = trace(request(span("root", id=1), span("work", id=2, parent=1, events=events)), path=f"#{2:016x}")
    page.pane().hover()
    for _ in range(10):
        page.mouse.wheel(0, 500)
    wait_until(lambda: page.pane().evaluate("pane => pane.scrollTop") > 4_000, "the place")
    before = page.pane().locator("article").nth(5).bounding_box()
    page.send(request(span("more", id=9, parent=1)))
    expect(page.rows).to_have_count(3)
    assert page.pane().locator("article").nth(5).bounding_box() == before


def test_text_in_the_tree_can_be_marked(trace):
    page = trace(*shop())
    first, last = page.row("order").locator(".title").bounding_box(), page.row("ship").locator(".title").bounding_box()
    page.mouse.move(first["x"] + 2, first["y"] + 5)
    page.mouse.down()
    page.mouse.move(last["x"] + last["width"], last["y"] + 5, steps=5)
    page.mouse.up()
    assert "pay" in page.evaluate("String(getSelection())")
    expect(page.pane()).to_be_hidden()


def test_a_trace_that_was_cut_off_on_its_way_is_read_again(page):
    page = page(None)
    page.send(*shop())
    cut = {"status": 200, "content_type": "application/json", "body": '{"result":'}
    page.route("**/api/v3/traces/*", lambda route: route.fulfill(**cut), times=1)
    page.open(f"/trace/{trace_id(1)}")
    expect(page.rows).to_have_count(3)
    expect(page.locator("#trouble")).to_be_hidden()


def test_the_download_is_the_otlp_json(trace, tmp_path):
    page = trace(*shop())
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == f"trace-{trace_id(1)}.json"
    saved = json.loads(download.value.path().read_text())
    assert len(saved["result"]["resourceSpans"]) == 2


# The pane


def test_the_pane_tells_all_of_a_span(trace):
    told = span(
        "work",
        id=2,
        parent=1,
        start=5,
        end=10,
        kind=Span.SPAN_KIND_CLIENT,
        status=Status(code=Status.STATUS_CODE_ERROR, message="no good"),
        trace_state="vendor=value",
    )
    page = trace(request(span("root", id=1), told, scope="by hand"))
    page.row("work").click()
    for key, value in {
        "Status": "Error",
        "Message": "no good",
        "Duration": "5 ms",
        "Span id": f"{2:016x}",
        "Parent": "root",
        "Trace id": trace_id(1),
        "Trace state": "vendor=value",
        "service.name": "shop",
        "Name": "by hand",
    }.items():
        expect(page.told(key)).to_contain_text(value)
    expect(page.pane().locator(".chips")).to_contain_text("client")


def test_old_and_new_conventions_show_alike(trace):
    names = ["http.method", "http.request.method", "db.system", "db.system.name"]
    page = trace(request(span("work", attributes=[attribute(name, f"value of {name}") for name in names])))
    page.row("work").click()
    for name in names:
        expect(page.told(name)).to_have_text(f"value of {name}")


def test_a_parent_of_zeros_is_none(trace):
    """As some senders write it for a root."""
    page = trace(request(span("root", id=1, parent_span_id=bytes(8))), path=f"#{1:016x}")
    expect(page.told("Parent")).to_have_text("none")


def test_what_comes_above_a_collapsed_span_takes_the_focus_along(trace):
    page = trace(request(span("a", id=1), span("b", id=2, parent=1), span("c", id=3, parent=4)))
    page.row("a").locator(".twisty").click()
    page.press("Escape")
    page.row("a").focus()
    page.press("ArrowDown")
    expect(page.row("c")).to_be_focused()
    page.send(request(span("d", id=4, parent=1)))
    expect(page.locator("#facts")).to_contain_text("Spans4")
    expect(page.rows).to_have_count(1)
    expect(page.locator("#trouble")).to_be_hidden()
    page.press("+")
    expect(page.rows).to_have_count(4)


def test_going_back_to_an_address_without_a_span_closes_the_pane(trace):
    page = trace(*shop())
    page.evaluate(f"location.hash = '{3:016x}'")
    expect(page.pane()).to_be_visible()
    page.go_back()
    expect(page.pane()).to_be_hidden()


def test_a_link_leads_to_its_trace(trace):
    links = [Span.Link(trace_id=(1).to_bytes(16, "big"), span_id=(3).to_bytes(8, "big"))]
    page = trace(*shop(), request(span("later", trace=2, id=9, links=links)), number=2)
    page.row("later").click()
    page.pane().get_by_role("link", name=f"span {3:016x}").click()
    expect(page.pane().get_by_role("heading", level=2)).to_have_text("ship")
    assert page.url.endswith(f"/trace/{trace_id(1)}#{3:016x}")


@pytest.mark.parametrize(
    ("link", "text"),
    [
        (Span.Link(), "span without an id"),
        (Span.Link(trace_id=b"x" * 100_000, span_id=b"y" * 100_000), "span 7979"),
    ],
)
def test_a_link_that_leads_nowhere_breaks_nothing(trace, link, text):
    page = trace(request(span("work", links=[link])))
    page.row("work").click()
    shown = page.pane().get_by_role("link", name=text)
    assert len(shown.inner_text()) < 400
    assert len(shown.get_attribute("href")) < 100


def test_the_parent_is_one_click_away(trace):
    page = trace(*shop())
    page.row("pay").click()
    page.told("Parent").get_by_role("link").click()
    expect(page.pane().get_by_role("heading", level=2)).to_have_text("order")


def test_an_id_is_copied(trace):
    page = trace(*shop(), permissions=["clipboard-read", "clipboard-write"])
    page.row("pay").click()
    page.get_by_role("button", name="Copy the span id").click()
    expect(page.pane().get_by_role("button", name="copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == f"{2:016x}"


def test_where_nothing_can_be_copied_there_is_no_button_for_it(page):
    page = page(None)
    page.add_init_script("delete Navigator.prototype.clipboard")  # as on an address without TLS
    page.send(*shop())
    page.open(f"/trace/{trace_id(1)}#{2:016x}")
    expect(page.told("Span id")).to_have_text(f"{2:016x}")


# Hostile and huge

MARKUP = "<img src=x onerror=document.title='pwned'><script>document.title='pwned'</script>"
REORDERED = "\u202egnp.exe\u2066 \u200b\x07\x1b[31m\x00"


def test_markup_in_a_span_stays_text(trace):
    hostile = span(
        MARKUP,
        status=Status(code=Status.STATUS_CODE_ERROR, message=MARKUP),
        attributes=[attribute(MARKUP, MARKUP)],
        events=[exception(MARKUP, MARKUP)],
        trace_state=MARKUP,
    )
    page = trace(request(hostile, service=MARKUP, scope=MARKUP))
    page.rows.first.click()
    expect(page.pane()).to_contain_text(MARKUP)
    assert page.row(MARKUP).locator("img").count() == 0
    assert page.locator("main script, #pane script, #pane img").count() == 0
    assert "pwned" not in page.title().partition("<")[0]
    page.open("/")
    expect(page.traces).to_have_text([MARKUP])


def test_characters_that_cannot_be_seen_are_shown_as_signs(trace):
    page = trace(request(span(REORDERED, attributes=[attribute("key", "two\nlines\x00")]), service="shop\u202e"))
    expect(page.rows.locator(".title")).to_have_text("⟨U+202E⟩gnp.exe⟨U+2066⟩ ⟨U+200B⟩⟨U+0007⟩⟨U+001B⟩[31m⟨U+0000⟩")
    expect(page.rows.locator(".service")).to_have_text("shop⟨U+202E⟩")
    page.rows.first.click()
    expect(page.told("key").locator(".value")).to_have_text("two\nlines⟨U+0000⟩")
    page.open("/")
    expect(page.traces).to_have_text(["⟨U+202E⟩gnp.exe⟨U+2066⟩ ⟨U+200B⟩⟨U+0007⟩⟨U+001B⟩[31m⟨U+0000⟩"])


def test_of_a_megabyte_of_text_the_beginning_is_shown(trace):
    page = trace(request(span("n" * 1_000_000, attributes=[attribute("key", "v" * 1_000_000)])))
    assert len(page.rows.locator(".title").inner_text()) < 400
    page.rows.first.click()
    expect(page.told("key")).to_contain_text("1,000,000 characters in all: see the download")
    assert 5_000 < len(page.told("key").inner_text()) < 20_000


def test_a_thousand_attributes_and_events_are_counted(trace):
    attributes = [attribute(f"key {n}", "value") for n in range(1000)]
    events = [Span.Event(name=f"event {n}") for n in range(1000)]
    page = trace(request(span("full", attributes=attributes, events=events)))
    page.rows.first.click()
    expect(page.pane().get_by_text("and 900 more: see the download")).to_have_count(2)


def test_of_very_many_services_the_first_are_shown_and_all_counted(trace):
    page = trace(*(request(span(), service=f"service {number}") for number in range(90)))
    expect(page.locator("#services")).to_contain_text("and 70 more")
    expect(page.locator("#facts")).to_contain_text("Services90")
    page.open("/")
    expect(page.locator("#traces .chips")).to_contain_text("and 70 more")


@pytest.mark.parametrize("name", ["", "   "])
def test_a_span_without_a_name_can_be_chosen(trace, name):
    page = trace(request(span(name)))
    page.row("(no name)").click()
    expect(page.pane().get_by_role("heading", level=2)).to_have_text("(no name)")


def wide(count):
    return request(span("root", id=1), *(span(f"span {n}", id=n, parent=1, start=n) for n in range(2, count + 1)))


def test_only_the_rows_near_the_screen_are_drawn_in_a_trace_of_10000_spans(trace):
    page = trace(wide(10_000))
    expect(page.locator("#facts")).to_contain_text("10,000")
    assert page.locator(".title").count() < 100
    page.rows.first.focus()
    page.press("End")
    expect(page.locator(":focus .title")).to_have_text("span 10000")
    expect(page.row("span 10000")).to_be_in_viewport()
    page.mouse.wheel(0, -1_000_000)
    expect(page.row("span 2")).to_be_in_viewport()
    assert page.locator(".title").count() < 200
    expect(page.locator(":focus .title")).to_have_text("span 10000")


def test_an_error_deep_in_a_big_trace_is_one_key_away(trace):
    page = trace(wide(5_000), request(span("needle", id=9_999, parent=4_000, failed=True)))
    page.press("-")
    page.press("e")
    expect(page.row("needle")).to_be_focused()
    expect(page.row("needle")).to_be_in_viewport()


def test_a_trace_10000_spans_deep_is_shown(trace):
    page = trace(request(*(span(f"span {n}", id=n, parent=n - 1) for n in range(1, 10_001))))
    expect(page.locator("#facts")).to_contain_text("10,000")
    page.rows.first.focus()
    page.press("End")
    expect(page.locator(":focus")).to_have_attribute("aria-level", "10000")
    expect(page.locator(":focus")).to_contain_text("level 10000")
    assert page.locator(":focus .title").bounding_box()["width"] > 30


# For everybody


@pytest.mark.parametrize("path", ["/", f"/trace/{trace_id(1)}", f"/trace/{trace_id(1)}#{2:016x}"])
def test_400_pixels_are_enough(page, path):
    page = page(width=400)
    page.send(*shop(failed=True))
    page.open(path)
    expect(page.get_by_text("order").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    if "#" in path:
        expect(page.row("pay")).to_be_in_viewport()
        assert page.row("pay").bounding_box()["y"] < page.pane().bounding_box()["y"]


@pytest.mark.parametrize("width", [400, 800, 1001, 1280])
def test_the_timeline_is_there_beside_or_above_the_pane(trace, width):
    page = trace(*shop(), path=f"#{2:016x}")
    page.set_viewport_size({"width": width, "height": 800})
    # In one step, since the rows are drawn anew meanwhile.
    wait_until(lambda: page.evaluate("document.querySelector('.track').clientWidth") > 100, "room for the bars")


def test_a_reader_who_scrolled_on_stays_there_when_the_height_changes(trace):
    """As it does on a phone that hides the bar of addresses."""
    page = trace(wide(200), width=400, height=700, path=f"#{2:016x}")
    page.evaluate("scrollTo(0, 4000)")
    page.set_viewport_size({"width": 400, "height": 756})
    wait_until(lambda: page.evaluate("innerHeight") == 756, "the new height")
    assert page.evaluate("new Promise(requestAnimationFrame).then(() => scrollY)") == 4000


@pytest.mark.parametrize("path", ["/", f"/trace/{trace_id(1)}"])
def test_dark_and_light_follow_the_system(page, path):
    page = page(path)
    seen = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        seen[scheme] = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    light, dark = (sum(map(int, re.findall(r"\d+", seen[scheme])[:3])) for scheme in ("light", "dark"))
    assert light > 700 > 150 > dark


@pytest.mark.parametrize("state", ["empty", "list", "trace", "pane", "keys", "big"])
def test_axe_finds_nothing_to_complain_about(page, state):
    page = page(bypass_csp=True)  # for axe's own script
    if state != "empty":
        page.send(*shop(failed=True), request(span("lost", trace=2, parent=9), service="other"))
        expect(page.traces).to_have_count(2)
    if state in ("trace", "pane"):
        page.open(f"/trace/{trace_id(1)}" + f"#{2:016x}" * (state == "pane"))
        expect(page.rows).to_have_count(3)
    if state == "big":
        page.send(wide(500))
        page.open(f"/trace/{trace_id(1)}")
        expect(page.locator("#facts")).to_contain_text("500")
    if state == "keys":
        page.press("?")
    for width, scheme in ((1280, "light"), (400, "dark")):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page.page)
        assert found.violations_count == 0, f"{width} {scheme}\n{found.generate_report()}"
