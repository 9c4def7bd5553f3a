"""Takes spans over OTLP/gRPC and puts them into the store. OTLP specification, "OTLP/gRPC"."""

import functools
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what goes wrong is said in our words; read on import
import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from viewer.store import Refused, Store

TRACES = trace_service_pb2.DESCRIPTOR.services_by_name["TraceService"].full_name
OTLP = "/opentelemetry.proto.collector."  # the methods of all its signals begin so
MAX_REQUEST = 16 * 1024 * 1024  # bytes, unpacked
MAX_CALLS = 100  # under way at a time; further ones are told to come again
MAX_WAITING = 256 * 1024  # bytes of a request that wait inside for a worker
WORKERS = 2  # as many requests are in memory at a time; the others wait with their senders
STALLED = 1  # seconds that all workers may wait for the rest of their requests while others wait for them
WAITING = 2  # seconds that a call waits for a worker; then it is told to come again
COME_AGAIN = 1  # seconds from then, or more when the sender is cleverer
TRACES_ONLY = "the viewer takes traces only; OTEL_METRICS_EXPORTER=none and OTEL_LOGS_EXPORTER=none stop the rest"

decoding = threading.Lock()  # one request at a time, however it came, since it is several times its size then


def start(store: Store, host: str, port: int) -> tuple[grpc.Server, int]:
    """Listen for OTLP/gRPC; returns the running server and its port (a free one when `port` is 0).

    Raises OSError, with a line fit for a reader, when it cannot listen there.
    """
    server = grpc.server(
        ThreadPoolExecutor(WORKERS, thread_name_prefix="receiver"),
        handlers=[_Traces(store), _OtherSignals()],
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", MAX_REQUEST),
            # However fast it is, a sender that waits for a worker has only so much of its request in our memory.
            ("grpc.http2.bdp_probe", 0),
            ("grpc.http2.lookahead_bytes", MAX_WAITING),
        ],
    )
    try:
        bound = server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError:
        raise OSError(f"cannot listen on {host}, port {port}: {_why_not(host, port)}") from None
    try:
        refuse_taken_localhost(host, bound)
    except OSError:
        server.stop(None)
        raise
    server.start()
    return server, bound


def answer(refused: Refused) -> trace_service_pb2.ExportTraceServiceResponse:
    """Return the response to a request of which this was refused."""
    response = trace_service_pb2.ExportTraceServiceResponse()
    if refused.count:
        response.partial_success.rejected_spans = refused.count
        response.partial_success.error_message = refused.reason
    return response


class _Traces(grpc.GenericRpcHandler):
    """The service `TraceService`, with its one method `Export`."""

    def __init__(self, store: Store):
        self.store = store
        self.calls = 0  # under way
        self.counting = threading.Lock()
        self.receiving: dict[grpc.ServicerContext, float] = {}  # calls whose request is on its way, and since when
        threading.Thread(target=self.cut_off, name="cut off", daemon=True).start()

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if call.method != f"/{TRACES}/Export":
            return None
        with self.counting:
            if self.calls >= MAX_CALLS:
                return grpc.stream_unary_rpc_method_handler(_come_again)
            self.calls += 1
        # On the wire one request is a stream of one. Taken as such, it stays outside until a worker is free.
        return grpc.stream_unary_rpc_method_handler(
            functools.partial(self.export, arrived=time.monotonic()),
            response_serializer=trace_service_pb2.ExportTraceServiceResponse.SerializeToString,
        )

    def export(
        self, requests: Iterator[bytes], context: grpc.ServicerContext, arrived: float
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        try:
            if time.monotonic() - arrived > WAITING:
                _come_again(requests, context)
            request = self.receive(requests, context)
            with decoding:
                refused = self.store.add(request)
        except DecodeError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"this is no ExportTraceServiceRequest: {error}")
        finally:
            with self.counting:
                self.calls -= 1
        return answer(refused)

    def receive(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        """Wait for the one request of a call."""
        self.receiving[context] = time.monotonic()
        try:
            request = next(requests, None)
        finally:
            del self.receiving[context]
        if request is None:
            raise DecodeError("no message, or a part of one")
        return request

    def cut_off(self) -> None:
        """Make room, again and again, when senders that stall keep all workers. A timer for each call is slower."""
        while True:
            time.sleep(STALLED / 4)
            now = time.monotonic()
            stalled = [context for context, since in self.receiving.copy().items() if now - since > STALLED]
            if len(stalled) == WORKERS:
                for context in stalled:
                    context.cancel()


def _come_again(requests: Iterator[bytes], context: grpc.ServicerContext) -> None:
    """Refuse a call for now. OTLP specification, "OTLP/gRPC Throttling": without UNAVAILABLE some drop the batch."""
    retry = RetryInfo(retry_delay=Duration(seconds=COME_AGAIN))
    status = Status(code=grpc.StatusCode.UNAVAILABLE.value[0], message="the viewer has too much to do: come again")
    status.details.add().Pack(retry)
    context.set_trailing_metadata(
        (
            ("grpc-status-details-bin", status.SerializeToString()),
            ("google.rpc.retryinfo-bin", retry.SerializeToString()),  # where Python's exporter looks
        )
    )
    context.abort(grpc.StatusCode.UNAVAILABLE, status.message)


class _OtherSignals(grpc.GenericRpcHandler):
    """Tells senders of metrics, logs and profiles that this is not the place for them."""

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return grpc.stream_unary_rpc_method_handler(_refuse) if call.method.startswith(OTLP) else None


def _refuse(requests: Iterator[bytes], context: grpc.ServicerContext) -> None:
    context.abort(grpc.StatusCode.UNIMPLEMENTED, TRACES_ONLY)


# What needs no request does not wait for a worker.
_come_again.experimental_thread_pool = _refuse.experimental_thread_pool = ThreadPoolExecutor(1, "refuser")


def refuse_taken_localhost(host: str, port: int) -> None:
    """Raise OSError, with a line fit for a reader, when spans for localhost would go elsewhere."""
    if host == "127.0.0.1" and _answers("::1", port):
        raise OSError(f"port {port} is taken on ::1, where spans for localhost may go first")


def _why_not(host: str, port: int) -> str:
    """Why nobody can listen there, in the system's words: grpc does not pass them on."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.bind((host, port))
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error)
    return "grpc gave no reason"


def _answers(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection((host, port), timeout=0.2).close()
    except OSError:
        return False
    return True
