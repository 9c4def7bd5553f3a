"""The receiver: OTLP/gRPC to the letter, over a real socket."""

import logging
import socket
import threading

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tests.support import ROOT, answers, wait_until
from tests.viewer.otlp import EXPORT, request, span
from viewer import receiver
from viewer.store import Store


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def port(store):
    server, port = receiver.start(store, "127.0.0.1", 0)
    yield port
    server.stop(None).wait()


@pytest.fixture
def channel(port):
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        yield channel


@pytest.fixture
def export(channel):
    """Send a request and return the response."""
    return trace_service_pb2_grpc.TraceServiceStub(channel).Export


@pytest.fixture
def send(channel):
    """Send any bytes and return those of the answer."""
    return channel.unary_unary(EXPORT)


def test_spans_that_are_taken_are_answered_with_an_empty_response(store, export):
    assert export(request(span())).SerializeToString() == b""
    assert store.summaries()[0].span_count == 1


def test_refused_spans_are_answered_with_partial_success(store, export):
    response = export(request(span(), span(trace_id=b"short"), span(span_id=b"")))
    assert response.partial_success.rejected_spans == 2
    assert "trace_id" in response.partial_success.error_message
    assert "span_id" in response.partial_success.error_message
    assert store.summaries()[0].span_count == 1


@pytest.mark.parametrize("junk", [b"\xff", b"junk", b"\x0a\x05ab", request(span()).SerializeToString()[:-3]])
def test_only_what_cannot_be_read_is_an_invalid_argument(store, send, junk):
    with pytest.raises(grpc.RpcError) as caught:
        send(junk)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "ExportTraceServiceRequest" in caught.value.details()
    assert store.kept() == 0


def test_a_field_from_a_later_version_is_passed_over(store, send):
    assert send(request(span()).SerializeToString() + b"\xfa\x3f\x03new") == b""
    assert store.kept() == 1


def test_gzip_is_understood(store, export):
    export(request(span()), compression=grpc.Compression.Gzip)
    assert store.kept() == 1


def test_a_request_of_nearly_4_mb_is_taken(store, export):
    export(request(*(span("x" * 900_000, trace=number) for number in range(1, 5))))
    assert store.kept() == 4


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_bigger_one_is_refused_even_when_it_is_small_on_the_wire(send, compression):
    with pytest.raises(grpc.RpcError) as caught:
        send(bytes(5_000_000), compression=compression)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert send(request(span()).SerializeToString()) == b""


@pytest.mark.parametrize(
    ("stub", "message"),
    [
        (metrics_service_pb2_grpc.MetricsServiceStub, metrics_service_pb2.ExportMetricsServiceRequest()),
        (logs_service_pb2_grpc.LogsServiceStub, logs_service_pb2.ExportLogsServiceRequest()),
    ],
    ids=["metrics", "logs"],
)
def test_other_signals_are_told_that_this_is_not_their_place(channel, stub, message):
    with pytest.raises(grpc.RpcError) as caught:
        stub(channel).Export(message)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "traces only" in caught.value.details()


def test_senders_that_stall_do_not_hold_up_the_others_and_are_not_missed(store, port, send, caplog):
    leaving = threading.Event()

    def stall():
        leaving.wait()
        yield b""

    with grpc.insecure_channel(f"127.0.0.1:{port}") as other:
        calls = [other.stream_unary(EXPORT).future(stall()) for _ in range(8)]
        for number in (1, 2, 3):
            send(request(span(trace=number)).SerializeToString(), timeout=20)
        for call in calls:
            call.cancel()
        leaving.set()
    send(request(span(trace=4)).SerializeToString(), timeout=20)
    assert store.kept() == 4
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def frame(kind, flags, stream, payload):
    """Return a frame of HTTP/2."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


@pytest.mark.parametrize("encoding", ["zstd", "snappy"])
def test_another_compression_is_refused_in_the_words_that_its_page_explains(store, port, encoding):
    """gRPC answers that by itself, and no Python client can send it."""
    headers = {":method": "POST", ":scheme": "http", ":path": EXPORT, ":authority": "localhost", "te": "trailers"}
    headers |= {"content-type": "application/grpc", "grpc-encoding": encoding}
    texts = (text.encode() for header in headers.items() for text in header)
    fields = [bytes([len(text)]) + text for text in texts]
    block = b"".join(b"\0" + name + value for name, value in zip(fields[::2], fields[1::2], strict=True))
    message = b"\1" + len(encoding).to_bytes(4) + encoding.encode()
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sender:
        sender.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
        sender.sendall(frame(1, 4, 1, block) + frame(0, 1, 1, message))
        while b"grpc-message" not in answer:
            received = sender.recv(4096)
            assert received, answer
            answer += received
    words = "Error parsing 'grpc-encoding' metadata"
    assert words.encode() in answer
    assert words in (ROOT / "docs" / "viewer.md").read_text()
    assert store.kept() == 0


def test_many_senders_at_once_lose_nothing(store, port):
    def send(first):
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = trace_service_pb2_grpc.TraceServiceStub(channel)
            for number in range(first, first + 20):
                stub.Export(request(*(span(trace=number, id=id) for id in range(1, 11))), wait_for_ready=True)

    threads = [threading.Thread(target=send, args=(first,)) for first in range(1, 400, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [summary.span_count for summary in store.summaries()] == [10] * 400


def test_the_sdks_own_exporter_is_understood(store, port):
    exporter = OTLPSpanExporter(endpoint=f"http://localhost:{port}")
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("tests")
    with pytest.raises(ValueError), tracer.start_as_current_span("order"), tracer.start_as_current_span("pay"):
        raise ValueError("no money")
    provider.shutdown()
    (summary,) = store.summaries()
    assert (summary.root_name, summary.services, summary.complete) == ("order", (("shop", 2, 2),), True)


def test_it_can_listen_on_an_ipv6_address(store):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    server, port = receiver.start(store, "::1", 0)
    wait_until(lambda: answers(port, "::1"), "listens on ::1")
    server.stop(None).wait()
