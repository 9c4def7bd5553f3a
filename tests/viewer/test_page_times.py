"""The viewer's page: where the time of a trace went, and which part of it the whole had to wait for."""

import pytest

from tests.viewer.browsing import expect
from tests.viewer.otlp import request, shop, span, wide

# Where the time went


def table(page):
    """The table's rows as lists of their texts: operation with service, spans, total, self."""
    rows = page.get_by_role("region", name="Where the time went").locator("tbody tr")
    return [row.locator("button, .chip, td").all_inner_texts() for row in rows.all()]


def slow_shop():
    """Ninety queries one after the other, and what runs beside them."""
    queries = [span("SELECT stock", parent=1, start=n, end=n + 1) for n in range(90)]
    return (
        request(
            span("GET /cart", id=1, end=100), *queries, span("render", parent=1, start=80, end=120), service="shop"
        ),
        request(span("SELECT stock", id=2, parent=1, start=10, end=30), service="bank"),
    )


def test_for_each_operation_of_each_service_spans_total_and_self_are_told(trace):
    """By self time: what children took is not their parent's, once where they overlap, and only up to its end."""
    page = trace(*slow_shop())
    page.get_by_role("button", name="Operations").click()
    assert table(page) == [
        ["SELECT stock", "shop", "90", "90 ms", "90 ms"],
        ["render", "shop", "1", "40 ms", "40 ms"],
        ["SELECT stock", "bank", "1", "20 ms", "20 ms"],
        ["GET /cart", "shop", "1", "100 ms", "0"],
    ]


def test_a_row_leads_to_its_spans_and_to_no_others(trace):
    spans = [span('say "hi"', parent=1, start=n) for n in range(3)]
    others = span('say "hi" twice', parent=1), span("dir C:\\", parent=1)
    page = trace(*slow_shop(), request(*spans, *others, service="shop"))
    page.press("t")
    for name, hits in {"SELECT stock": 90, 'say "hi"': 3, "dir C:\\": 1}.items():
        page.locator("#operations tr").filter(has_text="shop").get_by_role("button", name=name, exact=True).click()
        expect(page.locator("#hits")).to_have_text(f"1 of {hits}: {name}")
        expect(page.locator(":focus .title")).to_have_text(name)


def test_the_table_opens_and_closes_by_a_key_and_grows_with_the_trace(trace):
    page = trace(*shop())
    page.press("t")
    expect(page.locator("#operations :focus")).to_have_text("pay")
    page.press("Tab")
    expect(page.locator("#operations :focus")).to_have_text("order")
    page.send(request(span("more", id=9, parent=1, end=500)))
    expect(page.locator("#operations tbody tr")).to_have_count(4)
    expect(page.locator("#operations :focus")).to_have_text("order")
    page.press("Escape")
    expect(page.locator("#operations")).to_be_hidden()
    expect(page.get_by_role("button", name="Operations")).to_be_focused()


# The critical path


PATHS = [
    (["a", 0, 10], {"a": [[0, 10]]}),
    # One after the other: what is between them is the parent's own.
    (["a", 0, 10, ["b", 1, 4], ["c", 5, 9]], {"a": [[0, 1], [4, 5], [9, 10]], "b": [[1, 4]], "c": [[5, 9]]}),
    # At once: the longer one.
    (["a", 0, 10, ["b", 1, 9], ["c", 2, 6]], {"a": [[0, 1], [9, 10]], "b": [[1, 9]]}),
    # Of those that ended before the last one began, the last.
    (["a", 0, 10, ["b", 0, 4], ["c", 1, 5], ["d", 5, 10]], {"a": [[0, 1]], "c": [[1, 5]], "d": [[5, 10]]}),
    # Down to where the time was.
    (["a", 0, 10, ["b", 0, 10, ["c", 2, 10]]], {"b": [[0, 2]], "c": [[2, 10]]}),
    # What runs on behind its parent, or began before it, counts as far as that goes.
    (
        ["a", 2, 10, ["b", 0, 4], ["c", 6, 20, ["d", 8, 15]]],
        {"b": [[2, 4]], "a": [[4, 6]], "c": [[6, 8]], "d": [[8, 10]]},
    ),
    # What began after its parent's end, or has no times or no length.
    (["a", 0, 10, ["b", 11, 20], ["c", None, None], ["d", 3, None], ["e", 5, 5]], {"a": [[0, 10]]}),
]


def test_the_critical_path_is_what_the_whole_had_to_wait_for(page):
    page = page("/trace/1")
    for tree, path in PATHS:
        found = page.evaluate(
            """async tree => {
                const {criticalPath} = await import("/static/path.js");
                const read = ([name, from, until, ...children]) =>
                    ({name, from: from ?? NaN, length: (until ?? NaN) - from, children: children.map(read)});
                const found = [...criticalPath(read(tree))].filter(([, parts]) => parts.length);
                return Object.fromEntries(found.map(([{name}, parts]) => [name, parts.toReversed()]));
            }""",
            tree,
        )
        assert found == path


def test_the_critical_path_is_marked_in_the_bars_and_told_in_the_pane(trace):
    page = trace(*shop(), request(span("beside", id=9, parent=1, start=10, end=40)))
    shares = (
        "parts => parts.map(({style}) => [style.getPropertyValue('--x'), style.getPropertyValue('--w')].map(Number))"
    )
    for name, parts in {"pay": [[0.2, 0.6]], "order": [[0.9, 0.1], [0.8, 0.02], [0, 0.2]], "beside": []}.items():
        found = page.row(name).locator(".path").evaluate_all(shares)
        assert found == [pytest.approx(part) for part in parts]
    page.row("order").click()
    expect(page.told("Duration")).to_have_text("100 ms32 ms of it on the critical path")
    page.row("beside").click()
    expect(page.told("Duration")).to_have_text("30 ms")


def test_the_critical_path_of_a_big_trace_stands_out_in_the_overview(trace):
    page = trace(wide(200))
    ink = page.evaluate("getComputedStyle(document.documentElement).color.match(/\\d+/g).slice(0, 3).join()")
    colours = page.colours_of_the_overview()
    assert ink in colours


def test_of_many_parts_only_as_many_are_drawn_as_can_be_seen(trace):
    spans = [span("step", parent=1, start=2 * n, end=2 * n + 1) for n in range(3000)]
    page = trace(request(span("root", id=1, end=6000), *spans))
    assert 1 <= page.rows.first.locator(".path").count() <= 500
