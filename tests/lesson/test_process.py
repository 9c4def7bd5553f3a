"""`python -m lesson` as a process, beside a program in another language."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clone import clone
from tests.support import Process, clean_environment, free_port

PING = Path(__file__).with_name("ping.mjs")


def ports():
    """Return the settings of a lesson on ports of its own."""
    return {f"VIEWER_{name}_PORT": free_port() for name in ("OTLP", "HTTP", "WEB")}


@pytest.mark.skipif(not shutil.which("node"), reason="there is no Node here: `node`")
def test_a_program_in_another_language_takes_the_seven_steps(start, redis_server, mongodb_server):
    settings = ports()
    lesson = start("-m", "lesson", COLUMNS=80, **settings)
    lesson.wait_for_port(settings["VIEWER_HTTP_PORT"])
    for steps in range(1, 8):
        redis = redis_server.port if steps < 7 else free_port()  # where nothing listens
        arguments = [steps, settings["VIEWER_HTTP_PORT"], redis, mongodb_server.port]
        subprocess.run(["node", PING, *map(str, arguments)], check=True, timeout=60)
        lesson.wait_for(f"\n{steps} of 7 steps hold\n")
    assert "lost" not in lesson.output
    assert "7 of 7 steps hold\nThis is the post's trace now." in lesson.output


def test_its_help_calls_it_by_its_name():
    run = subprocess.run([sys.executable, "-m", "lesson", "--help"], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("usage: python -m lesson ")


def test_make_lesson_starts_it(tmp_path):
    with clone(tmp_path) as folder:
        python = folder / ".venv" / "bin" / "python"  # counts as set up
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        (folder / ".venv" / "demo").touch()
        env = clean_environment(**ports(), PYTHON=None, MAKEFLAGS=None, MAKELEVEL=None, MFLAGS=None)
        with Process("make", "lesson", env=env, cwd=folder) as make:
            make.wait_for("0 of 7 steps hold\nNext: 1. A span arrives\n")
