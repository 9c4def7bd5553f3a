"""A worker: it takes orders out of the queue, whenever it likes. Start it with `python worker.py`."""

import json
import time

from opentelemetry import trace
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.trace import Link, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from beyond.conventions import get_class_name
from beyond.databases import connect_to_redis
from common import get_tracer

QUEUE = {"messaging.system": "redis", "messaging.destination.name": "orders"}

tracer = get_tracer("worker")


def process_order(message):
    """Work on one `message` (bytes) of the queue, in a trace of its own with a link to the span that sent it."""
    message = json.loads(message)
    ctx = TraceContextTextMapPropagator().extract(message.get("headers", {}))
    sender = trace.get_current_span(ctx).get_span_context()
    links = [Link(sender)] if sender.is_valid else []
    attributes = QUEUE | {"messaging.operation.name": "process", "messaging.operation.type": "process"}
    with tracer.start_as_current_span(
        "process orders", kind=SpanKind.CONSUMER, attributes=attributes, links=links
    ) as span:
        try:
            print(f"Packing one {message['body']['item']}", flush=True)
        except Exception as error:
            span.set_attribute(ERROR_TYPE, get_class_name(error))
            raise


def work(redis_client):
    """Take one order after the other, until Ctrl+C. The wait for one is no work, and has no span."""
    while True:
        message = redis_client.lpop("orders")
        if message:
            process_order(message)
        else:
            time.sleep(0.2)


if __name__ == "__main__":
    redis_client, _ = connect_to_redis()
    work(redis_client)
