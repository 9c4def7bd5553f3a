"""The Makefile, from a fresh clone."""

import re
import shutil
import sys

import pytest

from demo.__main__ import PORTS
from tests.clone import clone, processes_in
from tests.support import ROOT, Process, clean_environment, free_port, wait_until

CLONE = "a clone"
HEALTHY = r"6 spans, 2 services, [\d.]+ \w?s\n"

# Scripts that pass for a Python. On a Debian without python3-venv `import ensurepip` fails; where a disk is full, say,
# it succeeds, and then `-m venv` makes half of one.
FULL = f"""#!/bin/sh
case "$*" in
  "-m venv"*) mkdir -p .venv/bin; echo "The virtual environment was not created successfully" >&2; exit 1;;
  *) exec '{sys.executable}' "$@";;
esac
"""
DEBIAN = FULL.replace('"-m venv"*)', '*ensurepip*) echo "No module named ensurepip" >&2; exit 1;;\n  "-m venv"*)')
OLD = """#!/bin/sh
case "$*" in --version) echo "Python 3.10.12";; *) exit 1;; esac
"""
OTHER = f"""#!/bin/sh
case "$*" in
  *base_prefix*) echo /elsewhere 3 12;;
  "-m venv"*) echo "$0 makes .venv"; exit 1;;
  *) exec '{sys.executable}' "$@";;
esac
"""
THIS = f"""#!/bin/sh
exec '{sys.executable}' "$@"
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with a fresh clone in it, whose name has a space."""
    with clone(tmp_path, CLONE):
        yield tmp_path


def make(folder, *targets, **settings):
    """Start make in the clone."""
    ours = {"MAKEFLAGS": None, "MAKELEVEL": None, "MFLAGS": None, "PYTHON": None}  # when make started the tests
    return Process("make", *targets, env=clean_environment(**(ours | settings)), cwd=folder / CLONE)


def make_demo(folder, pythons, **settings):
    """Run `make demo` where these scripts are all the Pythons, by their names; it must fail. Return what it says."""
    path = folder / "bin"
    path.mkdir()
    for tool in ("sh", "make", "dirname", "find", "flock", "head", "rm", "touch", "mkdir"):
        if found := shutil.which(tool):
            (path / tool).symlink_to(found)
    for name, text in pythons.items():
        (path / name).write_text(text)
        (path / name).chmod(0o755)
    with make(folder, "demo", PATH=path, **settings) as process:
        assert process.wait() != 0
        return process.output


def test_help_lists_each_target(folder):
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    with make(folder) as process:
        assert process.wait() == 0
        assert {"demo", "test", "lint"} <= set(targets)
        assert re.findall(r"^make (\w+) +\w", process.out, re.MULTILINE) == targets


@pytest.mark.parametrize(
    ("pythons", "settings", "said"),
    [
        ({"python3": DEBIAN}, {}, "apt install python3-venv"),
        ({"python3": FULL}, {}, "not created successfully"),
        (
            {"python3": OLD, "python3.14": OLD},
            {},
            "This needs Python 3.11 to 3.15, and python3 is: Python 3.10.12.\n"
            "Name another one: make PYTHON=/path/to/python3.14 ...\n",
        ),
        (
            {"python3": OTHER},
            {"PYTHON": "python3.9"},
            "This needs Python 3.11 to 3.15, and there is no python3.9.\nName another one: make PYTHON=python3 ...\n",
        ),
    ],
    ids=["no python3-venv", "a full disk", "too old", "not there"],
)
def test_a_python_that_will_not_do_is_said_and_nothing_half_made_is_left(folder, pythons, settings, said):
    assert said in make_demo(folder, pythons, **settings)
    assert not (folder / CLONE / ".venv").exists()


def test_where_python3_is_too_old_the_newest_that_is_there_is_taken(folder):
    pythons = {"python3": OLD, "python3.15": OLD, "python3.14": OTHER, "python3.12": FULL}
    assert f"{folder}/bin/python3.14 makes .venv" in make_demo(folder, pythons)


@pytest.mark.parametrize(
    ("there", "named"), [(THIS, {"PYTHON": "python3.12"}), (OLD, {})], ids=["another is named", "it is gone"]
)
def test_a_venv_whose_python_will_not_do_is_made_anew(folder, there, named):
    (folder / CLONE / ".venv" / "bin").mkdir(parents=True)
    python = folder / CLONE / ".venv" / "bin" / "python"
    python.write_text(there)
    python.chmod(0o755)
    assert "python3.12 makes .venv" in make_demo(folder, {"python3.12": OTHER}, **named)


def test_a_link_in_its_place_is_not_emptied(folder):
    kept = folder / "kept"
    (kept / "bin").mkdir(parents=True)
    (kept / "file").touch()
    (folder / CLONE / ".venv").symlink_to(kept)
    assert "python3.12 makes .venv" in make_demo(folder, {"python3.12": OTHER})
    assert (kept / "file").exists()


def test_without_a_package_index_it_says_in_one_line_that_it_needs_one(folder):
    settings = {"PIP_INDEX_URL": f"http://127.0.0.1:{free_port()}", "PIP_RETRIES": 1, "PIP_CONFIG_FILE": "/dev/null"}
    with make(folder, "demo", PYTHON=sys.executable, **settings, PIP_FIND_LINKS=None, PIP_NO_INDEX=None) as process:
        assert process.wait(100) != 0
        said = [line for line in process.err.splitlines() if not line.startswith("make")]
    assert said == ["Filling .venv needs a package index, PyPI or the one that pip is told, and none answers."]


@pytest.mark.setup
def test_make_demo_sets_up_a_fresh_clone_once_even_when_two_start_at_once(folder):
    """The one test that installs everything: it takes about half a minute."""
    (folder / "tmp").mkdir()

    def start():
        ports = {name: free_port() for name in PORTS}
        return make(folder, "demo", PYTHON=sys.executable, TMPDIR=folder / "tmp", **ports)

    def venv():
        return {path: path.lstat().st_mtime_ns for path in (folder / CLONE / ".venv").rglob("*")}

    with start() as one, start() as other:
        one.wait_for(HEALTHY, seconds=100)
        other.wait_for(HEALTHY)
        one.stop()
        other.stop()
        installed = venv()
    with start() as again:
        again.wait_for(HEALTHY)
        again.stop()
    assert venv() == installed
    wait_until(lambda: not processes_in(folder), "everything has ended")
