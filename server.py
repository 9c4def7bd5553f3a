"""A Flask server, instrumented by hand: it continues the caller's trace and nests its database spans in it.

Post, part 1, "Initialization" and "Context propagation". Start it with `python server.py`.
"""

import random
import string

from beyond.conventions import error_type, get_class_name, http_server_attributes
from beyond.databases import MONGO, REDIS, get_response, mongo_client, parse_length, redis_client
from beyond.settings import get_address

from flask import Flask, request
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import HTTP_RESPONSE_STATUS_CODE
from opentelemetry.trace import SpanKind, StatusCode
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
    tracestate = get_header_from_flask_request(request, "tracestate")  # what tracing vendors add; often empty
    carrier = {"traceparent": traceparent, "tracestate": tracestate}  # extract takes lists, empty ones too
    ctx = TraceContextTextMapPropagator().extract(carrier)
    return ctx


@app.route("/ping")
def ping():
    """Continue the caller's trace with a span of the server's own, in which both databases are used."""
    ctx = get_context_from_flask_request(request)
    attributes = http_server_attributes(request)  # {"http.request.method": "GET", "http.route": "/ping", ...}
    with tracer.start_as_current_span("/ping", context=ctx, kind=SpanKind.SERVER, attributes=attributes) as span:
        return record_response(span, use_both_databases)  # calls use_both_databases, inside the span


def record_response(span, function, *arguments):
    """Return the response (flask.Response) of `function(*arguments)`, and set its status code on a server's span."""
    try:
        response = get_response(function, *arguments)  # calls the function; abort(...) makes a response too
    except Exception as error:
        span.set_attribute(HTTP_RESPONSE_STATUS_CODE, 500)  # Flask's answer
        span.set_attribute(ERROR_TYPE, get_class_name(error))
        raise  # out of the span's `with` block: there the SDK records it, and sets the status ERROR
    span.set_attribute(HTTP_RESPONSE_STATUS_CODE, response.status_code)
    if response.status_code >= 500:  # abort(503), for instance; a 4xx is the caller's error
        span.set_status(StatusCode.ERROR)
        span.set_attribute(ERROR_TYPE, str(response.status_code))
    return response


def use_both_databases():
    """Answer with up to 1,024 random letters. Raises redis.RedisError and PyMongoError."""
    length = random.randint(1, 1024)
    redis_integration(length)
    pymongo_integration(length)
    return get_random_letters(length)


@tracer.start_as_current_span("redis_integration")  # a new span for each call; its parent is the route's span
def redis_integration(length):
    """Write `length` (int) to Redis, and read it back. Raises redis.RedisError."""
    # The SDK records an exception that leaves the block, and sets ERROR; error_type() adds the attribute error.type.
    with tracer.start_as_current_span("server redis operation", kind=SpanKind.CLIENT, attributes=REDIS), error_type():
        redis_client.mset({"length": length})
        redis_client.get("length")


@tracer.start_as_current_span("pymongo_integration")
def pymongo_integration(length):
    """Look for a document in MongoDB; `length` (int) has no effect, as in the post. Raises PyMongoError."""
    with tracer.start_as_current_span("server pymongo operation", kind=SpanKind.CLIENT, attributes=MONGO), error_type():
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
    with tracer.start_as_current_span(route, context=ctx, kind=SpanKind.SERVER, attributes=attributes) as span:
        return record_response(span, use_database, integration, length)


def use_database(integration, length):
    """Run one integration with the `length` (str) of the request's URL, and answer with that many random letters."""
    length = parse_length(length)  # or abort(400)
    integration(length)
    return get_random_letters(length)


def get_random_letters(length):
    """Return `length` (int) random lower-case letters (str)."""
    return "".join(random.choices(string.ascii_lowercase, k=length))


if __name__ == "__main__":
    host, port = get_address()
    app.run(host, port, debug=False)
