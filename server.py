"""A Flask server, instrumented by hand: it continues the caller's trace and nests its database spans in it.

Post, part 1, "Initialization" and "Context propagation". Start it with `python server.py`.
"""

import random
import string

from beyond.conventions import http_server_attributes, record_error_type, recorded_response
from beyond.databases import MONGO, REDIS, mongo_client, parse_length, redis_client, say_what_failed
from beyond.settings import get_address

from flask import Flask, Response, request
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from common import get_tracer

app = Flask(__name__)
tracer = get_tracer("server")


def get_header_from_flask_request(request, key):
    """Return the values (list of str) of a header, whatever its case; an empty list when there is none."""
    return request.headers.get_all(key)


def get_context_from_flask_request(request):
    """Return the context of the caller, whose span becomes the parent; without one it is empty: a new trace begins."""
    traceparent = get_header_from_flask_request(request, "traceparent")
    tracestate = get_header_from_flask_request(request, "tracestate")
    carrier = {"traceparent": traceparent, "tracestate": tracestate}  # extract takes lists, empty ones too
    ctx = TraceContextTextMapPropagator().extract(carrier)
    return ctx


@app.route("/ping")
def ping():
    """Continue the caller's trace with a span of the server's own, in which both databases are used."""
    ctx = get_context_from_flask_request(request)
    attributes = http_server_attributes(request)
    with tracer.start_as_current_span("/ping", context=ctx, kind=SpanKind.SERVER, attributes=attributes):
        return recorded_response(use_both_databases)  # the span gets the status code of the answer, or the exception


def use_both_databases():
    """Answer with up to 1,024 random letters. Raises what the two integrations raise."""
    length = random.randint(1, 1024)
    redis_integration(length)
    pymongo_integration(length)
    return get_random_letters(length)


@tracer.start_as_current_span("redis_integration")  # a new span for each call; its parent is the route's span
def redis_integration(length):
    """Write `length` (int) to Redis, and read it back. Raises redis.RedisError."""
    with (
        tracer.start_as_current_span("server redis operation", kind=SpanKind.CLIENT, attributes=REDIS),
        record_error_type(),  # the SDK records the exception, and not error.type
    ):
        redis_client.mset({"length": length})
        redis_client.get("length")


@tracer.start_as_current_span("pymongo_integration")
def pymongo_integration(length):
    """Look for a document in MongoDB; `length` (int) has no effect, as in the post. Raises PyMongoError."""
    with (
        tracer.start_as_current_span("server pymongo operation", kind=SpanKind.CLIENT, attributes=MONGO),
        record_error_type(),
    ):
        mongo_client["opentelemetry-tests"]["tests"].find_one()


@app.route("/redis/<length>")
def redis_view(length):
    """Use Redis alone, and answer with `length` random letters."""
    return trace_route(redis_integration, length)


@app.route("/pymongo/<length>")
def pymongo_view(length):
    """Use MongoDB alone, and answer with `length` random letters."""
    return trace_route(pymongo_integration, length)


def trace_route(integration, length):
    """Continue the caller's trace as /ping does. The span is named after the route, not after each path."""
    ctx = get_context_from_flask_request(request)
    attributes = http_server_attributes(request)
    route = request.url_rule.rule
    with tracer.start_as_current_span(route, context=ctx, kind=SpanKind.SERVER, attributes=attributes):
        return recorded_response(use_database, integration, length)  # it calls use_database(integration, length)


def use_database(integration, length):
    """Run one integration with the `length` (str) of the request's URL, and answer with that many random letters."""
    length = parse_length(length)
    integration(length)
    return get_random_letters(length)


def get_random_letters(length):
    """Return an answer (flask.Response) of `length` (int) random lower-case letters."""
    return Response("".join(random.choices(string.ascii_lowercase, k=length)), mimetype="text/plain")


app.register_error_handler(500, say_what_failed)

if __name__ == "__main__":
    host, port = get_address()
    app.run(host, port, debug=False)
