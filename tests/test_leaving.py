"""Nothing is lost at exit, and nobody waits for it."""

import re
import signal
import socket
import time

import pytest
import requests

from tests.support import free_port, wait_until

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
LATER = {"OTEL_BSP_SCHEDULE_DELAY": 60_000}  # only the last export can send what the test awaits


@SIGNALS
def test_the_server_delivers_every_ended_span(server, sink, number):
    process = server(**LATER)
    for _ in range(3):
        requests.get(f"{process.url}/ping", timeout=10)
    assert process.stop(number) == 0
    assert len(sink.spans) == 15
    assert "Traceback" not in process.output


@SIGNALS
def test_the_client_delivers_every_ended_span(server, client, sink, number):
    process = server(OTEL_SDK_DISABLED="true")
    pinger = client("--interval", 0.01, DESTINATION_URL=f"{process.url}/ping", **LATER)
    wait_until(lambda: pinger.out.count("Request to") >= 3, "three pings")
    assert pinger.stop(number) == 0
    told = re.findall(r"  trace (\w{32})", pinger.err)
    assert set(told) <= {span.trace_id for span in sink.spans}


def test_a_client_that_is_done_delivers_its_spans(client, sink):
    pinger = client("--count", 2, "--interval", 0.01, DESTINATION_URL=f"http://localhost:{free_port()}/", **LATER)
    pinger.wait()
    assert len(sink.spans) == 2


@pytest.fixture(params=["none listens", "one never answers"])
def dead_backend(request):
    """The URL of a backend that takes no span."""
    if request.param == "none listens":
        yield f"http://localhost:{free_port()}"
    else:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            yield f"http://127.0.0.1:{silent.getsockname()[1]}"


@SIGNALS
def test_without_a_backend_the_server_is_gone_in_time(server, dead_backend, number):
    process = server(OTEL_EXPORTER_OTLP_ENDPOINT=dead_backend, **LATER)
    requests.get(f"{process.url}/ping", timeout=10)
    start = time.monotonic()
    assert process.stop(number) == 0
    assert time.monotonic() - start < 6  # promised: 3
    assert "Traceback" not in process.output


@SIGNALS
def test_without_a_backend_the_client_is_gone_in_time(client, dead_backend, number):
    # A signal that meets Python on its way into sleep() is heeded only at the end of that: hence the short interval.
    url = f"http://localhost:{free_port()}/"
    pinger = client("--interval", 1, DESTINATION_URL=url, OTEL_EXPORTER_OTLP_ENDPOINT=dead_backend, **LATER)
    pinger.wait_for("failed")
    start = time.monotonic()
    pinger.stop(number)
    assert time.monotonic() - start < 6  # promised: 3
    assert "Traceback" not in pinger.output


def test_with_nothing_to_send_it_is_gone_at_once(server, dead_backend):
    process = server(OTEL_EXPORTER_OTLP_ENDPOINT=dead_backend)
    start = time.monotonic()
    process.stop()
    assert time.monotonic() - start < 2


@SIGNALS
def test_a_second_signal_ends_it_at_once(server, number):
    process = server(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://localhost:{free_port()}", **LATER)
    requests.get(f"{process.url}/ping", timeout=10)
    process.send(number)
    process.wait_for("Transient error")  # the last export has begun
    start = time.monotonic()
    process.stop(number)
    assert time.monotonic() - start < 1.5
    assert "Traceback" not in process.output


def test_spans_that_could_not_be_sent_are_mentioned(server):
    process = server(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://localhost:{free_port()}", **LATER)
    requests.get(f"{process.url}/ping", timeout=10)
    process.stop()
    assert "UNAVAILABLE" in process.err
