"""The viewer's page: hostile and huge traces."""

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.viewer.browsing import expect
from tests.viewer.otlp import attribute, exception, request, span, wide

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


@pytest.mark.parametrize("name", ["", "   "])
def test_a_span_without_a_name_can_be_chosen(trace, name):
    page = trace(request(span(name)))
    page.row("(no name)").click()
    expect(page.pane().get_by_role("heading", level=2)).to_have_text("(no name)")


def test_only_the_rows_near_the_screen_are_drawn_in_a_trace_of_3000_spans(trace):
    page = trace(wide(3_000))
    expect(page.locator("#facts")).to_contain_text("3,000")
    assert page.locator(".title").count() < 100
    page.rows.first.focus()
    page.press("End")
    expect(page.locator(":focus .title")).to_have_text("span 3000")
    expect(page.row("span 3000")).to_be_in_viewport()
    page.mouse.wheel(0, -1_000_000)
    expect(page.row("span 2")).to_be_in_viewport()
    assert page.locator(".title").count() < 200
    expect(page.locator(":focus .title")).to_have_text("span 3000")


def test_an_error_deep_in_a_big_trace_is_one_key_away(trace):
    page = trace(wide(1_000), request(span("needle", id=9_999, parent=800, failed=True)))
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
