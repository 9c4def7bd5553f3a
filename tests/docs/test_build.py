"""docs/build.md is true: each solution is applied, the programs started, and the lesson says what the page shows."""

import contextlib
import re
import shutil
import signal
import subprocess

import pytest

from lesson.steps import STEPS
from tests.experiments import Experiment
from tests.support import ROOT, Process, Redis, clean_environment, free_port

PAGE = (ROOT / "docs" / "build.md").read_text()
SECTIONS = re.split(r"^## ", PAGE, flags=re.M)[1:]  # "Before you begin", the steps, "All seven hold"
NUMBERS = range(1, len(STEPS) + 1)


def blocks(text, language=""):
    """Return what stands in the blocks of a part of the page, of one language."""
    return [block for found, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S) if found == language]


def shown(text):
    """Return what terminal 1 shows, by a part of the page."""
    return [block for block in blocks(text) if re.match(r"trace |\d of ", block)]


class Build(Experiment):
    """Somebody who builds, in a folder with `mine/` in it: terminal 1 shows what the lesson says."""

    def __init__(self, folder, redis, mongodb):
        otlp, port, self.web = free_port(), free_port(), free_port()
        self.folder, self.ids, self.programs = folder, {}, []
        self.settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{otlp}",
            "SERVER_PORT": port,
            "DESTINATION_URL": f"http://localhost:{port}/ping",
            "REDIS_URL": redis.url,
            "MONGODB_URI": mongodb.uri,
        }
        ports = {"VIEWER_OTLP_PORT": otlp, "VIEWER_WEB_PORT": self.web}
        self.viewer = Process.python("-m", "lesson", env=clean_environment(COLUMNS=80, **ports))
        self.viewer.wait_for_port(otlp)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in [*self.programs, self.viewer]:
            process.__exit__()

    def solve(self, number):
        """Change the programs as the page does in a step."""
        for change in blocks(SECTIONS[number], "diff"):
            subprocess.run(["git", "apply", "-"], input=change, cwd=self.folder, text=True, check=True)

    def start_again(self, number):
        """End the programs, and start them with all that has been exported up to a step."""
        for process in self.programs[-2:]:
            self.end(process)
        for terminal, program in ((4, "server"), (5, "client")):
            commands = [block for text in SECTIONS[: number + 1] for block in blocks(text)]
            typed = "".join(block for block in commands if block.startswith(f"# terminal {terminal}\n"))
            env = clean_environment(**self.settings, **dict(re.findall(r"^export (\w+)=(.*)$", typed, re.M)))
            self.programs.append(Process.python(f"mine/{program}.py", env=env, cwd=self.folder))
            if program == "server":
                self.programs[-1].wait_for_port(self.settings["SERVER_PORT"])

    def end(self, process):
        """Press Ctrl+C, and once more after a while: without beyond/leaving.py the last export may take its time."""
        process.send(signal.SIGINT)
        with contextlib.suppress(AssertionError):
            process.wait(15)
        if process.returncode is None:
            process.stop(signal.SIGINT)

    def see(self, text):
        """Wait until terminal 1 shows what a part of the page does."""
        for block in shown(text):
            self.find(block, self.terminal_1)

    def terminal_1(self):
        """Return what terminal 1 shows, without the notices of traces that came in parts."""
        return re.sub(r"(?m)^  updated: .*\n", "", self.viewer.output)


@pytest.fixture
def redis(tmp_path):
    """A Redis that may be stopped."""
    with Redis(free_port(), tmp_path) as redis:
        yield redis


@pytest.fixture
def build(tmp_path, redis, mongodb_server):
    """Begin as the page says."""
    shutil.copytree(ROOT / "untraced", tmp_path / "mine")
    with Build(tmp_path, redis, mongodb_server) as build:
        yield build


@pytest.mark.parametrize("number", NUMBERS)
def test_a_step_shows_what_the_page_says(number, build, redis):
    before, after = SECTIONS[number].split("<summary>A solution</summary>")
    for earlier in range(1, number):
        build.solve(earlier)
    build.start_again(number - 1)
    if "Stop Redis" in before:
        build.viewer.wait_for(f"{number - 1} of 7 steps hold")
        redis.stop(signal.SIGINT)
    build.see(before)
    build.solve(number)
    build.start_again(number)
    build.see(after)
    if number >= 6:  # the traces of a healthy ping, and of a failed one
        shown_last = build.ids[re.search(r"^trace (\w+)", after, re.M)[1]]
        assert build.get(f"/viewer/advice/{shown_last}") == {"advice": []}


@pytest.mark.parametrize("number", NUMBERS)
def test_a_step_has_its_title_and_all_its_parts_in_order(number):
    text = SECTIONS[number]
    assert text.startswith(f"{number}. {STEPS[number - 1].title}\n")
    order = ["**Find out:**", "A hint", "A solution", "**Then**", "**In the three files:**"]
    places = [text.find(part) for part in order]
    assert -1 not in places
    assert places == sorted(places)


def test_there_is_a_last_part_for_whoever_has_come_so_far():
    assert SECTIONS[-1].startswith("All seven hold\n")
    assert len(SECTIONS) == len(STEPS) + 2


def test_what_is_shown_fits_into_80_columns():
    assert not [line for block in shown(PAGE) for line in block.splitlines() if len(line) > 80]


def test_git_does_not_look_at_what_the_reader_builds():
    assert "mine/" in (ROOT / ".gitignore").read_text().splitlines()
