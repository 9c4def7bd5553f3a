"""A Flask server, instrumented by hand: it continues the caller's trace and nests its database spans in it.

Post, part 1, "Initialization" and "Context propagation". Start it with `python server.py`.
"""

import os
import random
import string

from flask import Flask, request
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import HTTP_RESPONSE_STATUS_CODE
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from beyond.conventions import get_class_name, http_server_attributes
from beyond.databases import connect_to_mongodb, connect_to_redis
from beyond.settings import check_port, read_setting
from common import get_tracer

app = Flask(__name__)
tracer = get_tracer("server")
redis_client, REDIS = connect_to_redis()  # and the attributes of its spans, {"db.system.name": "redis", ...}
mongo_client, MONGO = connect_to_mongodb()


def get_header_from_flask_request(request, key):
    """Return the values (list of str) of a header, whatever its case; an empty list when there is none."""
    return request.headers.get_all(key)


def get_context_from_flask_request(request):
    """Return the caller's context, whose span becomes the parent; without the header it is empty: a new trace."""
    traceparent = get_header_from_flask_request(request, "traceparent")
    tracestate = get_header_from_flask_request(request, "tracestate")  # what tracing vendors add; often empty
    carrier = {"traceparent": traceparent, "tracestate": tracestate}  # extract takes lists too, and empty ones
    ctx = TraceContextTextMapPropagator().extract(carrier)
    return ctx


@app.route("/ping")
def ping():
    """Continue the caller's trace, use both databases, and answer with up to 1,024 random letters."""
    ctx = get_context_from_flask_request(request)
    attributes = http_server_attributes(request)  # {"http.request.method": "GET", "http.route": "/ping", ...}
    with tracer.start_as_current_span("/ping", context=ctx, kind=SpanKind.SERVER, attributes=attributes) as span:
        try:
            length = random.randint(1, 1024)
            redis_integration(length)
            pymongo_integration(length)
        except Exception as error:
            span.set_attribute(HTTP_RESPONSE_STATUS_CODE, 500)  # what Flask will answer
            span.set_attribute(ERROR_TYPE, get_class_name(error))
            raise  # the SDK records the exception that leaves the block, and sets the status ERROR
        span.set_attribute(HTTP_RESPONSE_STATUS_CODE, 200)
        return get_random_letters(length)


@tracer.start_as_current_span("redis_integration")  # a new span for each call; its parent is the current one
def redis_integration(length):
    """Write `length` (int) to Redis, and read it back. Raises redis.RedisError."""
    with tracer.start_as_current_span("server redis operation", kind=SpanKind.CLIENT, attributes=REDIS) as span:
        try:
            redis_client.mset({"length": length})
            redis_client.get("length")
        except Exception as error:
            span.set_attribute(ERROR_TYPE, get_class_name(error))
            raise


@tracer.start_as_current_span("pymongo_integration")
def pymongo_integration(length):
    """Look for a document in MongoDB; `length` (int) has no effect, as in the post. Raises PyMongoError."""
    with tracer.start_as_current_span("server pymongo operation", kind=SpanKind.CLIENT, attributes=MONGO) as span:
        try:
            mongo_client["opentelemetry-tests"]["tests"].find_one()
        except Exception as error:
            span.set_attribute(ERROR_TYPE, get_class_name(error))
            raise


@app.route("/redis/<int(max=65536):length>")
def redis_view(length):
    """Use Redis alone, and answer with `length` (int) random letters."""
    return trace_route("/redis/<length>", redis_integration, length)


@app.route("/pymongo/<int(max=65536):length>")
def pymongo_view(length):
    """Use MongoDB alone, and answer with `length` (int) random letters."""
    return trace_route("/pymongo/<length>", pymongo_integration, length)


def trace_route(route, integration, length):
    """Do with one integration what ping does with two. The span's name, `route` (str), is the same for each length."""
    ctx = get_context_from_flask_request(request)
    attributes = http_server_attributes(request)
    with tracer.start_as_current_span(route, context=ctx, kind=SpanKind.SERVER, attributes=attributes) as span:
        try:
            integration(length)
        except Exception as error:
            span.set_attribute(HTTP_RESPONSE_STATUS_CODE, 500)
            span.set_attribute(ERROR_TYPE, get_class_name(error))
            raise
        span.set_attribute(HTTP_RESPONSE_STATUS_CODE, 200)
        return get_random_letters(length)


def get_random_letters(length):
    """Return `length` (int) random lower-case letters (str)."""
    return "".join(random.choices(string.ascii_lowercase, k=length))


if __name__ == "__main__":
    host = os.environ.get("SERVER_HOST") or "127.0.0.1"
    port = read_setting("SERVER_PORT", "8081", check_port)
    app.run(host, port, debug=False)
