"""docs/your-own.md shows programs that work: they stand in tests/docs/your_own/, and are run."""

import contextlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import redis
import requests

from tests.docs.test_readme import shape
from tests.support import ROOT, Process, clean_environment, free_port, wait_until

PAGE = (ROOT / "docs" / "your-own.md").read_text()
SOLUTION = Path(__file__).parent / "your_own"
PROGRAMS = ("prices.py", "shop.py", "worker.py", "test_shop.py")


@pytest.fixture
def folder(tmp_path):
    """A folder as the reader has it in the end: the repository's files, and beside them those of the page."""
    for name in ("common.py", "server.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "beyond", tmp_path / "beyond", ignore=shutil.ignore_patterns("__pycache__"))
    for name in PROGRAMS:
        shutil.copy(SOLUTION / name, tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_blocks_of_the_page_are_the_program(name):
    blocks = re.findall(rf"^`{name}`:\n\n```python\n(.*?)\n```$", PAGE, re.M | re.S)
    assert "\n\n\n".join(blocks) + "\n" == (SOLUTION / name).read_text()


def test_every_block_of_python_on_the_page_belongs_to_a_program():
    assert PAGE.count("```python") == len(re.findall(r"^`[\w.]+`:\n\n```python$", PAGE, re.M))


def run_tests(folder, redis_server):
    """Run the reader's tests; return the exit status and what pytest says."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "test_shop.py"]
    environment = clean_environment(REDIS_URL=f"{redis_server.url.removesuffix('/0')}/15")
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    return run.returncode, run.stdout


def test_the_readers_tests_pass(folder, redis_server):
    status, said = run_tests(folder, redis_server)
    assert status == 0, said
    assert f"{(folder / 'test_shop.py').read_text().count('def test_')} passed" in said


def test_without_the_header_the_readers_first_test_fails(folder, redis_server):
    shop = folder / "shop.py"
    text = shop.read_text()
    assert "headers=carrier, " in text
    shop.write_text(text.replace("headers=carrier, ", ""))
    status, said = run_tests(folder, redis_server)
    assert status == 1
    assert "FAILED test_shop.py::test_an_order_is_one_trace_over_both_services" in said


@pytest.fixture
def shop(folder, start, redis_server, sink):
    """Start the three programs of the page; `shop(endpoint)` returns the shop's address and the worker."""

    def shop(endpoint=sink.endpoint):
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": 100}
        settings["REDIS_URL"] = f"{redis_server.url.removesuffix('/0')}/14"
        price_port, port = free_port(), free_port()
        names = {name: {"OTEL_SERVICE_NAME": name, **settings} for name in ("prices", "shop", "worker")}
        prices = start("prices.py", cwd=folder, SERVER_PORT=price_port, **names["prices"])
        prices.wait_for_port(price_port)
        url = f"http://127.0.0.1:{price_port}"
        start("shop.py", cwd=folder, SERVER_PORT=port, PRICES_URL=url, **names["shop"]).wait_for_port(port)
        return f"http://127.0.0.1:{port}", start("worker.py", cwd=folder, **names["worker"])

    return shop


def test_an_order_is_a_trace_over_two_services_and_one_of_the_worker_with_a_link(shop, sink):
    url, worker = shop()
    assert requests.get(f"{url}/order/apple", timeout=10).json() == {"item": "apple", "cents": 30}
    worker.wait_for("Packing one apple")
    spans = sink.wait_for_trace(["/order/<item>", "get price", "/price/<item>", "send orders", "process orders"])
    assert {name: span.service for name, span in spans.items()} == {
        "/order/<item>": "shop",
        "get price": "shop",
        "/price/<item>": "prices",
        "send orders": "shop",
        "process orders": "worker",
    }
    work = spans.pop("process orders")
    [trace_id] = {span.trace_id for span in spans.values()}
    assert work.links == [(trace_id, spans["send orders"].span_id)]
    assert (work.parent_id, work.trace_id == trace_id) == ("", False)
    assert worker.stop() == 0


def test_a_message_without_headers_is_worked_on_without_a_link(shop, sink, redis_server):
    _, worker = shop()
    with redis.Redis(port=redis_server.port, db=14) as queue:
        queue.rpush("orders", '{"headers": {}, "body": {"item": "plum"}}')
    worker.wait_for("Packing one plum")
    assert sink.wait_for_trace(["process orders"])["process orders"].links == []


def test_the_pictures_are_what_the_viewer_shows(shop):
    otlp = free_port()
    ports = {"VIEWER_OTLP_PORT": otlp, "VIEWER_HTTP_PORT": 0, "VIEWER_WEB_PORT": 0}
    pictures = re.findall(r"^```\n(trace .*?)^```$", PAGE, re.M | re.S)
    assert len(pictures) == 3
    with Process.python("-m", "viewer", env=clean_environment(**ports)) as viewer:
        viewer.wait_for_port(otlp)
        url, _ = shop(f"http://127.0.0.1:{otlp}")

        def shown():
            return all(shape(picture) in shape(viewer.out) for picture in pictures)

        def ordered():  # once more when a trace was drawn in parts, as on a busy machine
            assert requests.get(f"{url}/order/apple", timeout=10).status_code == 200
            assert requests.get(f"{url}/order/unicorn", timeout=10).status_code == 404
            with contextlib.suppress(AssertionError):
                return wait_until(shown, "the pictures", seconds=10)

        wait_until(ordered, "the three pictures of the page", seconds=60)


def test_the_commands_of_the_page_start_these_programs():
    commands = re.findall(r"^OTEL_SERVICE_NAME=\w+ (?:SERVER_PORT=8082 )?python (\S+)$", PAGE, re.M)
    assert sorted(commands) == sorted(set(PROGRAMS) - {"test_shop.py"})


def test_the_limit_of_the_page_cuts_a_long_attribute(client, sink):
    [(name, limit)] = re.findall(r"`(OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT)=(\d+)` cuts it", PAGE)
    url = f"http://127.0.0.1:{free_port()}/{'x' * 10_000}"
    client("--count", 1, DESTINATION_URL=url, **{name: limit}).wait()
    assert len(sink.wait_for(1)[0].attributes["url.full"]) == int(limit)
