"""An OTLP/gRPC backend that keeps what arrives, on loopback and a port of our choice."""

from concurrent import futures

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.support import PATIENCE, free_port, wait_until


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


class Sink(TraceServiceServicer):
    """Takes all spans, from its making until `stop()`."""

    def __init__(self, port=None, credentials=None):
        self.port = port or free_port()
        self.endpoint = f"http{'s' if credentials else ''}://localhost:{self.port}"
        self.requests, self.headers = [], []  # of each export
        # gRPC shares a taken port, unless it is told not to
        self.server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        add_TraceServiceServicer_to_server(self, self.server)
        address = f"127.0.0.1:{self.port}"
        if credentials:
            self.server.add_secure_port(address, credentials)
        else:
            self.server.add_insecure_port(address)
        self.server.start()

    def Export(self, request, context):
        """Keep a request."""
        self.headers.append(dict(context.invocation_metadata()))
        self.requests.append(request)
        return ExportTraceServiceResponse()

    def stop(self):
        """Stop listening, answer what has come, and wait until the port is free again."""
        self.server.stop(grace=5).wait()  # a sender without an answer would send it twice

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

    def wait_for(self, count, seconds=PATIENCE):
        """Wait until at least `count` spans are here, and return them all."""
        try:
            return wait_until(lambda: len(spans := self.spans) >= count and spans, f"{count} spans", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; got {self.spans}") from None

    def wait_for_span(self, attribute, value):
        """Wait for the span with this value of an attribute, and return it."""

        def found():
            return next((span for span in self.spans if span.attributes.get(attribute) == value), None)

        return wait_until(found, f"a span with {attribute}={value}")

    def wait_for_trace(self, names, trace_id=""):
        """Wait for spans with these names, in any order, of this trace or of all; return them by name."""

        def found():
            spans = [span for span in self.spans if span.trace_id.startswith(trace_id)]
            return len(spans) >= len(names) and spans

        spans = wait_until(found, f"spans named {sorted(names)}")
        assert sorted(span.name for span in spans) == sorted(names)
        return {span.name: span for span in spans}
