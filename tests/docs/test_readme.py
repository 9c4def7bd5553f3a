"""What the README and the docs show is true."""

import argparse
import re
import shlex
from urllib.parse import urlsplit

import pytest

from tests.support import ROOT, MongoDB, Process, Redis, clean_environment, free_port
from viewer.store import Store
from viewer.web import create_app

README = (ROOT / "README.md").read_text()
VIEWER = (ROOT / "docs" / "viewer.md").read_text()
SETTINGS = (ROOT / "docs" / "settings.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page):
    """Return the blocks of commands, and of what they show, of a page (str)."""
    return re.findall(r"^```\n(.*?)^```$", page, re.M | re.S)


def block(text, page=README):
    """Return the one block of a page that has `text` in it."""
    [found] = [block for block in blocks(page) if text in block]
    return found


def exports(terminal):
    """Return what the commands under `# terminal N` export."""
    pairs = re.findall(r"^export (\w+)=(.*)$", block(f"# {terminal}\n"), re.M)
    return {name: shlex.split(value)[0] for name, value in pairs}


def shape(picture):
    """Return a picture without what differs from run to run: ids, times, ports, and how wide it was drawn."""
    picture = re.sub(r"[━╸╺]+|\d[\d.]* (ns|µs|ms|s)\b|trace [0-9a-f]{32}|127\.0\.0\.1:\d+", " ", picture)
    return " ".join(re.sub(r"[│├└]", " ", picture).split())


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Run the programs as the README says: what the viewer and the client show of it."""
    folder, port, otlp = tmp_path_factory.mktemp("databases"), free_port(), free_port()
    shared = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{otlp}", "OTEL_BSP_SCHEDULE_DELAY": 100}

    def program(*command, **settings):
        return Process.python(*command, env=clean_environment(**shared, **settings))

    with (
        program("-m", "viewer", VIEWER_OTLP_PORT=otlp, VIEWER_WEB_PORT=0) as viewer,
        Redis(free_port(), folder) as redis,
        MongoDB(free_port(), folder) as mongodb,
    ):
        viewer.wait_for_port(otlp)
        databases = {"REDIS_URL": redis.url, "MONGODB_URI": mongodb.uri}
        databases = {name: url.replace("localhost", "127.0.0.1") for name, url in databases.items()}
        url = f"http://127.0.0.1:{port}/ping"
        with (
            program("server.py", SERVER_PORT=port, **databases, **exports("terminal 1")) as server,
            program("client.py", "test", DESTINATION_URL=url, **exports("terminal 2")) as client,
        ):
            server.wait_for_port(port)
            # Drawn as a whole: on a busy machine a trace may come in parts, and then a line says that it was updated.
            viewer.wait_for(r"(?s)6 spans, 2 services[^\n]*\n[^\n]*\n  client operation.*?\n\n", seconds=60)
            yield viewer.out, client.err, client.out


def test_the_picture_is_what_the_viewer_shows(shown):
    viewer, _, _ = shown
    assert shape(block("└ pymongo_integration")) in shape(viewer)


def test_the_clients_lines_are_what_it_prints(shown):
    _, err, out = shown
    varying = r"localhost:\d+|127\.0\.0\.1:\d+|\d+ bytes|[0-9a-f]{32}"
    start, request, trace, *_ = [re.sub(varying, "", line) for line in block("Request to http").splitlines()]
    assert start == re.sub(varying, "", err.splitlines()[0])
    assert trace in re.sub(varying, "", err).splitlines()
    assert request in re.sub(varying, "", out).splitlines()


def test_the_help_is_what_the_client_prints(start):
    client = start("client.py", "--help", COLUMNS="100")
    assert client.wait() == 0
    assert client.err == ""
    assert block("usage: client.py", SETTINGS) == f"$ python client.py --help\n{client.out}"


def test_the_form_of_a_search_is_answered():
    parser = argparse.ArgumentParser()
    parser.add_argument("-G", dest="url")
    parser.add_argument("-d", "--data-urlencode", action="append", dest="parameters")
    options = parser.parse_args(shlex.split(block("query.startTimeMin=", VIEWER).replace("\\\n", ""))[1:])
    query = dict(each.split("=", 1) for each in options.parameters)
    assert {"query.startTimeMin", "query.startTimeMax"} < query.keys()  # which Jaeger wants
    answer = create_app(Store()).test_client().get(urlsplit(options.url).path, query_string=query)
    assert answer.json["summaries"] == []


def test_every_make_target_it_names_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in PAGES:
        assert set(re.findall(r"`?make ([a-z]+)`", page.read_text())) <= targets


def test_every_requirements_file_it_names_exists():
    names = re.findall(r"\S+\.txt", " ".join(re.findall("^pip install (.*)$", README, re.M)))
    assert names
    for name in names:
        assert (ROOT / name).is_file()


def test_a_block_of_commands_alone_can_be_pasted_whole():
    with_prompt = [b for page in PAGES for b in blocks(page.read_text()) if re.search(r"^\$ ", b, re.M)]
    assert with_prompt
    for block in with_prompt:
        assert [line for line in block.splitlines() if not line.startswith(("$ ", "#"))], block


def test_the_viewer_is_started_first_and_a_token_comes_last():
    steps = ["$ python -m viewer", "python server.py", "python client.py test", "export LS_ACCESS_TOKEN"]
    places = [README.index(f"\n{step}") for step in steps]
    assert places == sorted(places)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        if path.startswith("https://"):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        headings = re.findall(r"^#+ (.*)$", target.read_text(), re.M) if anchor else []
        assert not anchor or anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}, link


def test_every_setting_in_the_table_is_read_somewhere():
    code = "".join(p.read_text() for folder in (".", "beyond", "viewer", "demo") for p in (ROOT / folder).glob("*.py"))
    variables = set(re.findall(r"`([A-Z][A-Z_]+[A-Z])`", SETTINGS))
    assert variables
    for variable in variables:
        if not variable.startswith("OTEL_") or variable.endswith("_ENDPOINT"):  # the SDK reads the others
            assert variable in code, variable


def test_every_setting_that_is_read_is_in_the_table():
    code = "".join(p.read_text() for folder in (".", "beyond", "viewer", "demo") for p in (ROOT / folder).glob("*.py"))
    ours = set(re.findall(r"\"((?:LS|REDIS|MONGODB|SERVER|VIEWER|DESTINATION)_[A-Z_]+)\"", code))
    assert ours
    assert ours - {"SERVER_PROTOCOL"} <= set(re.findall(r"`([A-Z_]+)`", SETTINGS))  # that one is of WSGI


@pytest.mark.parametrize(
    ("terminal", "service", "command"),
    [("terminal 1", "server", "python server.py"), ("terminal 2", "client", "python client.py test")],
)
def test_the_commands_of_the_two_terminals_are_the_posts(terminal, service, command):
    assert exports(terminal)["OTEL_RESOURCE_ATTRIBUTES"].startswith(
        f"service.name=py-opentelemetry-manual-otlp-{service},"
    )
    assert block(f"# {terminal}\n").splitlines()[-1] == command
