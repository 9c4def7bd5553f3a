"""The viewer's page: the list of traces."""

import re

import pytest

from tests.viewer.browsing import expect
from tests.viewer.otlp import attribute, request, shop, span, trace_id, wide


def test_an_empty_list_says_how_to_send_a_first_trace(page):
    page = page()
    empty = page.locator("#empty")
    expect(empty).to_contain_text("Waiting for the first trace")
    expect(empty).to_contain_text("OTLP/HTTP on port 4318")
    expect(empty).to_contain_text("OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318")
    expect(empty).to_contain_text("python client.py test")
    expect(empty.locator(".lesson")).to_have_text("docs/experiments.md#1-a-healthy-ping")


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
    expect(row.locator("time")).to_have_attribute("title", "2023-11-14 22:13:20.000000 UTC")
    expect(row.locator("time")).to_contain_text("ago")
    expect(row.locator("code")).to_have_text("1")


def test_the_bar_of_a_duration_is_relative_to_the_longest(page):
    page = page()
    page.send(request(span("long", trace=1, end=200), span("short", trace=2, end=50)))
    expect(page.traces).to_have_count(2)
    shares = page.locator("#traces li").evaluate_all("rows => rows.map(row => row.style.getPropertyValue('--share'))")
    assert shares == ["0.25", "1"]


def test_what_is_missing_in_a_trace_is_marked(page):
    page = page()
    page.send(request(span("/ping", parent=9)))
    expect(page.locator("#traces .note")).to_have_text(
        ["incomplete: no root span has come; the parent of 1 span has not come"]
    )


def test_what_left_for_room_is_told(page):
    page = page(bounds={"max_traces": 2})
    page.send(*(request(span(trace=number)) for number in range(1, 6)))
    expect(page.locator("#kept")).to_have_text("2 traces kept · 3 dropped for room")


def test_what_was_refused_is_told_with_the_reason_as_in_the_terminal(page):
    page = page()
    page.send(request(span("good"), span("bad", trace_id=b"short")))
    expect(page.locator("#kept")).to_have_text(
        "1 trace kept · 1 span refused: trace_id is not 16 bytes, or all of them are zero (1)"
    )


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


def test_the_whole_row_leads_to_the_trace_and_has_its_titles(page):
    page = page()
    page.send(*shop())
    place = page.locator("#traces code").bounding_box()
    at = [place["x"] + place["width"] / 2, place["y"] + place["height"] / 2]
    assert page.evaluate("at => document.elementFromPoint(...at).closest('[title]').title", at)
    page.mouse.click(*at)
    expect(page.get_by_role("heading", level=1)).to_have_text("order")


def test_a_paused_list_does_not_ask(page):
    page = page(clock=True)
    expect(page.locator("#empty")).to_be_visible()
    page.get_by_label("Pause").check()
    asked = []
    page.on("request", lambda made: asked.append(made.url))
    page.send(*shop())
    page.clock.run_for(10_000)
    assert asked == []
    page.get_by_label("Pause").uncheck()
    expect(page.traces).to_have_text(["order"])


def test_the_search_finds_by_span_name_service_and_id(page):
    page = page()
    page.send(*shop(), request(span("other", trace=2 << 100), service="other"))
    for text in ("PAY", "bank", trace_id(1)[-20:]):
        page.get_by_role("searchbox").fill("")
        expect(page.traces).to_have_count(2)
        page.get_by_role("searchbox").fill(text)
        expect(page.traces).to_have_text(["order"])
        expect(page.locator("#kept")).to_have_text("1 of 2 traces")


def test_search_and_order_stand_in_the_address(page):
    page = page(None)
    page.send(
        request(span("good", trace=1), span("short", trace=2, failed=True), span("long", trace=3, end=99, failed=True))
    )
    page.open("/?search=tests&errors=only&order=longest")
    expect(page.get_by_role("searchbox")).to_have_value("tests")
    page.get_by_role("searchbox").fill("")
    expect(page.traces).to_have_text(["long", "short"])
    page.get_by_label("Order").select_option("newest")
    page.get_by_role("searchbox").fill("http.route=/ping")
    expect(page.page).to_have_url(f"{page.viewer.url}/?search=http.route%3D%2Fping&errors=only")
    page.press("Escape")
    expect(page.page).to_have_url(f"{page.viewer.url}/")
    expect(page.traces).to_have_count(3)


def test_the_way_back_keeps_search_and_order(page):
    page = page(None)
    page.send(
        request(span("good", trace=1), span("short", trace=2, failed=True), span("long", trace=3, end=99, failed=True))
    )
    page.open()
    page.get_by_label("Errors only").check()
    page.get_by_label("Order").select_option("longest")
    for back in (page.go_back, lambda: page.get_by_role("link", name="Traces").click()):
        expect(page.traces).to_have_text(["long", "short"])
        page.traces.first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("long")
        back()
        expect(page.traces).to_have_text(["long", "short"])
        expect(page.get_by_label("Errors only")).to_be_checked()


def test_the_list_is_reached_by_keys_alone(page):
    page = page()
    page.send(request(span("one", trace=1), span("two", trace=2)))
    expect(page.traces).to_have_count(2)
    page.press("/")
    for _ in ("errors only", "order", "two", "one"):
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


@pytest.mark.parametrize(
    ("path", "listed"),
    [
        ("/", ["these keys", "http.route=/ping", ">100ms"]),
        (f"/trace/{trace_id(1)}", ["these keys", "find: name, service, attribute", "zoom to the span", "advice"]),
    ],
)
def test_the_question_mark_lists_the_keys_and_what_the_search_takes(page, path, listed):
    page = page(path)
    page.press("?")
    for words in listed:
        expect(page.locator("#keys")).to_contain_text(words)
    page.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()


def test_a_thousand_traces_are_listed(page):
    page = page()
    page.send(request(*(span(trace=number) for number in range(1, 1002))))
    expect(page.traces).to_have_count(1000)
    expect(page.locator("#kept")).to_have_text("1,000 traces kept · 1 dropped for room")


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


def test_the_list_is_sorted_by_time_duration_or_errors(page):
    page = page()
    spans = (span("short", trace=1, end=5), span("long", trace=2, end=500), span("bad", trace=3, end=50, failed=True))
    page.send(request(*spans))
    expect(page.traces).to_have_text(["bad", "long", "short"])
    order = page.get_by_label("Order")
    order.select_option("longest")
    expect(page.traces).to_have_text(["long", "bad", "short"])
    page.send(
        request(span("between", trace=4, end=100), span("worse", trace=5, failed=True), span(trace=5, failed=True))
    )
    expect(page.traces).to_have_text(["long", "between", "bad", "worse", "short"])
    order.select_option("most errors")
    expect(page.traces).to_have_text(["worse", "bad", "between", "long", "short"])
    order.select_option("newest")
    expect(page.traces).to_have_text(["worse", "between", "bad", "long", "short"])


SEARCHES = {  # and the traces that they find; neighbours find different ones
    "http.route=/ping": ["slow ping", "ping"],
    ">100ms": ["slow ping"],
    "<100ms": ["other", "ping"],
    ">=0.1s": ["slow ping"],
    "http.route=/ping <1s ping": ["slow ping", "ping"],
    "slow http.route=/ping": ["slow ping"],
    "http.route=": ["other", "slow ping", "ping"],  # who still writes
    '"a=b"': ["other"],
    'note="two words"': ["slow ping"],
    'said="\\"yes\\""': ["other"],
    'note= "two words"': ["slow ping"],
    "note=two words": ["slow ping"],
    'empty=""': ["other"],
    "slow note=two words http.route=/ping >100ms": ["slow ping"],
}


def test_the_search_takes_attributes_and_durations_too(page):
    page = page()
    route = attribute("http.route", "/ping")
    page.send(
        request(span("ping", trace=1, end=10, attributes=[route])),
        request(span("slow ping", trace=2, end=200, attributes=[route, attribute("note", "two words")])),
        request(
            span("other", trace=3, id=1, end=10, attributes=[attribute("empty", ""), attribute("said", '"yes"')]),
            span("a=b", trace=3, parent=1),
        ),
    )
    for wanted, names in SEARCHES.items():
        page.get_by_role("searchbox").fill(wanted)
        expect(page.traces).to_have_text(names)
        expect(page.locator("#kept")).to_have_text("3 traces kept" if len(names) == 3 else f"{len(names)} of 3 traces")


def test_who_asks_for_what_cannot_be_asked_is_told_what_can(page):
    page = page()
    page.send(*shop())
    for wanted, words in {
        'a = "b"': 'no blanks around its =, as in a="b"',
        "code>=500": "by its value, as in code=500",
        "code==500": "by its value, as in code=500",
        "nowhere": "No trace fits.",
        "code != 500": "by its value, as in code=500",
    }.items():
        page.get_by_role("searchbox").fill(wanted)
        expect(page.locator("#hint")).to_contain_text(words)
        page.get_by_role("button", name="Show all").click()
        expect(page.traces).to_have_count(1)


def test_every_one_of_150_names_is_found(page):
    page = page()
    page.send(wide(151), request(span("other", trace=2)))
    for name in ("span 2", "span 75", "span 151"):
        page.get_by_role("searchbox").fill("")
        expect(page.traces).to_have_count(2)
        page.get_by_role("searchbox").fill(name)
        expect(page.traces).to_have_text(["root"])


def test_traces_with_ids_of_64_bits_are_told_apart(page):
    page = page()
    page.send(request(span("one", trace=0xABC1_2345_6789_ABCD)), request(span("two", trace=0xDEF1_2345_6789_ABCD)))
    expect(page.locator("#traces code")).to_have_text(["def12345", "abc12345"])
    page.traces.first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("two")
    expect(page.page).to_have_title("two · def12345")
