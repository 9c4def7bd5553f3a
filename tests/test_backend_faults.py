"""Whatever the backend does, the pings go on, the log says what it was, and nobody waits at the end."""

import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
import requests

from tests.proxy import Refusal
from tests.sink import Sink
from tests.support import free_port

SMALL = {"OTEL_BSP_MAX_QUEUE_SIZE": 64, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": 32}  # so that few pings fill the queue


def ping(process, times):
    """Ping that often; each one must be well, and none may wait for an export (which would take up to 10 s)."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: requests.get(f"{process.url}/ping", timeout=10), range(times)))
    assert {answer.status_code for answer in answers} == {200}
    assert max(answer.elapsed.total_seconds() for answer in answers) < 5


@pytest.fixture(params=["none listens", "one never answers"])
def dead_backend(request):
    """The URL of a backend that takes no span."""
    if request.param == "none listens":
        yield f"http://127.0.0.1:{free_port()}"
    else:
        with Refusal(None) as backend:
            yield backend.endpoint


def assert_gone_in_time(process, status=0):
    """It ends within 3 s of a signal (with time to spare for a busy machine)."""
    start = time.monotonic()
    assert process.stop() == status
    assert time.monotonic() - start < 6
    assert "already shutdown" not in process.err
    assert "Traceback" not in process.err


def test_without_a_backend_no_ping_waits_and_the_server_is_gone_in_time(server, dead_backend):
    process = server(OTEL_EXPORTER_OTLP_ENDPOINT=dead_backend, **SMALL)
    ping(process, 30)
    process.wait_for("Queue full, dropping Span.")
    assert len(process.err.splitlines()) < 30 + 20  # a line for each ping, and few more
    assert_gone_in_time(process)


def test_without_a_backend_the_client_is_gone_in_time(client, dead_backend):
    # A signal that meets Python on its way into sleep() is heeded only at the end of that: hence the short interval.
    url = f"http://localhost:{free_port()}/"
    pinger = client("--interval", 1, DESTINATION_URL=url, OTEL_EXPORTER_OTLP_ENDPOINT=dead_backend)
    pinger.wait_for("failed")
    assert_gone_in_time(pinger, status=1)


def test_spans_that_could_not_be_sent_at_the_end_are_mentioned(client):
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://localhost:{free_port()}", "OTEL_BSP_SCHEDULE_DELAY": 60_000}
    pinger = client("--count", 1, DESTINATION_URL=f"http://localhost:{free_port()}/", **settings)
    assert pinger.wait() == 1
    assert "Failed to export traces" in pinger.err


def test_a_short_outage_loses_nothing_and_sends_nothing_twice(server, sink):
    process = server(OTEL_EXPORTER_OTLP_TIMEOUT=60)  # an outage may take longer on a busy machine
    ping(process, 2)
    sink.wait_for(10)
    sink.stop()
    ping(process, 5)
    process.wait_for("Transient error StatusCode.UNAVAILABLE")
    back = Sink(sink.port)
    try:
        back.wait_for(25)
        assert process.stop() == 0
        spans = sink.spans + back.spans
    finally:
        back.stop()
    assert len(spans) == len({span.span_id for span in spans}) == 35
    assert "Failed to export" not in process.err


def test_a_refusal_costs_one_call_and_a_line_which_tells_the_cause(client):
    with Refusal(grpc.StatusCode.UNAUTHENTICATED, "the reason") as backend:
        url = f"http://localhost:{free_port()}/"
        pinger = client("--count", 1, DESTINATION_URL=url, OTEL_EXPORTER_OTLP_ENDPOINT=backend.endpoint)
        pinger.wait()
        assert len(backend.calls) == 1
    assert "error code: StatusCode.UNAUTHENTICATED, error details: the reason" in pinger.err
