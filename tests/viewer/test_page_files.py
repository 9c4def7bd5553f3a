"""The viewer's page: saved traces that are dropped on it, or chosen."""

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.viewer.browsing import expect
from tests.viewer.otlp import request, shop, span, trace_id

CASES = Path(__file__).with_name("cases")


def saved(page, *numbers):
    """Return traces as the page's download has them, and empty the viewer."""
    traces = []
    for number in numbers:
        page.send(request(span(f"trace {number}", trace=number, id=1)))
        with urllib.request.urlopen(f"{page.viewer.url}/api/v3/traces/{trace_id(number)}") as answer:
            traces.append(json.load(answer)["result"])
    page.viewer.clear()
    return traces


def drop(page, *files):
    """Drop files, each a name and a text (or how many blanks), as a hand does."""
    carried = page.evaluate_handle(
        """files => {
            const carried = new DataTransfer();
            for (const [name, text] of files) {
                carried.items.add(new File([typeof text === "number" ? " ".repeat(text) : text], name));
            }
            return carried;
        }""",
        files,
    )
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("main", event, {"dataTransfer": carried})


def test_a_file_that_is_dropped_on_the_list_is_in_it(page):
    page = page()
    (trace,) = saved(page, 1)
    expect(page.locator("#empty")).to_be_visible()
    drop(page, ("saved.json", json.dumps(trace)))
    expect(page.traces).to_have_text(["trace 1"])
    expect(page.locator("#dropped")).to_be_hidden()


def test_several_files_and_files_of_several_lines_may_be_dropped(page):
    page = page()
    one, *others = saved(page, 1, 2, 3)
    drop(page, ("one.json", json.dumps(one)), ("others.jsonl", "\n".join(map(json.dumps, others))))
    expect(page.traces).to_have_text(["trace 3", "trace 2", "trace 1"])


def test_a_file_that_is_dropped_on_a_trace_leads_to_the_list(trace):
    page = trace(*shop())
    drop(page, ("cases.json", (CASES / "14-roots.json").read_text()))
    expect(page.traces).to_have_text(["root one", "order"])


def test_of_a_file_whose_last_line_is_cut_the_rest_is_shown_and_that_line_is_named(page):
    page = page()
    drop(page, ("cut.jsonl", (CASES / "cut-last-line.jsonl").read_text()))
    expect(page.traces).to_have_text(["whole"])
    expect(page.locator("#dropped")).to_contain_text(re.compile(r"cut.jsonl: line 2: .*\. The rest is shown"))
    page.problems.clear()  # the browser has noted the refusal


def test_what_is_dropped_beside_a_file_that_cannot_be_read_is_shown_and_each_such_file_is_named(page):
    page = page()
    bad = ("one.json", "no json"), ("two.json", '{"resourceSpans": [5]}')
    drop(page, bad[0], ("cases.json", (CASES / "14-roots.json").read_text()), bad[1])
    expect(page.traces).to_have_text(["root one"])
    expect(page.locator("#dropped span")).to_contain_text(["one.json: line 1", "two.json: line 1"])
    page.problems.clear()  # the browser has noted the refusals


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no json", "line 1"),
        ('{"data": []}', "no spans in it"),
        ('{"resourceSpans": [5]}', "resourceSpans"),
        (16_800_000, "it has more than 16 MB: show it by python -m viewer FILE"),
    ],
)
def test_a_file_that_cannot_be_shown_is_named_in_a_line(page, text, words):
    page = page()
    drop(page, ("<b>bad</b>.json", text))
    told = page.get_by_role("status").filter(has_text="<b>bad</b>.json")
    expect(told).to_contain_text(words)
    assert "\n" not in told.inner_text()
    page.problems.clear()  # the browser has noted the refusal


def test_the_line_that_cannot_be_read_is_named(page):
    page = page()
    (trace,) = saved(page, 1)
    drop(page, ("lines.jsonl", json.dumps(trace) + "\n{\n"))
    expect(page.locator("#dropped")).to_contain_text(re.compile("lines.jsonl: .*line 3"))
    expect(page.traces).to_have_text(["trace 1"])
    page.problems.clear()


def test_a_file_is_opened_by_keys_alone(page):
    page = page()
    page.on("filechooser", lambda _: None)  # well before the key: nobody waits for the browser to have heard of it
    field = page.get_by_label("Open file")
    while not field.evaluate("field => field === document.activeElement"):
        page.press("Tab")
    with page.expect_file_chooser() as chooser:
        page.press("Space")
    chooser.value.set_files(CASES / "14-roots.json")
    expect(page.traces).to_have_text(["root one"])
