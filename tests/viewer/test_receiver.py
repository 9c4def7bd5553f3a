"""The receiver: OTLP/gRPC to the letter, over a real socket."""

import logging
import socket
import threading
import time

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

from tests.support import ROOT, answers, free_port, wait_until
from tests.viewer.otlp import request, span
from viewer import receiver
from viewer.store import Store

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


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


def test_a_batch_that_is_sent_again_is_answered_like_the_first_time(store, export):
    batch = request(span(id=1))
    assert export(batch) == export(batch)
    assert store.summaries()[0].span_count == 1


def test_an_empty_request_is_a_good_one(store, send):
    assert send(b"") == b""
    assert store.kept() == 0


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


def test_a_request_of_nearly_16_mb_is_taken(store, export):
    name = "x" * 1_000_000
    export(request(*(span(name, trace=number) for number in range(1, 17))))
    assert store.kept() == 16


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_bigger_one_is_refused_even_when_it_is_small_on_the_wire(store, send, compression):
    with pytest.raises(grpc.RpcError) as caught:
        send(bytes(20_000_000), compression=compression)
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


def test_a_service_that_does_not_exist_is_unimplemented(channel):
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/no.such.Service/Method")(b"")
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_sender_that_goes_away_half_way_is_not_missed(store, channel, send, caplog):
    leaving = threading.Event()

    def stall():
        leaving.wait()
        yield b""

    calls = [channel.stream_unary(EXPORT).future(stall()) for _ in range(receiver.WORKERS - 1)]
    send(request(span(trace=1)).SerializeToString())
    for call in calls:
        call.cancel()
    leaving.set()
    send(request(span(trace=2)).SerializeToString())
    assert store.kept() == 2
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.fixture
def stalled(port):
    """Open calls to a method that are never finished, twice as many as there are workers, or `count`."""
    leaving = threading.Event()

    def stall():
        leaving.wait()
        yield request(span(trace=99)).SerializeToString()

    opened = []  # a call that nobody keeps is cancelled
    with grpc.insecure_channel(f"127.0.0.1:{port}") as other:
        method = other.stream_unary

        def stalled(path=EXPORT, count=2 * receiver.WORKERS, timeout=None):
            calls = [method(path).future(stall(), timeout=timeout) for _ in range(count)]
            opened.extend(calls)
            return calls

        stalled.finish = leaving.set
        yield stalled
        leaving.set()


def test_senders_that_stall_cannot_keep_others_out(store, stalled, send):
    """As many as there are workers, until their own deadline."""
    calls = stalled(timeout=0.5)
    send(request(span()).SerializeToString(), timeout=20)
    for call in calls:
        call.exception()
    assert store.kept() == 1


def test_a_sender_that_stalls_without_a_deadline_is_cut_off(store, stalled, send, monkeypatch):
    monkeypatch.setattr(receiver, "STALLED", 0.2)
    calls = stalled()
    send(request(span()).SerializeToString(), timeout=20)
    assert {call.exception(timeout=20).code() for call in calls} == {grpc.StatusCode.CANCELLED}
    assert store.kept() == 1


def test_a_slow_sender_that_keeps_nobody_out_has_all_the_time_it_needs(store, stalled, send, monkeypatch):
    monkeypatch.setattr(receiver, "STALLED", 0.1)
    (call,) = stalled(count=receiver.WORKERS - 1)
    end = time.monotonic() + 1  # it takes ten times as long as those that keep others out may
    while time.monotonic() < end:
        send(request(span()).SerializeToString(), timeout=20)
    stalled.finish()
    assert call.exception(timeout=20) is None
    assert store.kept() == 2


def test_senders_of_other_signals_cannot_stall_it(store, stalled, send):
    for signal in ("metrics.v1.MetricsService", "logs.v1.LogsService"):
        stalled(f"/opentelemetry.proto.collector.{signal}/Export")
    send(request(span()).SerializeToString(), timeout=20)
    assert store.kept() == 1


def told_to_come_again(call):
    """Return whether a call is refused as every exporter understands it."""
    assert call.code() == grpc.StatusCode.UNAVAILABLE
    metadata = dict(call.trailing_metadata())
    status = Status.FromString(metadata["grpc-status-details-bin"])  # for the Collector, and Go's exporter
    assert (status.code, status.message) == (14, call.details())
    (details,) = status.details
    retry = RetryInfo()
    assert details.Unpack(retry)
    assert retry.retry_delay.seconds == receiver.COME_AGAIN
    assert metadata["google.rpc.retryinfo-bin"] == retry.SerializeToString()  # for Python's
    return True


def test_more_calls_at_once_than_it_can_hold_are_told_to_come_again(stalled):
    calls = stalled(count=receiver.MAX_CALLS + 1)
    wait_until(lambda: any(call.done() for call in calls), "an answer")
    assert told_to_come_again(next(call for call in calls if call.done()))


def test_whoever_has_waited_long_for_a_worker_is_told_to_come_again(stalled, send, monkeypatch):
    monkeypatch.setattr(receiver, "WAITING", 0.1)

    def refusal():
        stalled(count=receiver.WORKERS)
        try:
            send(request(span()).SerializeToString(), timeout=20)  # it may be faster than they are
        except grpc.RpcError as error:
            return [error]

    (error,) = wait_until(refusal, "a refusal")
    assert told_to_come_again(error)


def test_calls_that_went_away_are_not_counted_for_ever(store, stalled, send, monkeypatch):
    monkeypatch.setattr(receiver, "MAX_CALLS", 4)
    for call in stalled(count=4):
        call.cancel()

    def taken():
        try:
            return [send(request(span()).SerializeToString(), timeout=20)]
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE

    wait_until(taken, "room again")


def test_however_many_stall_an_honest_sender_is_let_in(store, port, stalled):
    """By the SDK's own exporter, with its patience of 10 s."""
    stalled(count=90)
    exporter = OTLPSpanExporter(endpoint=f"http://localhost:{port}")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("tests").start_span("honest").end()
    provider.shutdown()
    assert [summary.root_name for summary in store.summaries()] == ["honest"]


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


def test_a_call_without_a_request_is_an_error(channel):
    call = channel.stream_unary(EXPORT).future(iter([]))
    assert call.exception(timeout=20).code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_resource_that_many_scopes_share_does_not_keep_the_sender_waiting(store, export):
    shared = request(span(), service="x" * 1_000_000)
    shared.resource_spans[0].scope_spans.extend([ScopeSpans(spans=[span()])] * 50_000)
    export(shared, timeout=10)  # as long as the SDK's exporter waits
    assert store.summaries()[0].span_count == 2


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


def test_a_port_of_0_takes_a_free_one(store):
    server, port = receiver.start(store, "127.0.0.1", 0)
    assert answers(port)
    server.stop(None).wait()


def test_a_taken_port_is_noticed(store, port):
    with pytest.raises(OSError, match=f"127.0.0.1, port {port}: Address already in use"):
        receiver.start(store, "127.0.0.1", port)


def test_a_port_that_is_taken_where_localhost_may_lead_is_noticed(store):
    with socket.socket(socket.AF_INET6) as other:
        try:
            other.bind(("::1", free_port()))  # one that is free on 127.0.0.1
        except OSError:
            pytest.skip("this machine has no IPv6")
        other.listen()
        with pytest.raises(OSError, match="::1"):
            receiver.start(store, "127.0.0.1", other.getsockname()[1])


def test_a_host_that_is_none_is_noticed(store):
    with pytest.raises(OSError, match=r"cannot listen on no such host, port \d+: "):
        receiver.start(store, "no such host", free_port())


def test_it_can_listen_on_an_ipv6_address(store):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    server, port = receiver.start(store, "::1", 0)
    wait_until(lambda: answers(port, "::1"), "listens on ::1")
    server.stop(None).wait()
