"""What CONTRIBUTING.md says of the code is so."""

import ast
import re

from tests.support import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
THREE = ["common.py", "client.py", "server.py"]
ROOMS = {"untraced", "lesson", "viewer", "demo", "docs", "benchmarks", "tools", "tests"}


def imported(path):
    """Return the names (set) of the top-level modules that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.split(".")[0])
    return names


def test_none_of_the_three_files_imports_from_a_room_and_beyond_imports_none_of_them():
    for name in THREE:
        assert not imported(ROOT / name) & ROOMS, name
    for path in (ROOT / "beyond").glob("*.py"):
        assert not imported(path) & ({"common", "client", "server"} | ROOMS), path


def test_beyond_starts_no_span_and_carries_no_context():
    for path in (ROOT / "beyond").glob("*.py"):
        assert not re.search(r"start_(as_current_)?span|\.(inject|extract)\(", path.read_text()), path


def test_every_file_and_folder_that_it_names_exists():
    for name in re.findall(r"`([\w./-]+(?:/|\.(?:py|yaml|md)))`", PAGE):
        assert (ROOT / name).exists(), name
    for script in re.findall(r"(\S+\.py)", " ".join(re.findall(r"^\.venv/bin/python (.*)$", PAGE, re.M))):
        assert (ROOT / script).is_file()
    assert (ROOT / ".ci" / "run").is_file()
