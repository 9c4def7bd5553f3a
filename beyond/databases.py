"""The two databases: a client for each, made once and bounded in time, and the attributes of its spans."""

import re
from functools import partial
from inspect import ismethod
from urllib.parse import unquote, urlsplit

from beyond.conventions import get_error_type, without_secrets
from beyond.settings import read_setting

import redis
from flask import Response, abort
from opentelemetry.semconv.attributes.db_attributes import (
    DB_COLLECTION_NAME,
    DB_NAMESPACE,
    DB_OPERATION_NAME,
    DB_RESPONSE_STATUS_CODE,
    DB_SYSTEM_NAME,
)
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.trace import get_current_span
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import ServerSelectionTimeoutError
from pymongo.uri_parser import split_hosts
from redis.backoff import NoBackoff
from redis.retry import Retry

MAX_LENGTH = 65_536


class NamedErrors:
    """A client as it is, but what its methods raise is given to `name_error`, a function, on its way."""

    def __init__(self, client, name_error):
        self._client, self._name_error = client, name_error

    def __getattr__(self, name):
        part = getattr(self._client, name)
        if not ismethod(part):
            return self._named(part)
        self.__dict__[name] = method = partial(call, part, self._name_error)  # kept, so that this is done once
        return method

    def __getitem__(self, name):
        return self._named(self._client[name])

    def _named(self, part):
        return NamedErrors(part, self._name_error) if isinstance(part, (Database, Collection)) else part


def call(method, name_error, *arguments, **options):
    """Return `method(*arguments, **options)`; what it raises is given to `name_error` on its way."""
    try:
        return method(*arguments, **options)
    except Exception as error:
        name_error(error)
        raise


def name_error(name, attributes, error):
    """Record on the current span what the SDK leaves out of an exception ("Database client", "Recording errors").

    For the answer, `error.failure` says which database failed: its `name` (str), and its address of the `attributes`.
    """
    span = get_current_span()
    span.set_attribute(ERROR_TYPE, get_error_type(error))
    if code := getattr(error, "code", None):  # pymongo's
        span.set_attribute(DB_RESPONSE_STATUS_CODE, str(code))
    reached = " connecting to " not in str(error) and not isinstance(error, ServerSelectionTimeoutError)
    address = f"{attributes[SERVER_ADDRESS]}:{attributes.get(SERVER_PORT, '')}".rstrip(":")
    error.failure = f"{name} {'failed' if reached else 'could not be reached'} at {address}"
    without_secrets(error)


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
    attributes = {
        DB_SYSTEM_NAME: "redis",
        DB_NAMESPACE: str(options.get("db", 0)),
        DB_OPERATION_NAME: "MSET",
        **({SERVER_ADDRESS: path} if path else address),
    }
    return NamedErrors(client, partial(name_error, "Redis", attributes)), attributes


def connect_to_mongodb(uri):
    """Return the client, which connects when first used and gives up within 2 s, and the attributes of its spans."""
    check_password(uri)
    client = MongoClient(uri, connect=False, connectTimeoutMS=1000, timeoutMS=2000, retryReads=False)
    hosts = re.match(r"(?:mongodb(?:\+srv)?://)?(?:[^@/]*@)?([^/?]+)", uri)[1]
    host, port = split_hosts(unquote(hosts))[0]  # the first of several
    attributes = {
        DB_SYSTEM_NAME: "mongodb",
        DB_NAMESPACE: "opentelemetry-tests",
        DB_COLLECTION_NAME: "tests",
        DB_OPERATION_NAME: "find",
        SERVER_ADDRESS: host,
        **({SERVER_PORT: port} if port else {}),
    }
    return NamedErrors(client, partial(name_error, "MongoDB", attributes)), attributes


redis_client, REDIS = read_setting("REDIS_URL", "redis://localhost:6379/0", connect_to_redis)
mongo_client, MONGO = read_setting("MONGODB_URI", "mongodb://localhost:27017", connect_to_mongodb)


def parse_length(text):
    """Return the `length` (int) of a direct route; any other answer than 200 is 400, with the range."""
    if re.fullmatch("[0-9]{1,5}", text) and int(text) <= MAX_LENGTH:
        return int(text)
    abort(Response(f"length must be a whole number from 0 to {MAX_LENGTH}", 400, mimetype="text/plain"))
