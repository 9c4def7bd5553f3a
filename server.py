"""A Flask server, instrumented by hand: it continues the caller's trace and nests its database spans in it.

Post, part 1, "Initialization" and "Context propagation". Start it with `python server.py`.
"""

import random
import re
import socket
import string
import sys
from contextlib import contextmanager, suppress

import redis
from flask import Flask, Response, g, request
from opentelemetry.semconv.attributes.client_attributes import CLIENT_ADDRESS
from opentelemetry.semconv.attributes.db_attributes import (
    DB_COLLECTION_NAME,
    DB_NAMESPACE,
    DB_OPERATION_NAME,
    DB_SYSTEM_NAME,
)
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE
from opentelemetry.semconv.attributes.network_attributes import NETWORK_PROTOCOL_VERSION
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.semconv.attributes.url_attributes import URL_PATH, URL_QUERY, URL_SCHEME
from opentelemetry.semconv.attributes.user_agent_attributes import USER_AGENT_ORIGINAL
from opentelemetry.trace import SpanKind, format_trace_id, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from redis.backoff import NoBackoff
from redis.retry import Retry

from common import get_error_type, get_setting, get_tracer, leave_on_signals

MAX_LENGTH = 65_536

app = Flask(__name__)
tracer = get_tracer("server")


def read_setting(variable, default, read):
    """Return `read(value)` for an environment variable; ends the program with one line when `read` raises."""
    try:
        return read(get_setting(variable, default=default))
    except Exception:  # noqa: BLE001, its text is not shown: some repeat the URL with its password
        sys.exit(f"{variable} cannot be read; it must be like {default}")


# One client for each database. Both connect when first used, and give up within 2 s.
redis_client = read_setting(
    "REDIS_URL",
    "redis://localhost:6379/0",
    lambda url: redis.Redis.from_url(
        url, socket_connect_timeout=1, socket_timeout=1, retry=Retry(NoBackoff(), 0), protocol=2
    ),  # with protocol 3, an old server's error message repeats the password
)
mongo_client = read_setting(
    "MONGODB_URI",
    "mongodb://localhost:27017",
    lambda uri: MongoClient(uri, connect=False, connectTimeoutMS=1000, timeoutMS=2000, retryReads=False),
)

redis_options = redis_client.connection_pool.connection_kwargs
REDIS = {
    DB_SYSTEM_NAME: "redis",
    DB_NAMESPACE: str(redis_options.get("db", 0)),
    DB_OPERATION_NAME: "MSET",
    SERVER_ADDRESS: redis_options.get("path") or redis_options.get("host", "localhost"),
    SERVER_PORT: redis_options.get("port", 6379),
}
mongo_host, mongo_port = next(iter(mongo_client.topology_description.server_descriptions()))
MONGO = {
    DB_SYSTEM_NAME: "mongodb",
    DB_NAMESPACE: "opentelemetry-tests",
    DB_COLLECTION_NAME: "tests",
    DB_OPERATION_NAME: "find",
    SERVER_ADDRESS: mongo_host,
    SERVER_PORT: mongo_port or 27017,  # a mongodb+srv:// URI has none
}


def get_header_from_flask_request(request, key):
    """Return the values (list of str) of a header, whatever its case; an empty list when there is none."""
    return request.headers.get_all(key)


def get_context_from_flask_request(request):
    """Return the caller's context, whose span is the parent of ours; without a valid `traceparent` it is empty."""
    carrier = {key: get_header_from_flask_request(request, key) for key in TraceContextTextMapPropagator().fields}
    ctx = TraceContextTextMapPropagator().extract(carrier)
    return ctx


def get_attributes_from_flask_request(request):
    """Return the attributes (dict) of a server span (semantic conventions, "HTTP server")."""
    host, port = re.fullmatch(r"(.*?)(?::(\d{1,5}))?", request.headers.get("Host", "")).groups()
    attributes = {
        HTTP_REQUEST_METHOD: request.method,
        HTTP_ROUTE: request.url_rule.rule,
        URL_SCHEME: request.scheme,
        URL_PATH: request.path,
        URL_QUERY: request.query_string.decode(errors="replace") or None,
        SERVER_ADDRESS: host.rpartition("@")[2].strip("[]") or request.server[0],
        SERVER_PORT: int(port) if port else request.server[1],
        CLIENT_ADDRESS: request.remote_addr or None,
        USER_AGENT_ORIGINAL: request.headers.get("User-Agent"),
        NETWORK_PROTOCOL_VERSION: request.environ["SERVER_PROTOCOL"].removeprefix("HTTP/"),
    }
    return {key: value for key, value in attributes.items() if value is not None}


@contextmanager
def error_type():
    """Give the current span an `error.type` when an exception passes; the SDK records the rest of it."""
    try:
        yield
    except Exception as error:
        get_current_span().set_attribute(ERROR_TYPE, get_error_type(error))
        raise


@contextmanager
def http_response():
    """Yield the response (flask.Response) to fill in, and give the current span its status code."""
    span = get_current_span()
    g.trace_id = format_trace_id(span.get_span_context().trace_id)  # Flask's error handler runs after the span's end
    response = Response(mimetype="text/plain")
    try:
        with error_type():
            yield response
    except Exception:
        response.status_code = 500
        raise
    finally:
        span.set_attribute(HTTP_RESPONSE_STATUS_CODE, response.status_code)


# A decorator that starts a span would have to stand below the route: Flask registers what the route gets to see.
@app.route("/ping")
def ping():
    """Use both databases, and answer with up to 1,024 random letters."""
    ctx = get_context_from_flask_request(request)
    attributes = get_attributes_from_flask_request(request)
    with (
        tracer.start_as_current_span("/ping", context=ctx, kind=SpanKind.SERVER, attributes=attributes),
        http_response() as response,
    ):
        length = random.randint(1, 1024)
        redis_integration(length)
        pymongo_integration(length)
        response.data = get_random_letters(length)
    return response


@tracer.start_as_current_span("redis_integration")
def redis_integration(length):
    """Write `length` (int) to Redis, and read it back. Raises redis.RedisError."""
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
    return view(redis_integration, length)


@app.route("/pymongo/<length>")
def pymongo_view(length):
    """Use MongoDB alone, and answer with `length` random letters."""
    return view(pymongo_integration, length)


def view(integration, length):
    """Run one integration with the `length` (str) of the request's URL, in a span named after the route."""
    ctx = get_context_from_flask_request(request)
    attributes = get_attributes_from_flask_request(request)
    route = request.url_rule.rule
    with (
        tracer.start_as_current_span(route, context=ctx, kind=SpanKind.SERVER, attributes=attributes),
        http_response() as response,
    ):
        if re.fullmatch("[0-9]{1,5}", length) and int(length) <= MAX_LENGTH:
            integration(int(length))
            response.data = get_random_letters(int(length))
        else:
            response.status_code, response.data = 400, f"length must be a whole number from 0 to {MAX_LENGTH}"
    return response


def get_random_letters(length):
    """Return `length` (int) random lower-case letters (str)."""
    return "".join(random.choices(string.ascii_lowercase, k=length))


@app.errorhandler(500)
def internal_server_error(error):
    """Answer with what failed, and with the trace to look at; Flask has logged the stack trace by now."""
    cause = error.original_exception
    failure = "The server failed"
    for kind, name, attributes in (redis.RedisError, "Redis", REDIS), (PyMongoError, "MongoDB", MONGO):
        if isinstance(cause, kind):
            failure = f"{name} could not be reached at {attributes[SERVER_ADDRESS]}:{attributes[SERVER_PORT]}"
    return Response(f"{failure}: {type(cause).__name__} (trace {g.get('trace_id')})\n", 500, mimetype="text/plain")


if __name__ == "__main__":
    leave_on_signals()
    port = read_setting("SERVER_PORT", "8081", lambda text: range(65_536).index(int(text)))
    host = read_setting("SERVER_HOST", "127.0.0.1", lambda text: socket.getaddrinfo(text, port) and text)
    with suppress(KeyboardInterrupt):
        app.run(host, port, debug=False)  # whatever FLASK_DEBUG says: a debugger runs code for all who reach it
