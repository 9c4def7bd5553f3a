"""What CONTRIBUTING.md says of the code is so."""

import ast
import re

import pytest

from tests.support import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
THREE = ["common.py", "client.py", "server.py"]
ROOMS = {"auto", "viewer", "demo", "docs", "benchmarks", "tools", "tests"}


def imported(path):
    """Return the names (set) of the top-level modules that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("name", THREE)
def test_none_of_the_three_files_imports_from_a_room(name):
    assert not imported(ROOT / name) & ROOMS


@pytest.mark.parametrize("path", sorted((ROOT / "beyond").glob("*.py")), ids=lambda path: path.name)
def test_beyond_imports_none_of_the_three_and_starts_no_span(path):
    assert not imported(path) & ({"common", "client", "server"} | ROOMS)
    assert not re.search(r"start_(as_current_)?span|\.(inject|extract)\(", path.read_text())


def test_every_file_and_folder_that_it_names_exists():
    for name in re.findall(r"`([\w./-]+(?:/|\.(?:py|yaml|md)))`", PAGE):
        assert (ROOT / name).exists(), name
    for script in re.findall(r"(\S+\.py)", " ".join(re.findall(r"^\.venv/bin/python (.*)$", PAGE, re.M))):
        assert (ROOT / script).is_file()
    assert (ROOT / ".ci" / "run").is_file()


def test_it_is_one_page():
    assert len(PAGE.splitlines()) < 100
