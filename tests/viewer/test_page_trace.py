"""The viewer's page: a trace."""

import itertools
import json
import math
import time
import urllib.request

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from rich.console import Console

from tests.support import wait_until
from tests.viewer.browsing import expect
from tests.viewer.otlp import NOON, attribute, case, exception, request, shop, span, trace_id, wide
from viewer.picture import Picture


def test_the_facts_of_the_trace_stand_above_it(trace):
    page = trace(*shop(failed=True))
    facts = dict(
        zip(page.locator("#facts dt").all_inner_texts(), page.locator("#facts dd").all_inner_texts(), strict=True)
    )
    assert facts == {
        "Start": "2023-11-14 22:13:20.000000 UTC",
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


@pytest.mark.parametrize("width", [1280, 400])
def test_a_duration_is_never_cut_off(trace, width):
    spans = [span(f"{start}", id=start + 2, parent=1, start=start, end=start + 8) for start in range(0, 100, 10)]
    page = trace(request(span("all", id=1, end=108), *spans), width=width)
    places = page.rows.evaluate_all(
        """rows => rows.map(row => {
            const [bar, text] = [".bar", ".length"].map(part => row.querySelector(part).getBoundingClientRect());
            return [bar.right, text.left, text.right, row.getBoundingClientRect().right];
        })"""
    )
    assert len(places) == 11
    for bar_end, text_start, text_end, row_end in places:
        assert bar_end <= text_start + 3
        assert text_end <= row_end


def test_an_error_below_leaves_a_hollow_mark_above(trace):
    page = trace(*shop(failed=True))
    expect(page.row("order").locator(".error-mark")).to_have_accessible_name("error below")
    expect(page.row("pay").locator(".error-mark")).to_have_accessible_name("error")
    expect(page.row("ship").locator(".error-mark")).to_have_count(0)


def test_a_span_whose_parent_never_came_is_marked_and_kept(trace):
    page = trace(request(span("root", id=1), span("lost", id=3, parent=2), span("below", id=4, parent=3)))
    assert page.tree() == [(1, "root"), (1, "lost"), (2, "below")]
    expect(page.row("lost").locator(".note")).to_have_text("parent has not come")


def test_a_duration_that_rounds_up_to_the_next_unit_has_it(trace):
    ends = {86_256_000_000: "1 d", 59_960_000: "1 min", 59_940_000: "59.9 s", 999_600: "1 s"}  # microseconds
    page = trace(request(*(span(text, end_time_unix_nano=NOON + 1_000 * end) for end, text in ends.items())))
    for text in ends.values():
        expect(page.row(text).locator(".length")).to_have_text(text)


def test_what_has_not_come_is_told_in_the_words_of_the_terminal(trace):
    made = request(span("lost", id=3, parent=2), span("too", id=4, parent=2))
    page = trace(made)
    store = page.viewer.store
    (summary,) = store.summaries()
    picture = Picture(summary, store.trace(summary.trace_id), Console(width=120), {}).draw().plain
    words = "incomplete: no root span has come; the parent of 2 spans has not come"
    assert words in picture
    expect(page.locator("#services")).to_contain_text(words)
    page.open("/")
    expect(page.locator("#traces .note")).to_have_text(words)


def test_a_time_that_was_not_set_is_said_and_does_not_squeeze_the_others(trace):
    page = trace(*shop(), request(span("never", id=9, parent=1, start_time_unix_nano=0, events=[Span.Event()])))
    expect(page.locator("#facts")).to_contain_text("Duration100 ms")
    expect(page.row("never").locator(".length")).to_have_text("not set")
    expect(page.row("never").locator(".dot")).to_have_count(0)
    page.row("never").click()
    expect(page.told("Start")).to_have_text("not set")
    expect(page.pane().locator("h4")).to_contain_text("at not set")


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


def test_next_error_goes_first_to_where_an_error_began(trace):
    """In order of their start; what passed it on comes behind them, from below."""
    boring = [span(f"fine {n}", parent=1, start=n) for n in range(1, 60)]
    status = {"code": Status.STATUS_CODE_ERROR, "message": "gone"}
    page = trace(
        request(
            span("client", id=1, end=900, failed=True),
            *boring,
            span("/ping", id=2, parent=1, start=100, failed=True),
            span("second", id=3, parent=2, start=300, status=status, events=[exception("KeyError", "no such key")]),
            span("first", id=4, parent=1, start=200, failed=True),
        )
    )
    heading = page.pane().get_by_role("heading", level=2)
    for name in ("first", "second", "/ping", "client", "first"):
        page.press("e")
        expect(heading).to_have_text(name)
    page.row("client").click()
    page.press("e")
    expect(heading).to_have_text("first")
    page.press("e")
    expect(page.told("Exception")).to_have_text("KeyError: no such key")
    assert page.pane().locator("dt").all_inner_texts()[:3] == ["Status", "Message", "Exception"]


def test_next_error_stands_in_the_middle_of_the_window(trace):
    spans = [span(f"span {n}", id=n + 2, parent=1, start=n, failed=n == 60) for n in range(120)]
    page = trace(request(span("root", id=1), *spans))
    page.press("e")
    box = page.row("span 60").bounding_box()
    assert 300 < box["y"] + box["height"] / 2 < 500


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
    assert page.url.endswith(f"/trace/{trace_id(1)}#{3:016x}")
    page.press("Escape")
    expect(page.pane()).to_be_hidden()
    expect(page.row("ship")).to_be_focused()
    assert page.url.endswith(f"/trace/{trace_id(1)}")


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


def test_a_link_to_a_span_that_is_not_there_says_so(trace):
    page = trace(*shop(), path="#00000000000000ff")
    expect(page.locator("#warning")).to_have_text("The span 00000000000000ff is not in this trace.")


def test_a_trace_may_be_looked_at_before_it_comes(page):
    page = page(f"/trace/{trace_id(1)}")
    expect(page.locator("#warning")).to_contain_text("it has not come yet")
    page.send(*shop())
    expect(page.rows).to_have_count(3)
    expect(page.locator("#warning")).to_be_hidden()


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
    page.problems.clear()  # the page may have asked for advice just when the trace left; the browser has noted the 404


def test_a_trace_grows_while_the_reader_looks_at_it(trace):
    client, server = shop()
    page = trace(server)
    expect(page.row("pay").locator(".note")).to_have_text("parent has not come")
    page.row("ship").click()
    page.send(client)
    expect(page.rows).to_have_count(3)
    assert page.tree() == [(1, "order"), (2, "pay"), (2, "ship")]
    expect(page.notes).to_have_count(0)
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
    wait_until(lambda: page.pane().evaluate("pane => pane.scrollTop") >= 5_000, "the place")
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


def test_the_download_is_otlp_json_as_other_programs_open_it(trace, tmp_path):
    page = trace(*shop())
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == f"trace-{trace_id(1)}.json"
    saved = json.loads(download.value.path().read_text())
    with urllib.request.urlopen(f"{page.viewer.url}/api/v3/traces/{trace_id(1)}") as answer:
        assert {"result": saved} == json.load(answer)
    assert [len(each["scopeSpans"][0]["spans"]) for each in saved["resourceSpans"]] == [1, 2]


def test_a_span_under_itself_and_a_ring_are_called_that_and_not_orphans(trace):
    page = trace(case("14"), number=0xB000000E)
    for name in ("self", "ring 1"):
        expect(page.row(name).locator(".note")).to_have_text("stands under itself")
    expect(page.row("ring 2").locator(".note")).to_have_count(0)
    expect(page.notes.filter(has_text="parent has not come")).to_have_count(3)
    page.row("ring 1").click()
    expect(page.told("Parent").get_by_role("link")).to_have_text("000000000000000a")
    expect(page.open("/").locator("#traces .note")).to_have_text("incomplete: 2 parents of 3 spans have not come")


def test_spans_that_share_an_id_are_all_in_the_tree_and_keep_their_children(trace):
    page = trace(case("01"), number=0xB0000001)
    assert page.tree() == [(1, "GET /"), (2, "get profile"), (2, "get profile"), (3, "load row")]
    services = [row.locator(".service").inner_text() for row in page.rows.all()]
    assert services == ["web", "web", "profiles", "profiles"]
    expect(page.notes).to_have_text(["shared id", "shared id"])
    page.rows.nth(2).click()
    expect(page.told("service.name")).to_contain_text("profiles")
    expect(page.told("Span id").locator("code")).to_have_text("0000000000000002")
    expect(page.told("Span id")).to_contain_text("shared by 2 spans")
    page.reload()
    expect(page.told("service.name")).to_contain_text("profiles")


def test_the_newer_version_of_a_span_stands_beside_the_older(trace):
    page = trace(case("03a"), case("03b"), number=0xB0000003)
    assert page.tree() == [(1, "job"), (1, "job"), (2, "step")]
    expect(page.rows.nth(1).locator(".error-mark")).to_have_accessible_name("error")


@pytest.mark.parametrize("width", [1280, 400])
def test_at_a_process_boundary_the_service_can_be_read_beside_a_long_name(trace, width):
    page = trace(case("22"), number=0xB0000016, width=width)
    row = page.rows.last
    for pane in (False, True):
        if pane:
            row.click()
        name, service, column = (row.locator(part).bounding_box() for part in (".title", ".service", ".name"))
        text = row.locator(".service")
        assert text.evaluate("text => text.scrollWidth <= text.clientWidth"), "all of recommendationservice"
        assert name["width"] > 60
        assert service["x"] + service["width"] <= column["x"] + column["width"]


def test_of_services_that_begin_alike_the_ends_can_be_read(trace):
    names = [f"py-opentelemetry-manual-otlp-{end}" for end in ("client", "server")]
    page = trace(
        request(span("client operation", id=1, failed=True), service=names[0]),
        request(span("server redis operation", id=2, parent=1), service=names[1]),
        path=f"#{2:016x}",
    )
    expect(page.rows.locator(".service")).to_have_text(names)
    for end in page.rows.locator(".service span:last-child").all():
        assert end.inner_text() in ("client", "server")
        assert end.evaluate("end => end.scrollWidth <= end.clientWidth")


def oklab(pixel):
    """Return the place of a pixel in OKLab, in which distances are as far as they look. CSS Color 4, section 9.2."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (byte / 255 for byte in pixel[:3])
    )
    long = (0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue) ** (1 / 3)
    middle = (0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue) ** (1 / 3)
    short = (0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short,
    )


def test_the_colours_of_one_trace_are_far_from_each_other(trace):
    page = trace(*(request(span(), service=f"service {number}") for number in range(12)))
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        expect(page.rows).to_have_count(12)
        pixels = page.rows.locator(".stripe").evaluate_all(
            """stripes => stripes.map(stripe => {
                const pen = new OffscreenCanvas(1, 1).getContext("2d");
                pen.fillStyle = getComputedStyle(stripe).backgroundColor;
                pen.fillRect(0, 0, 1, 1);
                return [...pen.getImageData(0, 0, 1, 1).data];
            })"""
        )
        pairs = itertools.combinations(map(oklab, pixels), 2)
        assert min(itertools.starmap(math.dist, pairs)) > 0.075, "0.02 can just be told apart"


@pytest.mark.parametrize(
    ("seconds", "ticks"),
    [
        (1.7, ["0", "500 ms", "1 s", "1.5 s"]),
        (100 * 60, ["0", "30 min", "60 min", "90 min"]),
        (40 * 3600, ["0", "12 h", "24 h", "36 h"]),
    ],
)
def test_ticks_are_at_round_times(trace, seconds, ticks):
    page = trace(request(span(end=int(1000 * seconds))))
    assert page.locator(".tick").all_inner_texts() == ticks


def test_a_child_that_begins_before_its_parent_is_shown_so_and_marked(trace):
    page = trace(request(span("caller", id=1, start=10, end=60), span("answer", id=2, parent=1, start=0, end=40)))
    expect(page.notes).to_have_text(["begins 10 ms before its parent"])
    page.row("answer").click()
    expect(page.pane().locator(".note")).to_have_text("begins 10 ms before its parent")


def test_a_span_that_is_years_from_the_rest_is_shown_so_marked_and_squeezes_nothing(trace):
    seconds = {"start_time_unix_nano": NOON // 10**9, "end_time_unix_nano": NOON // 10**9 + 5}
    page = trace(*shop(), request(span("in seconds", id=9, parent=1, **seconds)))
    expect(page.notes).to_have_text(["begins 53.9 y before the others"])
    expect(page.locator("#warning")).to_have_text("1 span begins 53.9 y before the others.")
    expect(page.row("in seconds").get_by_role("img")).to_have_accessible_name("before the shown time")
    assert page.row("order").locator(".bar").bounding_box()["width"] > 300
    assert page.locator(".tick").all_inner_texts()[-1] == "100 ms"
    page.row("order").click()
    expect(page.told("Start")).to_contain_text("0 into the trace")
    page.press("Escape")
    page.get_by_role("button", name="Whole time").click()
    assert page.row("order").locator(".bar").bounding_box()["width"] < 5
    expect(page.row("in seconds").locator(".bar")).to_be_visible()


def test_twenty_levels_deep_a_name_can_be_read_beside_the_pane(trace):
    page = trace(request(*(span(f"level {n}", id=n, parent=n - 1) for n in range(1, 25))), path=f"#{20:016x}")
    name = page.row("level 20").locator(".title")
    assert name.evaluate("name => name.scrollWidth <= name.clientWidth")
    left = [page.row(f"level {n}").locator(".title").bounding_box()["x"] for n in range(1, 21)]
    assert left == sorted(set(left))


def test_the_time_zone_is_named(trace):
    page = trace(*shop(), timezone_id="Asia/Kolkata", path=f"#{2:016x}")
    expect(page.locator("#facts")).to_contain_text("2023-11-15 03:43:20.000000 GMT+5:30")
    expect(page.told("Start")).to_contain_text("GMT+5:30")


def test_a_reload_without_a_chosen_span_keeps_its_place(trace):
    page = trace(wide(151))
    page.evaluate("scrollTo(0, 2000)")
    expect(page.row("span 70")).to_be_in_viewport()
    page.reload()
    expect(page.row("span 70")).to_be_in_viewport()
    assert page.evaluate("scrollY") == 2000


# A trace that may still grow


def call(**attributes):
    """Return a span that calls another process. Its clock is ahead, so that it has always ended just now."""
    now = time.time_ns()
    return span(
        "call",
        id=1,
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=now,
        end_time_unix_nano=now + 600 * 10**9,
        attributes=[attribute(name.replace("_", "."), value) for name, value in attributes.items()],
    )


def test_a_call_without_an_answer_may_still_grow_until_it_was_quiet_for_long(page):
    page = page(None, clock=True)
    page.send(request(call(url_full="it")))
    page.open(f"/trace/{trace_id(1)}")
    expect(page.get_by_role("status").filter(has_text="may still grow")).to_be_visible()
    page.clock.run_for(7_000)
    expect(page.locator("#growing")).to_be_hidden()


def test_a_call_whose_answer_came_does_not_grow(trace):
    page = trace(request(call(url_full="it")), clock=True)
    expect(page.locator("#growing")).to_be_visible()
    page.send(request(span("answer", id=2, parent=1, start_time_unix_nano=time.time_ns())))
    page.clock.run_for(1_000)
    expect(page.rows).to_have_count(2)
    expect(page.locator("#growing")).to_be_hidden()


def test_a_call_of_a_database_does_not_grow(trace):
    expect(trace(request(call(db_system_name="redis", url_full="it"))).locator("#growing")).to_be_hidden()


# On paper


def test_the_whole_trace_comes_on_paper(trace):
    page = trace(wide(151), path=f"#{5:016x}", color_scheme="dark")
    assert page.locator(".row .title").count() < 100
    page.pdf()
    expect(page.locator(".row .title")).to_have_count(151)


# The lesson


def test_a_trace_with_an_error_points_to_the_experiment_that_explains_it(trace):
    page = trace(request(span("work", id=1)))
    expect(page.locator("#lesson")).to_be_hidden()
    page.send(request(span("query", id=2, parent=1, failed=True)))
    expect(page.locator("#lesson")).to_contain_text(
        "How to read an error: docs/experiments.md#2-stop-redis-and-read-the"
    )
