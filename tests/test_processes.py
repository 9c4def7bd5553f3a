"""Every span that has ended arrives, once, however the processes are started and stopped."""

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.proxy import Proxy
from tests.support import free_port, wait_until

LATER = {"OTEL_BSP_SCHEDULE_DELAY": 60_000}  # only the last export can send what the test awaits
SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
PRELOAD = pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
PING = {"/ping", "redis_integration", "server redis operation", "pymongo_integration", "server pymongo operation"}


def new_trace():
    """Return a `traceparent` of its own for one ping; the trace id is its second field."""
    return f"00-{random.getrandbits(128) or 1:032x}-{random.getrandbits(64) or 1:016x}-01"


def ping(process):
    """Ping in a new trace; return its id once the answer is here. Raises requests.RequestException."""
    traceparent = new_trace()
    assert requests.get(f"{process.url}/ping", headers={"traceparent": traceparent}, timeout=30).status_code == 200
    return traceparent.split("-")[1]


def whole_traces(sink):
    """Return the ids of the traces that have the five spans of a ping; none may have come twice."""
    spans = sink.spans
    assert max(Counter(span.span_id for span in spans).values(), default=1) == 1
    names = {}
    for span in spans:
        names.setdefault(span.trace_id, set()).add(span.name)
    return {trace_id for trace_id, found in names.items() if found == PING}


@pytest.fixture
def gunicorn(start, sink, redis_server, mongodb_server):
    """Start gunicorn with `options` and wait until it listens; `.workers()` are the ids of those that answered."""

    def gunicorn(*options, **settings):
        port = free_port()
        defaults = {
            "REDIS_URL": redis_server.url,
            "MONGODB_URI": mongodb_server.uri,
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint,
            "OTEL_SERVICE_NAME": "server",
        }
        command = ["-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--threads", 4, "--no-control-socket"]
        command += ["--access-logfile", "-", "--access-logformat", "answered by %(p)s", *options, "server:app"]
        process = start(*command, **(defaults | LATER | settings)).wait_for_port(port)
        process.workers = lambda: set(re.findall(r"answered by <(\d+)>", process.out))
        return process

    return gunicorn


def ping_until(process, condition, what):
    """Ping over 8 connections until `condition` is true; return the ids of the traces."""
    traces = []
    with ThreadPoolExecutor(8) as pool:

        def answered(_):
            while True:  # once more when a worker that ends drops a connection of which it has read nothing
                with contextlib.suppress(requests.ConnectionError):
                    return ping(process)

        def enough():
            traces.extend(pool.map(answered, range(8)))
            return condition()

        wait_until(enough, what, seconds=60)
    return traces


@PRELOAD
def test_the_spans_of_every_worker_of_gunicorn_arrive_once_and_a_reload_loses_none(gunicorn, sink, preload):
    process = gunicorn("--workers", 2, *preload)
    traces = ping_until(process, lambda: len(process.workers()) == 2, "both workers have answered")
    process.send(signal.SIGHUP)
    traces += ping_until(process, lambda: len(process.workers()) == 4, "both new workers have answered")
    assert process.stop() == 0
    assert whole_traces(sink) == set(traces)
    assert "Traceback" not in process.output


def test_each_forked_worker_is_an_instance_of_its_own(gunicorn, sink):
    process = gunicorn("--workers", 2, "--preload", OTEL_RESOURCE_ATTRIBUTES="service.instance.id=ours")
    ping_until(process, lambda: len(process.workers()) == 2, "both workers have answered")
    assert process.stop() == 0
    instances = {span.resource["service.instance.id"] for span in sink.spans}
    assert len(instances) == 2
    assert "ours" not in instances


def test_gunicorn_drains_a_ping_in_flight_and_its_trace_is_whole(gunicorn, sink, mongodb_server):
    with Proxy(mongodb_server.port, "hang") as hanging:
        process = gunicorn(MONGODB_URI=f"mongodb://127.0.0.1:{hanging.port}")
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(requests.get, f"{process.url}/ping", timeout=20)
            wait_until(lambda: hanging.sockets, "the ping waits for MongoDB")
            assert process.stop() == 0
            assert answer.result().status_code == 500
    assert {span.name for span in sink.spans} == PING


def test_the_server_delivers_what_had_ended_of_a_ping_in_flight(server, sink, mongodb_server):
    with Proxy(mongodb_server.port, "hang") as hanging:
        process = server(MONGODB_URI=f"mongodb://127.0.0.1:{hanging.port}", **LATER)
        with socket.create_connection(("127.0.0.1", process.port)) as connection:
            connection.sendall(b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
            wait_until(lambda: hanging.sockets, "the ping waits for MongoDB")
            assert process.stop() == 0
    assert {"redis_integration", "server redis operation"} <= {span.name for span in sink.spans}
    assert "Traceback" not in process.output


@SIGNALS
def test_the_client_delivers_the_span_of_a_ping_in_flight(client, sink, number):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        pinger = client(DESTINATION_URL=f"http://127.0.0.1:{silent.getsockname()[1]}/", **LATER)
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(1)
            assert pinger.stop(number) == 0
    assert [span.name for span in sink.spans] == ["client operation"]
    assert pinger.out == "1 ping, 0 failed\n"


UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
if os.getuid():
    UNSHARE += ["--user", "--map-root-user"]


@pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run([*UNSHARE, "true"], capture_output=True).returncode != 0,
    reason="no PID namespace can be made here",
)
def test_as_pid_1_the_server_stops_and_delivers_its_spans(start, sink, redis_server, mongodb_server):
    port = free_port()
    settings = {
        "SERVER_PORT": port,
        "REDIS_URL": redis_server.url,
        "MONGODB_URI": mongodb_server.uri,
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint,
    }
    code = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"
    script = "import os, runpy; assert os.getpid() == 1; runpy.run_path('server.py', run_name='__main__')"
    process = start("-c", code, *UNSHARE, sys.executable, "-c", script, **(settings | LATER))
    process.wait_for_port(port)
    trace_id = ping(process)
    [first] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(first), signal.SIGTERM)
    assert process.wait(10) == 0
    assert whole_traces(sink) == {trace_id}
    assert "Traceback" not in process.output
