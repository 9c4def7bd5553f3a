"""What the tests of the pages read in them."""

import re


def blocks(page):
    """Return the blocks of commands, and of what they show, of a page (str)."""
    return [text for language, text in re.findall(r"^```(\w*)\n(.*?)^```$", page, re.M | re.S) if not language]


def block(text, page):
    """Return the one block of a page (str) that has `text` in it."""
    [found] = [block for block in blocks(page) if text in block]
    return found


def anchors(path):
    """Return the anchors (set) that GitHub gives to the headings of the page in a file (Path)."""
    text = re.sub(r"(?ms)^```.*?^```$", "", path.read_text())
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def exports(text):
    """Return the settings (dict) that a block of commands exports."""
    pairs = re.findall(r"^export (\w+)=(.*)$", text, re.M)
    return {name: value.strip('"') for name, value in pairs}


def shape(picture):
    """Return a picture without what differs from run to run: ids, times, ports, how wide and in how many parts."""
    varying = r"[━╸╺]+|\d[\d.]* (ns|µs|ms|s)\b|trace [0-9a-f]{32}|127\.0\.0\.1:\d+|updated: \d+ more spans?"
    picture = re.sub(varying, " ", picture)
    return " ".join(re.sub(r"[│├└]", " ", picture).split())
