"""The Makefile, from a fresh clone."""

import os
import re
import sys

import pytest

from demo.__main__ import PORTS
from tests.clone import clone, processes_in
from tests.support import ROOT, Process, clean_environment, free_port, wait_until

CLONE = "a clone"
HEALTHY = r"6 spans, 2 services, [\d.]+ \w?s\n"

# Python on a Debian without python3-venv: `import ensurepip` fails; `-m venv` makes half of one.
DEBIAN = f"""#!/bin/sh
case "$*" in
  *ensurepip*) echo "ModuleNotFoundError: No module named 'ensurepip'" >&2; exit 1;;
  "-m venv"*) mkdir -p .venv/bin; echo "The virtual environment was not created successfully"; exit 1;;
  *) exec '{sys.executable}' "$@";;
esac
"""

# `import ensurepip` succeeds, and then `-m venv` fails: a full disk, say.
FAILING = DEBIAN.replace("*ensurepip*", "never")

OLD = """#!/bin/sh
case "$*" in --version) echo "Python 3.10.12";; *) exit 1;; esac
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with a fresh clone in it, whose name has a space."""
    with clone(tmp_path, CLONE):
        yield tmp_path


def make(folder, *targets, **settings):
    """Start make in the clone."""
    ours = {"MAKEFLAGS": None, "MAKELEVEL": None, "MFLAGS": None}  # when the tests were started by make
    return Process("make", *targets, env=clean_environment(**(ours | settings)), cwd=folder / CLONE)


def path_with(python, folder):
    """Return a PATH on which python3 is this script."""
    script = folder / "bin" / "python3"
    script.parent.mkdir()
    script.write_text(python)
    script.chmod(0o755)
    return f"{script.parent}:{os.environ['PATH']}"


@pytest.mark.parametrize("target", ["", "help"])
def test_help_lists_each_target(folder, target):
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    with make(folder, *target.split()) as process:
        assert process.wait() == 0
        assert {"demo", "test", "lint"} <= set(targets)
        assert re.findall(r"^make (\w+) +\w", process.out, re.MULTILINE) == targets


def test_a_missing_python3_venv_is_named_and_nothing_half_made_is_left(folder):
    with make(folder, "demo", PATH=path_with(DEBIAN, folder)) as process:
        assert process.wait() != 0
        assert "apt install python3-venv" in process.err
    assert not (folder / CLONE / ".venv").exists()


def test_a_venv_that_cannot_be_made_is_not_left_half_made(folder):
    with make(folder, "demo", PATH=path_with(FAILING, folder)) as process:
        assert process.wait() != 0
    assert not (folder / CLONE / ".venv").exists()


def test_an_unsupported_python_is_refused(folder):
    with make(folder, "demo", PATH=path_with(OLD, folder)) as process:
        assert process.wait() != 0
        assert "needs Python 3.11, 3.12 or 3.13, and python3 is: Python 3.10.12" in process.err
    assert not (folder / CLONE / ".venv").exists()


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
