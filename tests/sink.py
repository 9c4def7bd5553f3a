"""An OTLP/gRPC backend that keeps what arrives: `oteltest`'s sink, on loopback and a port of our choice."""

from concurrent import futures

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from oteltest.sink import GrpcSink
from oteltest.sink.private import _TraceServiceServicer

from tests.support import free_port, wait_until


class ReceivedSpan:
    """One span as it came over the wire, with its resource and scope, ids in hexadecimal."""

    def __init__(self, span, resource, scope):
        self.name, self.scope = span.name, scope.name
        self.trace_id, self.span_id = span.trace_id.hex(), span.span_id.hex()
        self.parent_id = span.parent_span_id.hex()
        self.trace_state = span.trace_state
        self.kind = Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_")
        self.status = Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_")
        self.message = span.status.message
        self.start, self.end = span.start_time_unix_nano, span.end_time_unix_nano
        self.attributes = _plain(span.attributes)
        self.resource = _plain(resource.attributes)
        self.links = [(link.trace_id.hex(), link.span_id.hex()) for link in span.links]
        self.events = [(event.name, _plain(event.attributes)) for event in span.events]
        self.service = self.resource["service.name"]

    def __repr__(self):
        return f"<{self.service}: {self.name} {self.kind} {self.status} {self.attributes}>"


def _plain(attributes):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


class Sink(GrpcSink):
    """The sink of `oteltest`, which on its own binds every interface and shares a taken port."""

    def __init__(self, port=None, credentials=None, address=None):
        self.port = port or free_port()
        self.endpoint = f"http{'s' if credentials else ''}://localhost:{self.port}"
        self.requests, self.headers = [], []
        self.svr = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        servicer = _TraceServiceServicer(self._keep)
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(servicer, self.svr)
        address = address or f"127.0.0.1:{self.port}"  # in gRPC's words
        if credentials:
            self.svr.add_secure_port(address, credentials)
        else:
            self.svr.add_insecure_port(address)
        self.start()

    def _keep(self, request, headers):
        self.headers.append(headers)
        self.requests.append(request)

    def stop(self):
        """Stop listening, and wait until the port is free again."""
        self.svr.stop(grace=None).wait()

    @property
    def spans(self):
        """Every span received so far, in the order of arrival."""
        return [
            ReceivedSpan(span, resource_spans.resource, scope_spans.scope)
            for request in list(self.requests)
            for resource_spans in request.resource_spans
            for scope_spans in resource_spans.scope_spans
            for span in scope_spans.spans
        ]

    def wait_for(self, count, seconds=20):
        """Wait until at least `count` spans are here, and return them all."""
        try:
            return wait_until(lambda: len(spans := self.spans) >= count and spans, f"{count} spans", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; got {self.spans}") from None

    def wait_for_trace(self, names, seconds=20):
        """Wait for spans with these names, in any order, and return them by name."""
        spans = {span.name: span for span in self.wait_for(len(names), seconds)}
        assert sorted(span.name for span in self.spans) == sorted(names)
        return spans
