"""The Makefile, from a fresh clone."""

import re
import shutil
import subprocess
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

# Another Python than that of a .venv that is there; it says that it makes one, and makes none.
OTHER = f"""#!/bin/sh
case "$*" in
  *base_prefix*) echo /elsewhere 3 12;;
  "-m venv"*) echo "$0 makes .venv"; exit 1;;
  *) exec '{sys.executable}' "$@";;
esac
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


def path_with(folder, **pythons):
    """Return a PATH on which these scripts are all the Pythons, by their names: `python3`, `python3_14`."""
    path = folder / "bin"
    path.mkdir()
    for tool in ("sh", "make", "dirname", "find", "flock", "head", "rm", "touch"):
        if found := shutil.which(tool):
            (path / tool).symlink_to(found)
    for name, text in pythons.items():
        script = path / name.replace("_", ".")
        script.write_text(text)
        script.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("target", ["", "help"])
def test_help_lists_each_target(folder, target):
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    with make(folder, *target.split()) as process:
        assert process.wait() == 0
        assert {"demo", "test", "lint"} <= set(targets)
        assert re.findall(r"^make (\w+) +\w", process.out, re.MULTILINE) == targets
        assert max(map(len, process.out.splitlines())) <= 80


def test_a_missing_python3_venv_is_named_and_nothing_half_made_is_left(folder):
    with make(folder, "demo", PATH=path_with(folder, python3=DEBIAN)) as process:
        assert process.wait() != 0
        assert "apt install python3-venv" in process.err
    assert not (folder / CLONE / ".venv").exists()


def test_a_venv_that_cannot_be_made_is_not_left_half_made(folder):
    with make(folder, "demo", PATH=path_with(folder, python3=FAILING)) as process:
        assert process.wait() != 0
    assert not (folder / CLONE / ".venv").exists()


def test_where_python3_is_too_old_the_newest_that_is_there_is_taken(folder):
    path = path_with(folder, python3=OLD, python3_15=OLD, python3_14=OTHER, python3_12=FAILING)
    with make(folder, "demo", PATH=path) as process:
        assert process.wait() != 0
        assert f"{path}/python3.14 makes .venv" in process.out


def test_where_no_python_will_do_it_says_how_to_name_one(folder):
    with make(folder, "demo", PATH=path_with(folder, python3=OLD, python3_14=OLD)) as process:
        assert process.wait() != 0
        assert "This needs Python 3.11 to 3.15, and python3 is: Python 3.10.12.\n" in process.err
        assert "Name another one: make PYTHON=/path/to/python3.14 ...\n" in process.err
    assert not (folder / CLONE / ".venv").exists()


@pytest.mark.parametrize(
    ("named", "problem"),
    [("python3", "and python3 is: Python 3.10.12."), ("python3.9", "and there is no python3.9.")],
)
def test_a_python_that_will_not_do_is_refused_and_another_is_named(folder, named, problem):
    path = path_with(folder, python3=OLD, python3_13=OTHER)
    with make(folder, "demo", PATH=path, PYTHON=named) as process:
        assert process.wait() != 0
        assert (
            f"This needs Python 3.11 to 3.15, {problem}\nName another one: make PYTHON=python3.13 ...\n" in process.err
        )
    assert not (folder / CLONE / ".venv").exists()


@pytest.fixture
def venv(folder):
    """A .venv that counts as set up."""
    venv = folder / CLONE / ".venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    (venv / "demo").touch()
    return venv


def set_up(folder, path, **settings):
    """Start what make starts first."""
    environment = clean_environment(**({"PATH": path, "PYTHON": None} | settings))
    return Process("sh", "tools/venv.sh", "demo", env=environment, cwd=folder / CLONE)


def test_a_venv_of_another_python_than_the_one_named_is_made_anew(folder, venv):
    path = path_with(folder, python3_12=OTHER)
    with set_up(folder, path, PYTHON="python3.12") as process:
        assert process.wait() != 0
        assert "python3.12 makes .venv" in process.out


@pytest.mark.parametrize("named", [None, sys.executable])
def test_a_venv_that_is_there_stays(folder, venv, named):
    with set_up(folder, path_with(folder, python3=OTHER), PYTHON=named) as process:
        assert process.wait() == 0, process.output
        assert process.output == ""


def test_a_venv_whose_python_is_gone_is_made_anew(folder, venv):
    (venv / "bin" / "python").unlink()
    (venv / "bin" / "python").symlink_to("/nowhere/python3")
    with set_up(folder, path_with(folder, python3=OTHER)) as process:
        assert process.wait() != 0
        assert "python3 makes .venv" in process.out


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
