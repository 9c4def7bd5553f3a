"""The viewer's page: hostile and huge traces."""

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


def test_a_span_without_a_name_can_be_chosen(trace):
    page = trace(request(span("")))
    page.row("(no name)").click()
    expect(page.pane().get_by_role("heading", level=2)).to_have_text("(no name)")


def test_only_the_rows_near_the_screen_are_drawn_in_a_big_trace(trace):
    page = trace(wide(1_000))
    expect(page.locator("#facts")).to_contain_text("1,000")
    assert page.locator(".title").count() < 100
    page.rows.first.focus()
    page.press("End")
    expect(page.locator(":focus .title")).to_have_text("span 1000")
    expect(page.row("span 1000")).to_be_in_viewport()
    page.mouse.wheel(0, -1_000_000)
    expect(page.row("span 2")).to_be_in_viewport()
    assert page.locator(".title").count() < 200
    expect(page.locator(":focus .title")).to_have_text("span 1000")
