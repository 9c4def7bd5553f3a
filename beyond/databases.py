"""The two databases: a client for each, bounded in time, the attributes of its spans, and the answer when one fails."""

import re
from urllib.parse import unquote, urlsplit

from beyond.settings import printable, read_setting

import redis
from flask import Response, abort, after_this_request, current_app
from opentelemetry.semconv.attributes.db_attributes import (
    DB_COLLECTION_NAME,
    DB_NAMESPACE,
    DB_OPERATION_NAME,
    DB_SYSTEM_NAME,
)
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.trace import format_trace_id, get_current_span
from pymongo import MongoClient
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError
from pymongo.uri_parser import split_hosts
from redis.backoff import NoBackoff
from redis.retry import Retry
from werkzeug.exceptions import HTTPException, InternalServerError

MAX_LENGTH = 65_536


def check_password(url):
    """Raise ValueError for a URL (str) that ends inside its password: what comes before would be taken for the host."""
    parts = urlsplit(url)
    if parts.fragment or "@" in parts.path:
        raise ValueError("#, / and ? have to be escaped in a password")


def connect_to_redis(url):
    """Return the client, which connects when first used and waits 1 s at most, and the attributes of its spans."""
    check_password(url)
    client = redis.Redis.from_url(
        url, socket_connect_timeout=1, socket_timeout=1, retry=Retry(NoBackoff(), 0), protocol=2
    )  # with protocol 3, an old server's error message repeats the password
    options = client.connection_pool.connection_kwargs  # these leave out what the URL leaves out
    path = options.get("path")
    address = {SERVER_ADDRESS: options.get("host", "localhost"), SERVER_PORT: options.get("port", 6379)}
    return client, {
        DB_SYSTEM_NAME: "redis",
        DB_NAMESPACE: str(options.get("db", 0)),
        DB_OPERATION_NAME: "MSET",
        **({SERVER_ADDRESS: path} if path else address),
    }


def connect_to_mongodb(uri):
    """Return the client, which connects when first used and gives up within 2 s, and the attributes of its spans."""
    check_password(uri)
    client = MongoClient(uri, connect=False, connectTimeoutMS=1000, timeoutMS=2000, retryReads=False)
    hosts = re.match(r"(?:mongodb(?:\+srv)?://)?(?:[^@/]*@)?([^/?]+)", uri)[1]
    host, port = split_hosts(unquote(hosts))[0]  # the first of several
    return client, {
        DB_SYSTEM_NAME: "mongodb",
        DB_NAMESPACE: "opentelemetry-tests",
        DB_COLLECTION_NAME: "tests",
        DB_OPERATION_NAME: "find",
        SERVER_ADDRESS: host,
        **({SERVER_PORT: port} if port else {}),
    }


redis_client, REDIS = read_setting("REDIS_URL", "redis://localhost:6379/0", connect_to_redis)
mongo_client, MONGO = read_setting("MONGODB_URI", "mongodb://localhost:27017", connect_to_mongodb)


def parse_length(text):
    """Return the `length` (int) of a direct route; any other answer than 200 is 400, with the range."""
    if re.fullmatch("[0-9]{1,5}", text) and int(text) <= MAX_LENGTH:
        return int(text)
    abort(Response(f"length must be a whole number from 0 to {MAX_LENGTH}", 400, mimetype="text/plain"))


def get_response(function, *arguments):
    """Return the flask.Response that Flask makes of what `function(*arguments)` returns; text is text/plain.

    `abort(404)` and what an error handler makes of an exception are responses too. What no handler takes is raised
    again; the answer to it will say what failed, and in which trace.
    """
    try:
        response = function(*arguments)
        if isinstance(response, str):
            response = Response(response, mimetype="text/plain")
        return current_app.make_response(response)
    except Exception as error:  # noqa: BLE001, raised again unless the program has a handler for it
        say_what_failed(error)
        try:
            return current_app.make_response(current_app.handle_user_exception(error))
        except HTTPException as aborted:  # by the handler
            return current_app.make_response(current_app.handle_user_exception(aborted))


def say_what_failed(error):
    """Let the answer to an exception name the database that failed, and the trace; without it Flask's page is sent."""
    failure = "The server failed"
    for kind, name, attributes in (redis.RedisError, "Redis", REDIS), (PyMongoError, "MongoDB", MONGO):
        if isinstance(error, kind):
            address = ":".join(str(attributes[key]) for key in (SERVER_ADDRESS, SERVER_PORT) if key in attributes)
            reached = " connecting to " not in str(error) and not isinstance(error, ServerSelectionTimeoutError)
            failure = f"{name} {'failed' if reached else 'could not be reached'} at {printable(address)}"
    trace_id = format_trace_id(get_current_span().get_span_context().trace_id)
    page = InternalServerError().get_response().data

    @after_this_request
    def replace(response):
        if response.content_length == len(page) and response.data == page:
            response.data = f"{failure}: {type(error).__name__} (trace {trace_id})\n"
            response.mimetype = "text/plain"
        return response
