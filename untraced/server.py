"""The server without a line of tracing: where you begin when you build it yourself (docs/build.md).

For the post's "easy way", `make auto` sets up a virtual environment; then, beside a viewer and the two databases:

    export OTEL_SERVICE_NAME=auto-server OTEL_SEMCONV_STABILITY_OPT_IN=http,database
    export OTEL_METRICS_EXPORTER=none OTEL_LOGS_EXPORTER=none
    .venv-auto/bin/opentelemetry-instrument .venv-auto/bin/python untraced/server.py
"""

import os
import random
import string

import redis
from flask import Flask, Response
from pymongo import MongoClient

app = Flask(__name__)
redis_client = redis.Redis.from_url(
    os.environ.get("REDIS_URL", "redis://localhost:6379/0"),
    socket_connect_timeout=1,
    socket_timeout=1,
)
mongo_client = MongoClient(
    os.environ.get("MONGODB_URI", "mongodb://localhost:27017"),
    connect=False,
    connectTimeoutMS=1000,
    timeoutMS=2000,
    retryReads=False,
)


@app.route("/ping")
def ping():
    """Use both databases, and answer with up to 1,024 random letters."""
    length = random.randint(1, 1024)
    redis_integration(length)
    pymongo_integration(length)
    return get_random_letters(length)


@app.route("/redis/<int(max=65536):length>")
def redis_view(length):
    """Use Redis alone, and answer with `length` random letters."""
    redis_integration(length)
    return get_random_letters(length)


@app.route("/pymongo/<int(max=65536):length>")
def pymongo_view(length):
    """Use MongoDB alone, and answer with `length` random letters."""
    pymongo_integration(length)
    return get_random_letters(length)


def redis_integration(length):
    """Write `length` (int) to Redis, and read it back. Raises redis.RedisError."""
    redis_client.mset({"length": length})
    redis_client.get("length")


def pymongo_integration(length):
    """Look for a document in MongoDB; `length` (int) has no effect, as in the post. Raises PyMongoError."""
    mongo_client["opentelemetry-tests"]["tests"].find_one()


def get_random_letters(length):
    """Return an answer (flask.Response) of `length` (int) random lower-case letters."""
    return Response("".join(random.choices(string.ascii_lowercase, k=length)), mimetype="text/plain")


if __name__ == "__main__":
    app.run(os.environ.get("SERVER_HOST", "127.0.0.1"), int(os.environ.get("SERVER_PORT", "8081")))
