"""The context crosses the process boundary in the headers, and nothing a caller sends breaks the server."""

import socket

import pytest
import requests

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE_ID}-{PARENT_ID}-01"


@pytest.fixture
def server_span(shared_server, shared_sink):
    """Send one request with these headers, and return the server span that it makes."""

    def server_span(**headers):
        before = len(shared_sink.spans)
        answer = requests.get(f"{shared_server.url}/redis/1", headers=headers, timeout=10)
        assert answer.status_code == 200
        redis, integration, route = shared_sink.wait_for(before + 3)[before:]
        assert (redis.parent_id, integration.parent_id) == (integration.span_id, route.span_id)
        return route

    return server_span


def test_a_traceparent_is_continued(server_span):
    span = server_span(traceparent=VALID)
    assert (span.trace_id, span.parent_id) == (TRACE_ID, PARENT_ID)


def test_a_header_is_found_in_any_case(server_span):
    assert server_span(TraceParent=VALID).trace_id == TRACE_ID


def test_the_tracestate_goes_along(server_span):
    assert server_span(traceparent=VALID, tracestate="vendor=1,other=2").trace_state == "vendor=1,other=2"


def test_without_a_tracestate_there_is_none(server_span):
    assert server_span(traceparent=VALID).trace_state == ""


def test_a_tracestate_alone_is_ignored(server_span):
    span = server_span(tracestate="vendor=1")
    assert (span.parent_id, span.trace_state) == ("", "")


def test_without_a_traceparent_a_new_trace_starts(server_span):
    span = server_span()
    assert span.parent_id == ""
    assert int(span.trace_id, 16)


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "garbage",
        VALID.upper(),
        f"00-{'0' * 32}-{PARENT_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID[:-1]}-{PARENT_ID}-01",
        f"ff-{TRACE_ID}-{PARENT_ID}-01",
        f"{VALID}-more",
        "x" * 10_000,
    ],
    ids=["empty", "garbage", "upper case", "zero trace id", "zero span id", "short", "version ff", "longer", "huge"],
)
def test_a_bad_traceparent_starts_a_new_trace(server_span, traceparent):
    span = server_span(traceparent=traceparent)
    assert span.parent_id == ""
    assert span.trace_id != TRACE_ID


def test_a_repeated_traceparent_starts_a_new_trace(server, sink):
    process = server()
    with socket.create_connection(("127.0.0.1", int(process.url.rpartition(":")[2]))) as connection:
        lines = ["GET /redis/1 HTTP/1.1", "Host: localhost", f"traceparent: {VALID}", f"traceparent: {VALID}"]
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert b" 200 " in answer.splitlines()[0]
    assert sink.wait_for(3)[-1].parent_id == ""


def test_an_unsampled_trace_is_not_sent(server, sink):
    process = server()
    requests.get(f"{process.url}/redis/1", headers={"traceparent": VALID[:-1] + "0"}, timeout=10)
    requests.get(f"{process.url}/redis/1", headers={"traceparent": VALID}, timeout=10)
    assert {span.parent_id for span in sink.wait_for(3)} & {PARENT_ID}
    assert len(sink.spans) == 3


def test_the_client_sends_whatever_the_propagator_injects(client, sink, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client("--count", 1, DESTINATION_URL=f"http://localhost:{listener.getsockname()[1]}/ping")
        connection, _ = listener.accept()
        with connection:
            request = connection.recv(65_536).decode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
    span = sink.wait_for_trace({"client operation"})["client operation"]
    assert f"traceparent: 00-{span.trace_id}-{span.span_id}-03" in request.lower()


def test_with_tracing_off_the_client_sends_no_traceparent(client):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://localhost:{listener.getsockname()[1]}/ping"
        pinger = client("--count", 1, DESTINATION_URL=url, OTEL_SDK_DISABLED="true")
        connection, _ = listener.accept()
        with connection:
            request = connection.recv(65_536).decode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
        assert pinger.wait() == 0
    assert "traceparent" not in request.lower()
