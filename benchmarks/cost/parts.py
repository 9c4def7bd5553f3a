"""Where the instructions of a ping by hand go: each piece of its work alone, for a hundred pings.

As a program it does the piece that it is told, so many times; `measure` counts that.
"""

import os
import sys
from concurrent import futures
from pathlib import Path

PINGS = 100
PIECES = {  # what it is called, and the piece that it has more than
    "extract": ("read the caller's context off the headers", None),
    "attributes": ("read the attributes of `/ping` off the request", None),
    "spans": ("make and end five spans", None),
    "spans_with_attributes": ("give them their attributes", "spans"),
    "queue": ("put them in the queue, and take them out", None),
    "encode": ("encode them", None),
    "send": ("send the bytes", "encode"),
}


def do(piece: str, times: int) -> None:
    """Do one piece so many times."""
    from beyond.conventions import http_server_attributes
    from beyond.databases import MONGO, REDIS

    from flask import request
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.semconv.attributes.http_attributes import HTTP_RESPONSE_STATUS_CODE
    from opentelemetry.trace import SpanKind

    import server

    tracer = TracerProvider().get_tracer("server")
    headers = {
        "User-Agent": "python-requests/2.34.2",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }

    def make_spans(of_server=None, of_redis=None, of_mongo=None):
        """Make the five spans of a ping."""
        with tracer.start_as_current_span("/ping", kind=SpanKind.SERVER, attributes=of_server) as span:
            made = [*make_two("redis", of_redis), *make_two("pymongo", of_mongo), span]
            if of_server:
                span.set_attribute(HTTP_RESPONSE_STATUS_CODE, 200)
        return made

    def make_two(name, attributes):
        """Make the two spans of a database."""
        with (
            tracer.start_as_current_span(f"{name}_integration") as outer,
            tracer.start_as_current_span(
                f"server {name} operation", kind=SpanKind.CLIENT, attributes=attributes
            ) as inner,
        ):
            return inner, outer

    with server.app.test_request_context("/ping", headers=headers, environ_base={"REMOTE_ADDR": "127.0.0.1"}):
        of_server = dict(http_server_attributes(request))  # which reads them
        spans = [span for _ in range(PINGS) for span in make_spans(of_server, REDIS, MONGO)]
        queue = BatchSpanProcessor(InMemorySpanExporter())
        exporter = OTLPSpanExporter()
        work = {
            "extract": lambda: [server.get_context_from_flask_request(request) for _ in range(PINGS)],
            "attributes": lambda: [dict(http_server_attributes(request)) for _ in range(PINGS)],
            "spans": lambda: [make_spans() for _ in range(PINGS)],
            "spans_with_attributes": lambda: [make_spans(of_server, REDIS, MONGO) for _ in range(PINGS)],
            "queue": lambda: [queue.on_end(span) for span in spans] and queue.force_flush(),
            "encode": lambda: encode_spans(spans),
            "send": lambda: exporter.export(spans),
        }
        for _ in range(times):
            work[piece]()


def measure(backend: str) -> dict[str, float]:
    """Return the instructions of each piece, for one ping."""
    from benchmarks.cost.instructions import STEADY, count
    from benchmarks.cost.variants import BY_NAME

    by_hand = BY_NAME["by hand"]
    environment = by_hand.environment(backend, **STEADY)

    def each(piece):
        once, thrice = (count([by_hand.python, __file__, piece, times], environment) for times in (1, 3))
        return (thrice - once) / 2 / PINGS

    with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        counted = dict(zip(PIECES, pool.map(each, PIECES), strict=True))
    return {name: counted[piece] - counted.get(of, 0) for piece, (name, of) in PIECES.items()}


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
    do(sys.argv[1], int(sys.argv[2]))
