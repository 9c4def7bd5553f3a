"""The viewer's page: small screens, dark and light, screen readers."""

import re

import pytest

from tests.support import wait_until
from tests.viewer.browsing import Axe, expect
from tests.viewer.otlp import attribute, request, shop, span, trace_id, wide


@pytest.mark.parametrize("width", [400, 360])
def test_the_width_of_a_telephone_is_enough(page, width):
    page = page(width=width)
    page.send(*shop(failed=True))
    for path in ("/", f"/trace/{trace_id(1)}", f"/trace/{trace_id(1)}#{2:016x}"):
        page.open(path)
        expect(page.get_by_text("order").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    expect(page.pane()).to_be_visible()
    expect(page.row("pay")).to_be_in_viewport()
    assert page.row("pay").bounding_box()["y"] < page.pane().bounding_box()["y"]


def is_whole(element):
    return element.evaluate("element => element.scrollWidth <= element.clientWidth")


@pytest.mark.parametrize("pane", [False, True])
def test_name_and_mark_of_a_lost_span_are_whole_where_its_service_is_the_only_one(trace, pane):
    """The row of experiment 5: its service stands above the rows."""
    lost = span("/redis/<length>", id=2, parent=1)
    page = trace(request(lost, service="py-opentelemetry-manual-otlp-server"), path=f"#{2:016x}" * pane)
    for width in (1024, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        row = page.row("/redis/<length>")
        assert is_whole(row.locator(".title"))
        assert is_whole(row.locator(".note"))
        assert row.locator(".service").bounding_box()["width"] == 1
    expect(page.locator("#services .chip")).to_contain_text("py-opentelemetry-manual-otlp-server")


def test_names_in_the_pane_break_behind_a_dot_or_a_low_line(trace):
    keys = ["network.protocol.version", "http.response.status_code"]
    page = trace(request(span(id=2, attributes=[attribute(key, "x") for key in keys])), path=f"#{2:016x}")
    lines = """name => {
        const lines = new Map();
        for (const node of name.childNodes) for (let i = 0; i < (node.data?.length ?? 0); i++) {
            const range = document.createRange();
            range.setStart(node, i);
            range.setEnd(node, i + 1);
            const {top} = range.getBoundingClientRect();
            lines.set(top, (lines.get(top) ?? "") + node.data[i]);
        }
        return [...lines.values()];
    }"""
    for key in keys:
        *first, _ = page.pane().locator("dt bdi", has_text=key).evaluate(lines)
        assert first, "broken at all, or the test sees nothing"
        assert all(line.endswith((".", "_")) for line in first)


def test_no_button_stands_alone_and_no_placeholder_is_clipped(trace):
    page = trace(*shop())
    tops = "buttons => buttons.filter(button => button.offsetParent).map(button => button.offsetTop)"
    fits = """field => {
        const pen = new OffscreenCanvas(1, 1).getContext("2d");
        const {font, paddingLeft} = getComputedStyle(field);
        pen.font = font;
        return pen.measureText(field.placeholder).width <= field.clientWidth - 2 * parseInt(paddingLeft);
    }"""
    for width in range(400, 1500, 100):
        page.set_viewport_size({"width": width, "height": 800})
        download = page.get_by_role("button", name="Download").evaluate("button => button.offsetTop")
        assert page.locator(".tools button").evaluate_all(tops).count(download) > 1, width
        assert page.locator("#find").evaluate(fits), width
    page.open("/")
    for width in (400, 800, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.get_by_role("searchbox").evaluate(fits), width


def test_the_timeline_is_there_beside_or_above_the_pane(trace):
    page = trace(*shop(), path=f"#{2:016x}")
    for width in (400, 800, 1001, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        # In one step, since the rows are drawn anew meanwhile.
        wait_until(lambda: page.evaluate("document.querySelector('.track').clientWidth") > 100, "room for the bars")


def test_dark_and_light_follow_the_system(page):
    page = page()
    seen = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        seen[scheme] = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    light, dark = (sum(map(int, re.findall(r"\d+", seen[scheme])[:3])) for scheme in ("light", "dark"))
    assert light > 700 > 150 > dark


@pytest.mark.parametrize("state", ["empty", "list", "trace", "keys", "big"])
def test_axe_finds_nothing_to_complain_about(page, state):
    page = page(bypass_csp=True)  # for axe's own script
    if state != "empty":
        page.send(*shop(failed=True), request(span("lost", trace=2, parent=9), service="other"))
        expect(page.traces).to_have_count(2)
    if state == "trace":
        page.open(f"/trace/{trace_id(1)}#{2:016x}")
        expect(page.pane()).to_be_visible()
        page.press("t")
        expect(page.get_by_role("region", name="Where the time went")).to_be_visible()
    if state == "big":
        page.send(wide(100))
        page.open(f"/trace/{trace_id(1)}")
        expect(page.locator("#facts")).to_contain_text("100")
    if state == "keys":
        page.press("?")
    for width, scheme in ((1280, "light"), (400, "dark")):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page.page)
        assert found.violations_count == 0, f"{width} {scheme}\n{found.generate_report()}"
