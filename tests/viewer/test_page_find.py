"""The viewer's page: finding in a trace, zooming into it, and the overview of a big one."""

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.support import wait_until
from tests.viewer.browsing import expect
from tests.viewer.otlp import attribute, exception, request, shop, span, wide

HITS = {  # what is found by what; neighbours find different spans
    "PAY": ["pay"],
    "http.route": ["ship"],
    "bank": ["pay", "ship"],
    "/Ping": ["ship"],
    "timed out": ["order", "pay"],
    "http.route=/ping": ["ship"],
    'db.statement="SELECT 1"': ["pay"],
    f"{3:016x}": ["ship"],
    "db.statement=SELECT 1": ["pay"],
    'name="pa"': [],
    'empty=""': ["pay"],
    '"timed out"': ["order", "pay"],
    'name="pay" service="bank"': ["pay"],
}


def test_find_looks_at_names_services_attributes_errors_and_ids(trace):
    late = Status(code=Status.STATUS_CODE_ERROR, message="it timed out")
    page = trace(
        request(span("order", id=1, status=late), service="shop"),
        request(
            span(
                "pay",
                id=2,
                parent=1,
                start=1,
                events=[exception(message="Timed out")],
                attributes=[attribute("db.statement", "SELECT 1"), attribute("empty", "")],
            ),
            span("ship", id=3, parent=1, start=2, attributes=[attribute("http.route", "/ping")]),
            service="bank",
        ),
    )
    for text, names in HITS.items():
        page.get_by_role("searchbox", name="Find in this trace").fill(text)
        expect(page.rows.locator("mark")).to_have_text(names)
        expect(page.locator("#hits")).to_have_text(f"{len(names)} found")


def test_the_hits_are_walked_by_keys_and_opened_where_they_are_closed(trace):
    spans = [span(f"span {n}", id=n + 2, parent=1, start=n) for n in range(9)]
    hits = [span(f"needle {n}", id=n + 20, parent=n + 2, start=n) for n in (2, 5, 7)]
    page = trace(request(span("root", id=1), *spans, *hits))
    page.press("-")
    page.press("/")
    field = page.get_by_role("searchbox")
    expect(field).to_be_focused()
    page.keyboard.type("needle")
    expect(page.locator("#hits")).to_have_text("3 found")
    for key, number, place in (
        ("Enter", 2, "1 of 3"),
        ("Enter", 5, "2 of 3"),
        ("Enter", 7, "3 of 3"),
        ("Enter", 2, "1 of 3"),
        ("Shift+Enter", 7, "3 of 3"),
    ):
        page.press(key)
        expect(page.row(f"needle {number}")).to_have_attribute("tabindex", "0")
        expect(page.row(f"needle {number}")).to_be_in_viewport()
        expect(page.locator("#hits")).to_have_text(f"{place}: needle {number}")
        expect(field).to_be_focused()
    field.evaluate("field => field.blur()")
    page.press("p")
    expect(page.row("needle 5")).to_be_focused()
    page.press("n")
    expect(page.row("needle 7")).to_be_focused()


def test_the_hits_are_walked_by_buttons(trace):
    page = trace(*shop())
    page.get_by_role("searchbox").fill("bank")
    for name, place in (("Next", "1 of 2"), ("Next", "2 of 2"), ("Previous", "1 of 2")):
        page.get_by_role("button", name=f"{name} hit").click()
        expect(page.locator("#hits")).to_contain_text(place)


def test_what_is_found_nowhere_is_told(trace):
    page = trace(*shop())
    page.get_by_role("searchbox").fill("nowhere")
    expect(page.locator("#hits")).to_have_text("0 found")
    expect(page.get_by_role("button", name="Next hit")).to_be_disabled()
    expect(page.get_by_role("button", name="Previous hit")).to_be_disabled()


def test_escape_stops_finding(trace):
    page = trace(*shop())
    page.press("/")
    page.keyboard.type("bank")
    expect(page.rows.locator("mark")).to_have_count(2)
    page.press("Escape")
    expect(page.rows.locator("mark")).to_have_count(0)
    expect(page.locator("#hits")).to_be_empty()
    expect(page.get_by_role("searchbox")).to_have_value("")
    expect(page.row("order")).to_be_focused()


def test_what_comes_while_the_reader_finds_is_found_too(trace):
    page = trace(*shop())
    page.press("/")
    page.keyboard.type("bank")
    page.press("Enter")
    page.send(request(span("bill", id=9, parent=1, start=1), service="bank"))
    expect(page.locator("#hits")).to_have_text("2 of 3: pay")


# Zoom


def bar_share(page, name):
    """From where to where the bar of a span goes, in shares of its track."""
    return page.row(name).evaluate(
        """row => {
            const [track, bar] = [".track", ".bar"].map(part => row.querySelector(part).getBoundingClientRect());
            return [(bar.left - track.left) / track.width, (bar.right - track.left) / track.width];
        }"""
    )


def zoom_to(page, name):
    """Walk to a span by keys alone, and zoom to it."""
    page.rows.first.focus()
    page.press("Home")
    while page.locator(":focus .title").inner_text() != name:
        page.press("ArrowDown")
    page.press("z")


def test_z_zooms_to_the_span_and_the_whole_comes_back(trace):
    page = trace(*shop())
    whole = page.get_by_role("button", name="Whole time")
    for back in (lambda: page.press("Z"), lambda: page.press("Escape"), whole.click):
        zoom_to(page, "pay")
        expect(whole).to_be_visible()
        assert bar_share(page, "pay") == pytest.approx([0, 1], abs=0.01)
        expect(page.row("pay")).to_be_focused()
        back()
        expect(whole).to_be_hidden()
        assert bar_share(page, "pay") == pytest.approx([0.2, 0.8], abs=0.01)


def test_a_button_zooms_to_the_span_too(trace):
    page = trace(*shop(), path=f"#{2:016x}")
    page.get_by_role("button", name="Zoom to span").click()
    assert bar_share(page, "pay") == pytest.approx([0, 1], abs=0.01)
    expect(page.get_by_role("status").filter(has_text="20 ms to 80 ms")).to_have_count(1)


def drag(page, place, start, end):
    """Drag over an element, in shares of its width."""
    box = page.locator(place).bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], y, steps=5)
    page.mouse.up()


def test_dragging_over_the_axis_zooms_in_either_direction(trace):
    page = trace(*shop())
    for start, end in (0.2, 0.8), (0.8, 0.2):
        drag(page, "#axis", start, end)
        assert bar_share(page, "pay") == pytest.approx([0, 1], abs=0.02)
        assert "40 ms" in page.locator(".tick").all_inner_texts()
        page.press("Z")


def test_what_is_outside_the_zoom_has_no_bar_and_says_on_which_side_it_is(trace):
    when = {"time_unix_nano": span(start=90).start_time_unix_nano}
    page = trace(*shop(), request(span("early", id=9, parent=1, end=10, events=[Span.Event(name="late", **when)])))
    zoom_to(page, "pay")
    expect(page.row("early").locator(".bar, .dot")).to_have_count(0)
    expect(page.row("early").get_by_role("img")).to_have_accessible_name("before the shown time")
    expect(page.row("ship").locator(".bar")).to_have_count(0)
    expect(page.row("ship").get_by_role("img")).to_have_accessible_name("after the shown time")


def test_the_ticks_of_a_deep_zoom_differ(trace):
    start = span(start=60_000).start_time_unix_nano
    brief = span("brief", id=2, parent=1, start_time_unix_nano=start, end_time_unix_nano=start + 1_000)
    page = trace(request(span("root", id=1, end=120_000), brief))
    zoom_to(page, "brief")
    ticks = page.locator(".tick").all_inner_texts()
    assert len(set(ticks)) == len(ticks) >= 5
    assert "60.0000002 s" in ticks


def test_the_zoom_stays_while_the_trace_grows(trace):
    page = trace(*shop())
    zoom_to(page, "pay")
    page.send(request(span("before", id=9, start=-50, end=200)))
    expect(page.rows).to_have_count(4)
    assert bar_share(page, "pay") == pytest.approx([0, 1], abs=0.01)


# The overview


def test_the_overview_shows_where_the_screen_is(trace):
    page = trace(wide(200))
    overview, frame = page.locator("#overview"), page.locator(".frame")
    expect(overview).to_be_visible()
    above = frame.bounding_box()["y"] - overview.bounding_box()["y"]
    assert above < 5
    page.rows.first.focus()
    page.press("End")
    box = overview.bounding_box
    wait_until(lambda: frame.bounding_box()["y"] - box()["y"] > box()["height"] / 2, "the frame at the end")
    expect(overview).to_be_in_viewport()  # it stays above the rows


def test_a_click_in_the_overview_goes_there(trace):
    page = trace(wide(200))
    box = page.locator("#overview").bounding_box()
    page.mouse.click(box["x"] + 200, box["y"] + box["height"] / 2)
    expect(page.row("span 101")).to_be_in_viewport()


def test_dragging_over_the_overview_zooms(trace):
    page = trace(wide(200))
    drag(page, "#overview", 0.5, 1)
    expect(page.get_by_role("button", name="Whole time")).to_be_visible()
    expect(page.row("span 2").locator(".bar")).to_have_count(0)


def test_the_overview_has_the_colours_of_the_services_and_of_errors(trace):
    page = trace(wide(40), request(*(span("bad", parent=1, start=n, end=200, failed=True) for n in range(40))))
    colours = page.colours_of_the_overview()
    assert "179,35,26" in colours  # --bad
    assert len(colours) >= 2


def test_a_row_is_never_focused_below_the_overview(trace):
    page = trace(wide(200))
    page.rows.first.focus()
    page.press("End")
    page.press("Home")
    for _ in range(30):
        page.press("ArrowDown")
    for _ in range(25):
        page.press("ArrowUp")
    head = page.locator(".head").bounding_box()
    assert page.locator(":focus").bounding_box()["y"] >= head["y"] + head["height"] - 1
