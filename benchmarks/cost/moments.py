"""How long one waits: for the start, for the end, and for a trace to be on the page. All in seconds."""

import contextlib
import itertools
import os
import random
import shutil
import signal
import time
from collections.abc import Callable

import requests

from tests.support import Process, answers, clean_environment, free_port, wait_until

PORTS = "SERVER_PORT", "VIEWER_OTLP_PORT", "VIEWER_HTTP_PORT", "VIEWER_WEB_PORT", "REDIS_PORT", "MONGODB_PORT"


def answered(url: str) -> bool:
    """Return whether a GET of `url` is answered well."""
    with contextlib.suppress(requests.RequestException):
        return requests.get(url, timeout=5).ok
    return False


def seconds_until(condition: Callable[[], object], what: str) -> float:
    """Return how long it takes until `condition()` is true."""
    began = time.perf_counter()
    wait_until(condition, what, seconds=60)
    return time.perf_counter() - began


def start(command: list[str], path: str, settings: dict) -> float:
    """Start a program on free ports; return the seconds until it answers `path` on the port that `path` begins with."""
    ports = {name: free_port() for name in PORTS}
    url = f"http://127.0.0.1:{path.format(**ports)}"
    with Process.python(*command, env=clean_environment(**settings | ports)) as process:
        seconds = seconds_until(lambda: answered(url), f"{process} answers")
        process.stop()
        return seconds


def leave(program: str, backend: str, settings: dict) -> float:
    """Return the seconds from the signal that ends `program`, with a span that was not sent yet, to its end."""
    port = free_port()
    settings = settings | {"SERVER_PORT": port, "OTEL_EXPORTER_OTLP_ENDPOINT": backend}
    url = f"http://127.0.0.1:{port}/ping"
    with Process.python("server.py", env=clean_environment(**settings)) as server:
        server.wait_for_port(port)
        process = server
        if program == "client.py":
            arguments = "--interval", 1000
            process = Process.python(program, *arguments, env=clean_environment(**settings, DESTINATION_URL=url))
        with process:
            if program == "client.py":
                process.wait_for("  trace ")
            else:
                assert answered(url)
            process.send(signal.SIGTERM)
            return seconds_until(lambda: process.returncode is not None, f"{program} ends")


@contextlib.contextmanager
def page(url: str):
    """Open a page in a Chromium that nobody sees; yield None where there is none."""
    names = "chromium", "chromium-browser", "google-chrome", "chrome"
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        yield None
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-quic"])
        opened = browser.new_page()
        opened.goto(url)
        yield opened
        browser.close()


def until_on_page(delay: int, times: int, settings: dict) -> list[float]:
    """Return, for so many pings, the seconds from the answer to the trace in the page's list; none without a Chromium.

    `delay` is OTEL_BSP_SCHEDULE_DELAY, in milliseconds.
    """
    ports = {name: free_port() for name in PORTS}
    backend = f"http://127.0.0.1:{ports['VIEWER_OTLP_PORT']}"
    settings = settings | ports | {"OTEL_BSP_SCHEDULE_DELAY": delay, "OTEL_EXPORTER_OTLP_ENDPOINT": backend}
    with (
        Process.python("-m", "viewer", env=clean_environment(**settings)) as viewer,
        Process.python("server.py", env=clean_environment(**settings)) as server,
    ):
        viewer.wait_for_port(ports["VIEWER_WEB_PORT"])
        server.wait_for_port(ports["SERVER_PORT"])
        seconds = []
        with page(f"http://127.0.0.1:{ports['VIEWER_WEB_PORT']}") as opened:
            for _ in range(times if opened else 0):
                time.sleep(random.uniform(0, delay / 1000))  # anywhere between two exports
                trace_id = random.randbytes(16).hex()
                headers = {"traceparent": f"00-{trace_id}-{random.randbytes(8).hex()}-01"}
                assert requests.get(f"http://127.0.0.1:{ports['SERVER_PORT']}/ping", headers=headers, timeout=5).ok
                began = time.perf_counter()
                opened.locator(f"#traces a[href*='{trace_id}']").wait_for()
                seconds.append(time.perf_counter() - began)
        return seconds


def measure(backend: str, settings: dict, times: int) -> dict[str, list[float]]:
    """Return each wait, so many times; `settings` name the databases, `backend` is a URL that takes spans."""
    nobody = f"http://127.0.0.1:{free_port()}"
    assert not answers(int(nobody.rpartition(":")[2]))
    sending = settings | {"OTEL_EXPORTER_OTLP_ENDPOINT": backend}
    waits = {
        "start of server.py": lambda: start(["server.py"], "{SERVER_PORT}/ping", sending),
        "start of the viewer": lambda: start(["-m", "viewer"], "{VIEWER_WEB_PORT}/api/v3/services", {}),
        "start of the demo": lambda: start(["-m", "demo"], "{SERVER_PORT}/ping", {}),
    }
    for program, (where, url) in itertools.product(
        ("server.py", "client.py"), (("with a backend", backend), ("without one", nobody))
    ):
        waits[f"end of {program}, {where}"] = lambda program=program, url=url: leave(program, url, settings)
    measured = {name: [wait() for _ in range(times)] for name, wait in waits.items()}
    for delay in 5000, 500:
        measured[f"a trace on the page, OTEL_BSP_SCHEDULE_DELAY={delay}"] = until_on_page(delay, times, settings)
    return measured
