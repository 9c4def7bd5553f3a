"""Whatever comes in, over HTTP or in a setting: an answer or a clear error, and never a secret."""

import re
import signal

import pytest
import requests
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support import ask, free_port

ANYTHING = st.binary(max_size=300).map(lambda value: value.translate(None, b"\r\n"))
HEADERS = st.tuples(st.sampled_from(["Host", "User-Agent", "traceparent", "tracestate", "Cookie", "X-Any"]), ANYTHING)
METHODS = st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "DELETE", "ANY"])
PATHS = st.tuples(st.sampled_from(["/ping?", "/redis/", "/", "//", "*"]), ANYTHING).map(
    lambda parts: parts[0] + re.sub("[^!-~]", "%", parts[1].decode("latin-1"))
)
VALID = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@settings(max_examples=40)
@given(METHODS, PATHS, st.lists(HEADERS, max_size=4), st.binary(max_size=300))
@example("GET", "/ping", [("Host", b"localhost:\xd9\xa3")], b"")
@example("GET", "/ping", [("Host", b"a"), ("Host", b"b")], b"")
@example("GET", "/ping", [("traceparent", VALID), ("tracestate", b"\xe9" * 60_000)], b"")
@example("GET", "/redis/" + "9" * 5_000, [], b"")
def test_any_request_has_an_answer_below_500(shared_server, method, path, headers, body):
    assert ask(shared_server.port, path, [*headers, ("Content-Length", str(len(body)))], method, body) < 500
    assert "Traceback" not in shared_server.output


@pytest.mark.parametrize(
    ("program", "variable", "value", "right"),
    [
        ("server.py", "REDIS_URL", "redis://user:secret@localhost:port/0", "redis://localhost:6379/0"),
        ("server.py", "MONGODB_URI", "mongodb://user:secret@secret@localhost", "mongodb://localhost:27017"),
        ("server.py", "SERVER_PORT", "http", "8081"),
        ("client.py", "DESTINATION_URL", "localhost:8081/ping", "http://localhost:8081/ping"),
    ],
)
def test_a_bad_setting_is_a_value_error_with_its_name_and_a_right_value(start, program, variable, value, right):
    process = start(program, **{variable: value})
    assert process.wait() == 1
    assert process.err.splitlines()[-1] == f"ValueError: {variable} cannot be read; it must be like {right}"
    assert "secret" not in process.output


SECRETS = ("token-secret", "redis-secret", "mongo-secret")
VERBOSE = """
import logging, runpy
logging.basicConfig(level=logging.DEBUG)
runpy.run_path("server.py", run_name="__main__")
"""


def test_no_secret_is_seen_when_the_databases_refuse_it(start, sink, redis_server, mongodb_server):
    settings = {
        "SERVER_PORT": free_port(),
        "LS_ACCESS_TOKEN": "token-secret",
        "REDIS_URL": f"redis://user:redis-secret@localhost:{redis_server.port}/0",
        "MONGODB_URI": f"mongodb://user:mongo-secret@localhost:{mongodb_server.port}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint,
    }
    process = start("-c", VERBOSE, **settings).wait_for_port(settings["SERVER_PORT"])
    answers = [requests.get(process.url + path, timeout=20) for path in ("/ping", "/redis/1", "/pymongo/1")]
    assert {answer.status_code for answer in answers} == {500}
    assert process.stop(signal.SIGTERM) == 0
    assert sink.headers[0]["lightstep-access-token"] == "token-secret"
    seen = process.output + str([answer.text for answer in answers]) + str(sink.requests)
    assert "redis.exceptions.AuthenticationError" in seen
    assert not [secret for secret in SECRETS if secret in seen]
