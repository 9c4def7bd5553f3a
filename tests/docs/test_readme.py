"""What the README and all pages show is true: outputs, links, settings, commands."""

import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pymongo
import pytest
from pymongo import MongoClient

from tests.docs.pages import anchors, block, blocks, exports, shape
from tests.support import ROOT, MongoDB, Process, Redis, answers, clean_environment, free_port, wait_until

README = (ROOT / "README.md").read_text()
SETTINGS = (ROOT / "docs" / "settings.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = [path for folder in (".", "beyond", "viewer", "demo") for path in (ROOT / folder).glob("*.py")]


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Run the programs as the README says, for two pings: the viewer, and the client after its end."""
    folder, port, otlp = tmp_path_factory.mktemp("databases"), free_port(), free_port()
    shared = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://localhost:{otlp}", "OTEL_BSP_SCHEDULE_DELAY": 100}

    def program(*command, **settings):
        return Process.python(*command, env=clean_environment(**shared, **settings))

    with (
        program("-m", "viewer", VIEWER_OTLP_PORT=otlp, VIEWER_WEB_PORT=0) as viewer,
        Redis(free_port(), folder) as redis,
        MongoDB(free_port(), folder) as mongodb,
    ):
        viewer.wait_for_port(otlp)
        databases = {"REDIS_URL": redis.url, "MONGODB_URI": mongodb.uri}
        command = ("client.py", "test", "--count", 2, "--interval", 1)
        url = f"http://localhost:{port}/ping"
        with program("server.py", SERVER_PORT=port, **databases, **exports(block("# terminal 1", README))) as server:
            server.wait_for_port(port)
            with program(*command, DESTINATION_URL=url, **exports(block("# terminal 2", README))) as client:
                client.wait()
                # As a whole: on a busy machine a trace may come in parts, and then a line says that it was updated.
                viewer.wait_for(r"(?s)6 spans, 2 services[^\n]*\n[^\n]*\n  client operation.*?\n\n", seconds=60)
                yield viewer, client


def test_the_picture_is_what_the_viewer_shows(shown):
    assert shape(block("└ pymongo_integration", README)) in shape(shown[0].out)


def test_the_clients_lines_are_what_it_prints(shown):
    varying = r"localhost:\d+|\d+ bytes|(?<=-)[0-9a-f]+(?=-)|\^C"
    start, carrier, request, *again, total = re.sub(varying, "", block("Request to http", README)).splitlines()
    assert again == [carrier, request]
    assert re.sub(varying, "", shown[1].err).splitlines() == [start, carrier, carrier]
    assert re.sub(varying, "", shown[1].out).splitlines() == [request, request, total]


def test_the_help_is_what_the_client_prints(start):
    client = start("client.py", "--help", COLUMNS="100")
    assert client.wait() == 0
    assert block("usage: client.py", SETTINGS) == f"$ python client.py --help\n{client.out}"


def test_what_it_names_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in PAGES:
        assert set(re.findall(r"`?make ([a-z]+)`", page.read_text())) <= targets
    names = re.findall(r"\S+\.txt", " ".join(re.findall("^pip install (.*)$", README, re.M)))
    assert names == ["requirements-demo.txt", "constraints.txt"]
    for name in names:
        assert (ROOT / name).is_file()


def test_a_block_of_commands_alone_can_be_pasted_whole():
    with_prompt = [b for page in PAGES for b in blocks(page.read_text()) if re.search(r"^\$ ", b, re.M)]
    assert with_prompt
    for shown in with_prompt:
        assert [line for line in shown.splitlines() if not line.startswith(("$ ", "#"))], shown


def test_the_viewer_is_started_first_and_a_token_comes_last():
    steps = ["$ python -m viewer", "python server.py", "python client.py test", "export LS_ACCESS_TOKEN"]
    places = [README.index(f"\n{step}") for step in steps]
    assert places == sorted(places)


def test_each_terminal_has_a_number_and_the_viewers_is_started_first():
    assert re.findall(r"^# terminal (\d)$", README, re.M) == ["3", "1", "2", "4", "5"]


def in_terminal(number, folder, default, port):
    """Type what the README has for a terminal, in `folder`, with a port in place of the default one."""
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "activate").write_text(f"PATH={Path(sys.executable).parent}:$PATH")
    commands = block(f"# terminal {number}\n", README).replace(*default, 1).replace("PORT", str(port))
    environment = clean_environment(TMPDIR=folder)
    return Process("bash", "-c", commands, env=environment, cwd=folder).wait_for_port(port)


def test_the_small_mongodb_starts_twice_on_a_machine_and_ends_without_a_word(tmp_path):
    terminals = []
    with ExitStack() as stack:
        for name in "one clone", "another":
            port = free_port()
            terminals.append(stack.enter_context(in_terminal(5, tmp_path / name, ("27017 ", "27017 -p PORT "), port)))
            client = stack.enter_context(MongoClient(port=port))
            assert client["opentelemetry-tests"]["tests"].find_one() is None
        for terminal in terminals:
            os.killpg(terminal.pid, signal.SIGINT)  # Ctrl+C, with a client connected
            assert (terminal.wait(), terminal.output) == (0, "")
        with pymongo.timeout(1):  # as the clients are closed they look for their servers: not for the usual 30 s
            stack.close()


def test_a_small_redis_whose_window_was_closed_is_ended_by_its_port(tmp_path):
    port = free_port()
    with in_terminal(4, tmp_path, ("6379", "PORT"), port) as terminal:
        os.killpg(terminal.pid, signal.SIGHUP)
        terminal.wait()
        assert answers(port)
        command = re.search(r"^`(python -c .*)`\.\)$", README, re.M)[1].replace("6379", str(port))
        subprocess.run(command.replace("python", sys.executable, 1), shell=True, check=True)
        wait_until(lambda: not answers(port), "Redis is gone")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        if path.startswith("https://"):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_setting_that_is_read_is_in_the_table_and_the_other_way_round():
    code = "".join(path.read_text() for path in CODE)
    table = set(re.findall(r"`([A-Z][A-Z_]+[A-Z])`", SETTINGS))
    read = set(re.findall(r"\"((?:LS|REDIS|MONGODB|SERVER|VIEWER|DESTINATION)_[A-Z_]+)\"", code)) - {"SERVER_PROTOCOL"}
    read |= set(re.findall(r"\{env:([A-Z_]+)", (ROOT / "collector.yaml").read_text()))
    assert {variable for variable in table if not variable.startswith("OTEL_")} == read  # the SDK reads the others


@pytest.mark.parametrize(
    ("terminal", "service", "command"),
    [("terminal 1", "server", "python server.py"), ("terminal 2", "client", "python client.py test")],
)
def test_the_commands_of_the_two_terminals_are_the_posts(terminal, service, command):
    commands = block(f"# {terminal}\n", README)
    name = f"service.name=py-opentelemetry-manual-otlp-{service},"
    assert exports(commands)["OTEL_RESOURCE_ATTRIBUTES"].startswith(name)
    assert commands.splitlines()[-1] == command
