"""Whatever the backend does, the pings go on and the log stays readable."""

import re
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
import requests

from tests.proxy import Refusal
from tests.sink import Sink
from tests.support import free_port, wait_until

LATER = {"OTEL_BSP_SCHEDULE_DELAY": 60_000}  # a batch leaves when it is full, or at exit
SMALL = {"OTEL_BSP_MAX_QUEUE_SIZE": 64, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": 32}  # so that few pings fill the queue
RETRY_WINDOW = 8.4  # seconds at most from the first try of a batch to its last, with the exporter's defaults


def ping(process, times=1, at_once=8):
    """Ping that often; each one must be well, and none may wait for an export (which waits for seconds)."""
    with ThreadPoolExecutor(at_once) as pool:
        answers = list(pool.map(lambda _: requests.get(f"{process.url}/ping", timeout=10), range(times)))
    assert {answer.status_code for answer in answers} == {200}
    assert max(answer.elapsed.total_seconds() for answer in answers) < 3


def said(process):
    """What it wrote to stderr, without the lines that tell of its start and of each request."""
    usual = re.compile(r'Traces of |.*WARNING: This is a development server| \* Running on|.*Press CTRL|.*"GET /ping')
    return [line for line in process.err.splitlines() if not usual.match(line)]


@pytest.fixture(params=["none listens", "one never accepts a call", "one never answers a call"])
def dead_backend(request):
    """The URL of a backend that takes no span."""
    if request.param == "none listens":
        yield f"http://127.0.0.1:{free_port()}"
    elif request.param == "one never accepts a call":
        with socket.create_server(("127.0.0.1", 0)) as silent:
            yield f"http://127.0.0.1:{silent.getsockname()[1]}"
    else:
        with Refusal(None) as backend:
            yield backend.endpoint


def test_without_a_backend_no_ping_waits_and_the_log_does_not_grow_with_the_load(server, dead_backend):
    process = server(OTEL_EXPORTER_OTLP_ENDPOINT=dead_backend, OTEL_EXPORTER_OTLP_TIMEOUT=2, **SMALL)
    ping(process, 100)
    process.wait_for("Queue full, dropping Span")
    process.wait_for("Failed to export traces|Transient error")
    assert len(said(process)) < 20, process.err  # for 500 spans
    assert "Traceback" not in process.err


def test_without_a_backend_and_with_a_full_queue_it_is_gone_in_time(server, dead_backend):
    process = server(OTEL_EXPORTER_OTLP_ENDPOINT=dead_backend, **SMALL)
    ping(process, 30)
    process.wait_for("Queue full, dropping Span")
    start = time.monotonic()
    assert process.stop() == 0
    assert time.monotonic() - start < 6  # promised: 3
    assert "Traceback" not in process.err


def test_an_outage_shorter_than_the_retry_window_loses_nothing_and_sends_nothing_twice(server, sink):
    process = server()
    ping(process, 5)
    sink.wait_for(25)
    sink.stop()
    ping(process, 20)
    process.wait_for("Transient error StatusCode.UNAVAILABLE")
    back = Sink(sink.port)
    try:
        ping(process, 5)
        back.wait_for(125, seconds=2 * RETRY_WINDOW)
        assert process.stop() == 0
        spans = sink.spans + back.spans
    finally:
        back.stop()
    assert len(spans) == len({span.span_id for span in spans}) == 150
    assert "Failed to export" not in process.err


def test_what_a_longer_outage_loses_is_said_in_the_log_and_later_spans_arrive(server, sink):
    process = server(OTEL_EXPORTER_OTLP_TIMEOUT=0.5)
    sink.stop()
    ping(process, 5)
    process.wait_for(f"Failed to export traces to localhost:{sink.port}, error code: StatusCode.UNAVAILABLE")
    back = Sink(sink.port)
    try:

        def arrives():
            ping(process)
            return back.spans

        wait_until(arrives, "a span after the outage")
    finally:
        back.stop()


@pytest.mark.parametrize(
    ("status", "retry_after", "calls"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, None, 1),
        (grpc.StatusCode.INVALID_ARGUMENT, None, 1),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 0.05, 6),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 0, 6),
    ],
)
def test_a_refusal_costs_a_few_calls_and_lines_which_tell_the_cause(server, status, retry_after, calls):
    with Refusal(status, "the reason", retry_after) as backend:
        process = server(OTEL_EXPORTER_OTLP_ENDPOINT=backend.endpoint, OTEL_BSP_MAX_EXPORT_BATCH_SIZE=5, **LATER)
        ping(process)
        process.wait_for(f"Failed to export traces to .*{status}, error details: the reason")
        assert len(backend.calls) == calls
        ping(process, 10)
        lines = said(process)
    assert len(lines) <= 2 * 11  # at most two for each batch
    assert all("the reason" in line for line in lines), lines


def test_a_backend_with_too_much_to_do_is_asked_again_later_and_later(server):
    with Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "the reason") as backend:
        process = server(OTEL_EXPORTER_OTLP_ENDPOINT=backend.endpoint)
        ping(process, 10)
        process.wait_for(f"Transient error {grpc.StatusCode.RESOURCE_EXHAUSTED} .* Error details: the reason")
        first, second, third = wait_until(lambda: len(backend.calls) >= 3 and backend.calls[:3], "three calls")
        assert second - first > 0.7
        assert third - second > 1.4
        ping(process, 10)
        lines = said(process)
    assert len(lines) <= 4, lines


def test_a_backend_of_another_protocol_can_be_told_from_the_log(client, shared_server):
    pinger = client(DESTINATION_URL=f"http://localhost:{free_port()}/", OTEL_EXPORTER_OTLP_ENDPOINT=shared_server.url)
    pinger.wait_for("Error details: .*Failed parsing HTTP/2")


def test_a_host_name_that_nobody_knows_can_be_told_from_the_log(client):
    backend = "http://no-such-host.invalid:4317"
    pinger = client(DESTINATION_URL=f"http://localhost:{free_port()}/", OTEL_EXPORTER_OTLP_ENDPOINT=backend)
    pinger.wait_for("Error details: .*address lookup failed")


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """The credentials of a backend with a certificate for localhost that nobody has signed."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    return grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])


@pytest.mark.parametrize(
    ("scheme", "backend_has_tls", "message"),
    [
        ("https", False, "WRONG_VERSION_NUMBER"),
        ("http", True, "Socket closed"),
        ("https", True, "CERTIFICATE_VERIFY_FAILED"),
    ],
)
def test_a_mismatch_of_tls_is_in_the_log(client, tls, scheme, backend_has_tls, message):
    backend = Sink(credentials=tls if backend_has_tls else None)
    try:
        endpoint = f"{scheme}://127.0.0.1:{backend.port}"
        pinger = client(DESTINATION_URL=f"http://localhost:{free_port()}/", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
        assert pinger.wait_for(rf"go to {scheme}://127\.0\.0\.1")
        pinger.wait_for(f"Error details: .*{message}")
        pinger.stop()
    finally:
        backend.stop()
    assert "Traceback" not in pinger.err
