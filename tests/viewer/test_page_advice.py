"""The viewer's page: what a reviewer would say of a trace."""

import re

import pytest

from tests.support import wait_until
from tests.viewer.browsing import Axe, expect
from tests.viewer.otlp import attribute, request, shop, span, trace_id
from tests.viewer.test_advice import SERVER, make, pings

BAD = request(
    make("/login", SERVER, {"http.request.header.authorization": "Bearer x"}, id=1, end=100),
    make("order 7c9e6679-7425-40de-944b-e07fc1f90ae7", id=2, parent=1, start=10, end=20),
)


def button(page):
    return page.get_by_role("button", name=re.compile("^Advice"))


def pieces(page):
    return page.get_by_role("region", name="Advice").get_by_role("listitem")


def test_where_there_is_nothing_to_say_there_is_no_button(trace):
    page = trace(*shop())
    # Not by wait_for_function: the page's headers forbid what that does the second time.
    entries = "performance.getEntriesByType('resource')"
    answered = f"{entries}.some(each => each.name.includes('/viewer/advice/') && each.responseEnd)"
    wait_until(lambda: page.evaluate(answered), "an answer about advice")
    expect(page.rows).to_have_count(3)
    expect(button(page)).to_be_hidden()


def test_the_button_has_the_number_and_opens_the_sentences(trace):
    page = trace(BAD)
    expect(button(page)).to_have_accessible_name("Advice 2")
    expect(button(page)).to_have_attribute("aria-expanded", "false")
    expect(pieces(page)).to_have_count(0)  # that one can see
    button(page).click()
    expect(button(page)).to_have_attribute("aria-expanded", "true")
    expect(pieces(page)).to_have_count(2)
    expect(pieces(page).first).to_contain_text(
        "“/login” has in http.request.header.authorization what looks like a secret"
    )
    button(page).click()
    expect(pieces(page)).to_have_count(0)


def test_a_sentence_leads_to_its_span(trace):
    page = trace(BAD)
    button(page).click()
    pieces(page).nth(1).get_by_role("button", name="Show the span: name").click()
    expect(page.pane()).to_contain_text("order 7c9e6679")
    expect(page.locator(".row[aria-selected=true]")).to_be_focused()
    expect(pieces(page)).to_have_count(2)  # for the next


def test_a_sentence_leads_to_the_page_that_explains_it(trace):
    page = trace(BAD)
    button(page).click()
    with page.expect_popup() as popup:
        pieces(page).first.get_by_role("link", name="docs/your-own.md#what-not-to-record").click()
    expect(popup.value.get_by_role("heading", name="What not to record")).to_be_in_viewport()
    popup.value.close()


def test_what_comes_later_in_another_trace_is_said_and_leads_there(trace):
    call, answer = pings()
    page = trace(call, clock=True)
    expect(button(page)).to_be_hidden()
    page.send(answer)
    page.clock.run_for(11_000)  # all its looks are after that
    expect(button(page)).to_have_accessible_name("Advice 1")
    button(page).click()
    pieces(page).get_by_role("link", name="The other trace").click()
    expect(page.page).to_have_url(re.compile(f"/trace/{trace_id(2)}$"))
    expect(page.rows).to_have_count(1)


def test_it_is_reached_and_left_by_keys(trace):
    page = trace(BAD)
    expect(button(page)).to_be_visible()
    page.press("a")
    expect(pieces(page).first.get_by_role("button")).to_be_focused()
    page.press("Enter")
    expect(page.row("/login")).to_be_focused()
    page.press("a")  # which closes it
    expect(button(page)).to_be_focused()
    page.press("Enter")
    expect(pieces(page)).to_have_count(2)
    page.press("Tab")
    page.press("Escape")
    expect(pieces(page)).to_have_count(0)
    expect(button(page)).to_be_focused()
    expect(page.pane()).to_be_visible()  # it has closed nothing else


def test_a_hostile_name_stays_text(trace):
    page = trace(request(span("<img src=x onerror=alert(1)>\u202e", id=1, attributes=[attribute("password", "x")])))
    button(page).click()
    expect(pieces(page)).to_contain_text("“<img src=x onerror=alert(1)>⟨U+202E⟩” has in password")
    expect(pieces(page).locator("img")).to_have_count(0)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_everybody_can_read_it(trace, width, scheme):
    page = trace(BAD, width=width, scheme=scheme, bypass_csp=True)  # for axe's own script
    button(page).click()
    expect(pieces(page).last).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page.page)
    assert found.violations_count == 0, found.generate_report()
