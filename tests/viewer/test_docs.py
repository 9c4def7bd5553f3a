"""The viewer serves README.md and docs/ as pages: with GitHub's anchors, links, pictures, and nothing else."""

import re
from html import unescape
from urllib.parse import urljoin, urlsplit

import pytest

from tests.support import ROOT
from tests.viewer.browsing import Axe, expect
from viewer import docs
from viewer.store import Store
from viewer.web import HEADERS, create_app

PAGES = ["README.md", *sorted(path.name for path in (ROOT / "docs").glob("*.md"))]


@pytest.fixture(scope="module")
def get():
    """Ask the viewer: `get(path)`."""
    return create_app(Store()).test_client().get


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_served_with_its_title_and_under_the_pages_own_headers(get, name):
    answer = get(f"/docs/{name}")
    assert answer.status_code == 200
    source = ROOT / ("" if name == "README.md" else "docs") / name
    title = re.search("^# (.*)$", source.read_text(), re.M)[1]
    assert unescape(re.search("<title>(.*)</title>", answer.text)[1]) == title
    assert HEADERS.items() <= dict(answer.headers).items()


@pytest.mark.parametrize("path", [*(f"/docs/{name}" for name in PAGES), "/", "/trace/1"])
def test_every_link_in_it_leads_to_a_page_or_a_heading_that_is_there(get, path):
    for link in re.findall('href="([^"]+)"', get(path).text):
        target = urlsplit(urljoin(path, link))
        if not target.scheme and not target.path.startswith("/static/"):
            answer = get(target.path)
            assert answer.status_code == 200, link
            assert not target.fragment or f'id="{target.fragment}"' in answer.text, link


@pytest.mark.parametrize("name", PAGES)
def test_every_picture_in_it_is_there_light_and_dark(get, name):
    for picture in re.findall('(?:src|srcset)="([^"]+)"', get(f"/docs/{name}").text):
        with get(urljoin("/docs/", picture)) as answer:
            assert answer.status_code == 200, picture
            assert answer.mimetype.startswith("image/")


def test_a_link_to_a_source_file_is_text(get):
    text = get("/docs/reading-guide.md").text
    assert "<span>server.py</span>" in text
    assert "../server.py" not in text


def test_tables_code_and_what_can_be_opened_are_shown(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("| a |\n| --- |\n| `b` |\n\n<details><summary>A hint</summary>\n\n```\n1 < 2\n```\n\n</details>\n")
    _, html = docs.render(page)
    assert re.search(r"<th>a</th>.*<td><code>b</code></td>", html, re.S)
    assert re.search(
        r"<details><summary>A hint</summary>\s*<pre[^>]*><code>1 &lt; 2\s*</code></pre>\s*</details>", html
    )


@pytest.mark.parametrize(
    ("headings", "anchors"),
    [
        (["6. A plain dictionary of the headers"], ["6-a-plain-dictionary-of-the-headers"]),
        (["14. `kill -9`, `kill -TERM`, and what arrived"], ["14-kill--9-kill--term-and-what-arrived"]),
        (["Part 2: Try it · 第 2 部分"], ["part-2-try-it--第-2-部分"]),
        (["Undo", "Undo", "Undo"], ["undo", "undo-1", "undo-2"]),
    ],
)
def test_a_heading_has_the_anchor_that_github_gives_it(tmp_path, headings, anchors):
    page = tmp_path / "page.md"
    page.write_text("\n\n".join(f"## {heading}" for heading in headings))
    assert re.findall('id="([^"]+)"', docs.render(page)[1]) == anchors


@pytest.mark.parametrize(
    "path",
    [
        "server.py",
        "../server.py",
        "%2e%2e/server.py",
        "..%2fserver.py",
        "cost.json",
        "/etc/passwd",
        "docs/viewer.md",
        "",
    ],
)
def test_no_other_file_can_be_reached(get, path):
    assert get(f"/docs/{path}").status_code == 404


@pytest.mark.parametrize(("name", "width", "scheme"), [("README.md", 1280, "light"), ("cost.md", 400, "dark")])
def test_everybody_can_read_it(page, name, width, scheme):
    shown = page(f"/docs/{name}", width=width, scheme=scheme, bypass_csp=True)  # for axe's own script
    expect(shown.get_by_role("heading", level=1)).to_be_visible()
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.evaluate("[...document.images].every(({ complete, naturalWidth }) => complete && naturalWidth)")
    found = Axe().run(shown.page)
    assert found.violations_count == 0, found.generate_report()


def test_its_own_headers_hide_nothing_of_it(page):
    shown = page("/docs/README.md")  # the page fixture complains of what the browser refuses
    assert shown.evaluate("document.images.length") > 1


def test_the_line_on_errors_leads_there(trace):
    from tests.viewer.otlp import request, span

    shown = trace(request(span("query", failed=True)))
    with shown.expect_popup() as popup:
        shown.get_by_role("link", name="docs/experiments.md#2-stop-redis").click()
    expect(popup.value.get_by_role("heading", name="2. Stop Redis")).to_be_in_viewport()
    popup.value.close()
