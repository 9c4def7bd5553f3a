"""Takes spans over OTLP/gRPC and puts them into the store. OTLP specification, "OTLP/gRPC"."""

import os
from concurrent.futures import ThreadPoolExecutor

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what goes wrong is said in our words; read on import
import grpc
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from viewer import serving
from viewer.store import Refused, Store

EXPORT = f"/{trace_service_pb2.DESCRIPTOR.services_by_name['TraceService'].full_name}/Export"
OTLP = "/opentelemetry.proto.collector."  # the methods of all its signals begin so
WORKERS = 32  # a sender that stalls in the middle of a request keeps one
TRACES_ONLY = "the viewer takes traces only; OTEL_METRICS_EXPORTER=none and OTEL_LOGS_EXPORTER=none stop the rest"


def start(store: Store, host: str, port: int) -> tuple[grpc.Server, int]:
    """Listen for OTLP/gRPC; returns the running server and its port (a free one when `port` is 0).

    Requests of more than 4 MB are refused by gRPC itself. Raises OSError when it cannot listen there.
    """
    serving.listen(host, port).close()  # says why not in the system's words: gRPC does not
    workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="receiver")
    server = grpc.server(workers, handlers=[_Traces(store), _OtherSignals()], options=[("grpc.so_reuseport", 0)])
    bound = server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
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
    """The service `TraceService`, with its one method `Export`. Takes bytes, for a clear error when they are none."""

    def __init__(self, store: Store):
        self.store = store

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return grpc.unary_unary_rpc_method_handler(self.export) if call.method == EXPORT else None

    def export(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            refused = self.store.add(request)
        except DecodeError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"this is no ExportTraceServiceRequest: {error}")
        return answer(refused).SerializeToString()


class _OtherSignals(grpc.GenericRpcHandler):
    """Tells senders of metrics, logs and profiles that this is not the place for them."""

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return grpc.unary_unary_rpc_method_handler(_refuse) if call.method.startswith(OTLP) else None


def _refuse(request: bytes, context: grpc.ServicerContext) -> None:
    context.abort(grpc.StatusCode.UNIMPLEMENTED, TRACES_ONLY)
