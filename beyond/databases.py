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
from pymongo.uri_parser import parse_uri
from redis.backoff import NoBackoff
from redis.retry import Retry

from beyond.conventions import leave_out_none


def connect_to_redis(url):
    """Return the client, which connects when first used and waits 1 s at most, and the attributes (dict) of its spans.

    Semantic conventions, "Redis". Raises ValueError for a `url` (str) that redis-py cannot read.
    """
    client = redis.Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1, retry=Retry(NoBackoff(), 0))
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


def connect_to_mongodb(uri):
    """Return the client, which connects when first used and gives up within 2 s, and the attributes of its spans.

    Semantic conventions, "MongoDB". Raises ValueError or PyMongoError for a `uri` (str) that pymongo cannot read.
    """
    client = MongoClient(uri, connect=False, connectTimeoutMS=1000, timeoutMS=2000, retryReads=False)
    host, port = parse_uri(uri)["nodelist"][0]  # the first of several; a unix socket has no port
    attributes = {
        DB_SYSTEM_NAME: "mongodb",
        DB_NAMESPACE: "opentelemetry-tests",
        DB_COLLECTION_NAME: "tests",
        DB_OPERATION_NAME: "find",
        SERVER_ADDRESS: host,
        SERVER_PORT: port,
    }
    return client, leave_out_none(attributes)
