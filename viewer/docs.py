"""Serves README.md and the pages of docs/ at `/docs/…`, so that what the viewer refers to can be read beside a trace.

Links, pictures and the anchors of headings are those that GitHub shows.
"""

import re
from pathlib import Path
from urllib.parse import urlsplit

from flask import Blueprint, abort, render_template, send_file
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parent.parent
IN_HTML = re.compile(r'\b(href|src|srcset)="([^"]+)"')

pages = Blueprint("docs", __name__)
markdown = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


@pages.get("/docs/<name>")
def page(name):
    """Answer with a page, or with a picture in one."""
    path = files().get(name)
    if path is None:
        abort(404, "There is no such page")
    if path.suffix != ".md":
        return send_file(path)
    title, html = render(path)
    names = [each for each, path in files().items() if path.suffix == ".md"]
    return render_template("docs.html", title=title, html=html, name=name, names=names)


def files() -> dict[str, Path]:
    """Return all that is served, by name; whatever else a name may be, it leads nowhere."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.*"))]
    return {path.name: path for path in found if path.suffix in (".md", ".png", ".svg")}


def render(path: Path) -> tuple[str, str]:
    """Return the title of a page, and the page as HTML."""
    tokens = markdown.parse(path.read_text(encoding="utf-8"))
    title, taken = path.name, set()
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open":
            heading = "".join(child.content for child in following.children if child.type in ("text", "code_inline"))
            title = heading if token.tag == "h1" else title
            token.attrSet("id", anchor(heading, taken))
        elif token.type == "inline":
            set_addresses(token.children, path)
        elif token.type == "html_block":
            token.content = with_addresses(token.content, path)
    html = markdown.renderer.render(tokens, markdown.options, {})
    # What is too wide for a small screen can be scrolled, by keys too.
    html = html.replace("<pre>", '<pre tabindex="0">').replace("</table>", "</table></div>")
    return title, html.replace("<table>", '<div class="wide" tabindex="0"><table>')


def anchor(heading: str, taken: set[str]) -> str:
    """Return the anchor that GitHub gives to a heading, other than those that are taken, and take it."""
    plain = name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
    number = 0
    while name in taken:
        number += 1
        name = f"{plain}-{number}"
    taken.add(name)
    return name


def set_addresses(tokens: list[Token], path: Path) -> None:
    """Have the links and pictures in a line lead where they are here. A link to what is not served is none."""
    tags = []
    for token in tokens:
        if token.type == "link_open":
            href = address(str(token.attrs["href"]), path)
            token.tag, token.attrs = ("span", {}) if href is None else ("a", {"href": href})
            tags.append(token.tag)
        elif token.type == "link_close":
            token.tag = tags.pop()
        elif token.type == "image":
            token.attrs["src"] = address(str(token.attrs["src"]), path) or ""
        elif token.type == "html_inline":
            token.content = with_addresses(token.content, path)


def with_addresses(html: str, path: Path) -> str:
    """Return HTML with the addresses in it as they are here."""
    return IN_HTML.sub(lambda found: f'{found[1]}="{address(found[2], path) or found[2]}"', html)


def address(target: str, path: Path) -> str | None:
    """Return where the target of a link in a page is here; None where it is not."""
    parts = urlsplit(target)
    if parts.scheme or not parts.path:
        return target
    file = (path.parent / parts.path).resolve()
    if files().get(file.name) != file:
        return None
    return f"/docs/{file.name}" + (f"#{parts.fragment}" if parts.fragment else "")
