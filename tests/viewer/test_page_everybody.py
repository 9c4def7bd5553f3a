"""The viewer's page: small screens, dark and light, screen readers."""

import re

import pytest

from tests.support import wait_until
from tests.viewer.browsing import Axe, expect
from tests.viewer.otlp import request, shop, span, trace_id, wide


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
