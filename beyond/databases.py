"""The two databases: a client for each, bounded in time, and the attributes of its spans."""

import redis
from opentelemetry.semconv.attributes.db_attributes import (
    DB_COLLECTION_NAME,
    DB_NAMESPACE,
    DB_OPERATION_NAME,
    DB_SYSTEM_NAME,
)
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from pymongo import MongoClient

from beyond.conventions import leave_out_none
from beyond.settings import read_setting


def connect_to_redis():
    """Return the client of REDIS_URL, which connects when first used, and the attributes (dict) of its spans.

    Semantic conventions, "Redis". Raises ValueError for a URL that cannot be read.
    """
    client = read_setting("REDIS_URL", "redis://localhost:6379/0", make_redis_client)
    options = client.get_connection_kwargs()  # these leave out what the URL leaves out
    path = options.get("path")  # of a unix socket, which has no port
    attributes = {
        DB_SYSTEM_NAME: "redis",
        DB_NAMESPACE: str(options.get("db", 0)),
        DB_OPERATION_NAME: "MSET",  # the span's one write; the GET that reads it back is part of it
        SERVER_ADDRESS: path or options.get("host", "localhost"),
        SERVER_PORT: None if path else options.get("port", 6379),
    }
    return client, leave_out_none(attributes)


def make_redis_client(url):
    """Return a client that waits 1 s for a connection and 1 s for an answer. Made from a URL, it does not try again."""
    return redis.Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1)


def connect_to_mongodb():
    """Return the client of MONGODB_URI, which connects when first used, and the attributes (dict) of its spans.

    Semantic conventions, "MongoDB". Raises ValueError for a URI that cannot be read.
    """
    client, host, port = read_setting("MONGODB_URI", "mongodb://localhost:27017", make_mongo_client)
    attributes = {
        DB_SYSTEM_NAME: "mongodb",
        DB_NAMESPACE: "opentelemetry-tests",
        DB_COLLECTION_NAME: "tests",
        DB_OPERATION_NAME: "find",
        SERVER_ADDRESS: host,
        SERVER_PORT: port,
    }
    return client, leave_out_none(attributes)


def make_mongo_client(uri):
    """Return a client that gives up within 2 s, and the host (str) and port (int) of one of its servers."""
    client = MongoClient(uri, connect=False, connectTimeoutMS=1000, timeoutMS=2000, retryReads=False)
    host, port = min(client.topology_description.server_descriptions())  # the first by name; a unix socket has no port
    return client, host, port
