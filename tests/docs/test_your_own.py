"""docs/your-own.md shows programs that work: they stand in tests/docs/your_own/, and are run."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.docs.pages import shape
from tests.support import ROOT, answers, clean_environment, free_port, wait_until

PAGE = (ROOT / "docs" / "your-own.md").read_text()
SOLUTION = Path(__file__).parent / "your_own"
PROGRAMS = ["prices.py", "shop.py", "worker.py"]
FILES = [*PROGRAMS, "conftest.py", "test_shop.py"]


def copy_to(folder):
    """Make `folder` as the reader has it in the end: the repository's files, and beside them those of the page."""
    shutil.copytree(ROOT / "beyond", folder / "beyond", ignore=shutil.ignore_patterns("__pycache__"))
    for path in [*(ROOT / name for name in ("common.py", "server.py", "pyproject.toml")), *SOLUTION.glob("*.py")]:
        shutil.copy(path, folder)
    return folder


@pytest.mark.parametrize("name", FILES)
def test_the_blocks_of_the_page_are_the_program(name):
    blocks = re.findall(rf"^`{name}`:\n\n```python\n(.*?)\n```$", PAGE, re.M | re.S)
    assert "\n\n\n".join(blocks) + "\n" == (SOLUTION / name).read_text()


def test_every_block_of_python_on_the_page_belongs_to_a_program():
    assert PAGE.count("```python") == len(re.findall(r"^`[\w.]+`:\n\n```python$", PAGE, re.M))


def test_the_commands_of_the_page_start_these_programs():
    assert re.findall(r"^OTEL_SERVICE_NAME=\w+ python (\S+)$", PAGE, re.M) == PROGRAMS


def run_tests(folder, redis_server, *files):
    """Run the reader's tests; return what pytest says."""
    command = [sys.executable, "-m", "pytest", "-p", "pytest_timeout", "-p", "no:cacheprovider", *files]
    settings = {"REDIS_URL": redis_server.url.replace("/0", "/15"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": 1}
    env = clean_environment(**settings)
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=100).stdout


def test_the_readers_tests_pass_and_those_of_a_second_file_too(tmp_path, redis_server):
    copy_to(tmp_path)
    shutil.copy(tmp_path / "test_shop.py", tmp_path / "test_more.py")
    said = run_tests(tmp_path, redis_server, "test_shop.py", "test_more.py")
    assert re.search(r"= \d+ passed in [\d.]+s =", said), said


def test_without_the_header_the_readers_first_test_fails(tmp_path, redis_server):
    shop = copy_to(tmp_path) / "shop.py"
    text = shop.read_text()
    assert "headers=carrier, " in text
    shop.write_text(text.replace("headers=carrier, ", ""))
    said = run_tests(tmp_path, redis_server, "test_shop.py")
    assert re.findall(r"^FAILED test_shop\.py::(\w+)", said, re.M) == re.findall(r"^def (test_\w+)", PAGE, re.M)[:1]


def test_the_pictures_are_what_the_viewer_shows(start, redis_server, tmp_path):
    pictures = re.findall(r"^```\n(trace .*?)^```$", PAGE, re.M | re.S)
    assert len(pictures) == 3
    copy_to(tmp_path)
    otlp, ports = free_port(), {name: free_port() for name in PROGRAMS}
    viewer = start("-m", "viewer", VIEWER_OTLP_PORT=otlp, VIEWER_WEB_PORT=0, COLUMNS=72).wait_for_port(otlp)
    shared = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{otlp}",
        "OTEL_BSP_SCHEDULE_DELAY": 100,
        "REDIS_URL": redis_server.url.replace("/0", "/14"),
        "PRICES_URL": f"http://127.0.0.1:{ports['prices.py']}",
    }
    for name, port in ports.items():
        start(name, cwd=tmp_path, OTEL_SERVICE_NAME=name.removesuffix(".py"), SERVER_PORT=port, **shared)
    for name in ("prices.py", "shop.py"):
        wait_until(lambda name=name: answers(ports[name]), f"{name} listens")

    for item, answer in {"apple": '{"cents":30,"item":"apple"}\n', "unicorn": "Nobody sells that.\n"}.items():
        assert f"$ curl http://localhost:8081/order/{item}\n{answer}" in PAGE
        assert requests.get(f"http://127.0.0.1:{ports['shop.py']}/order/{item}", timeout=30).text == answer
    wait_until(lambda: all(shape(picture) in shape(viewer.out) for picture in pictures), "the three pictures")


def test_the_limit_of_the_page_cuts_long_attributes_those_of_exceptions_too(client, sink):
    [(name, limit)] = re.findall(r"`(OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT)=(\d+)` cuts attributes", PAGE)
    url = f"http://127.0.0.1:{free_port()}/{'x' * 10_000}"
    client("--count", 1, DESTINATION_URL=url, **{name: limit}).wait()
    [span] = sink.wait_for(1)
    [(_, exception)] = span.events
    assert len(span.attributes["url.full"]) == len(exception["exception.message"]) == int(limit)
