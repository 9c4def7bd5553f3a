"""Whatever comes in, over HTTP or in a setting: an answer, a new trace or one clear line, and never a secret."""

import itertools
import re
import socket
import threading

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support import free_port, wait_until

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE_ID}-{PARENT_ID}-01".encode()

bounded = settings(
    max_examples=30,
    deadline=None,
    database=None,
    derandomize=False,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def send(url, method=b"GET", target=b"/redis/0", headers=(), body=b""):
    """Send one request of these bytes; return the status (int) of the answer, or None if the line was cut."""
    lines = [method + b" " + target + b" HTTP/1.1"]
    if not any(name.lower() == b"host" for name, _ in headers):
        lines.append(b"Host: localhost")
    lines += [name + b": " + value for name, value in headers]
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10) as connection:
        try:
            connection.sendall(b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body)
            answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        except ConnectionError:
            return None
    status = re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)
    return int(status[1]) if status else None


# What W3C Trace Context, level 2, says about the two headers.

TRACEPARENT = re.compile(rb"[ \t]*([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*|[ \t]*)", re.DOTALL)
LEVEL_2_KEY = re.compile(rb"[a-z0-9][a-z0-9_\-*/@]{0,255}")
SDK_KEY = re.compile(rb"[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13}")  # level 1
VALUE = re.compile(rb"[ -+\--<>-~]{0,255}[!-+\--<>-~]")


def parse_traceparent(values):
    """Return trace id and parent id (str) of these header values, or None where a new trace must start."""
    match = TRACEPARENT.fullmatch(b",".join(values))
    if not match:
        return None
    version, trace_id, parent_id, _, rest = match.groups()
    if version == b"ff" or not int(trace_id, 16) or not int(parent_id, 16):
        return None
    if (version == b"00" and rest.strip(b" \t")) or len(b",".join(values)) > 512:
        return None
    return trace_id.decode(), parent_id.decode()


def parse_tracestate(values):
    """Return the `tracestate` (str) that goes on, empty when these header values are no valid one."""
    members = [member.strip(b" \t") for member in b",".join(values).split(b",")]
    pairs = [member.partition(b"=") for member in members if member]
    keys = [key for key, _, _ in pairs]
    if len(pairs) > 32 or len(set(keys)) < len(keys):
        return ""
    if not all(LEVEL_2_KEY.fullmatch(key) and VALUE.fullmatch(value) for key, _, value in pairs):
        return ""
    if not all(SDK_KEY.fullmatch(key) for key in keys):  # where the SDK stops short: docs/reliability.md
        return ""
    return b",".join(b"=".join((key, value)) for key, _, value in pairs).decode()


any_value = st.lists(st.sampled_from([*range(0x20, 0x7F), 0x09, *range(0x80, 0x100)]), max_size=300).map(bytes)


def digits(count):
    return st.one_of(st.text("0123456789abcdef", min_size=count, max_size=count).map(str.encode), st.just(b"0" * count))


likely_traceparent = st.tuples(
    st.one_of(st.just(b"00"), digits(2)), digits(32), digits(16), digits(2), st.sampled_from([b"", b"-", b"-x", b" "])
).map(lambda parts: b"-".join(parts[:4]) + parts[4])


@st.composite
def damaged(draw, values):
    """One of `values` with a byte replaced, doubled or left out."""
    value = draw(values)
    at = draw(st.integers(0, max(0, len(value) - 1)))
    return value[:at] + draw(st.sampled_from([b"", b"G", b"-", b"00", b"\xe9", b",", b"\t"])) + value[at + 1 :]


traceparents = st.one_of(likely_traceparent, damaged(likely_traceparent), any_value)
keys = st.from_regex(SDK_KEY, fullmatch=True)
values = st.from_regex(VALUE, fullmatch=True)
member = st.tuples(keys, values).map(b"=".join)
separators = st.sampled_from([b",", b" , ", b",,", b"\t,"])
likely_tracestate = st.tuples(separators, st.lists(member, max_size=6)).map(lambda parts: parts[0].join(parts[1]))
tracestates = st.one_of(likely_tracestate, damaged(likely_tracestate), any_value)


@pytest.fixture
def trace(server, sink):
    """Send one request with these `traceparent` and `tracestate` values; return its server span."""
    # every span leaves at once, also one that the caller did not sample
    url = server(OTEL_BSP_MAX_EXPORT_BATCH_SIZE=1, OTEL_TRACES_SAMPLER="always_on").url
    numbers = itertools.count()

    def trace(traceparent=(), tracestate=()):
        query = f"n={next(numbers)}"
        headers = [(b"traceparent", value) for value in traceparent] + [(b"tracestate", value) for value in tracestate]
        assert send(url, target=f"/redis/0?{query}".encode(), headers=headers) == 200

        def found():
            return [span for span in sink.spans if span.attributes.get("url.query") == query]

        [span] = wait_until(found, "the server span")
        sink.requests.clear()
        return span

    return trace


@bounded
@given(st.lists(traceparents, max_size=3), st.lists(tracestates, max_size=3))
@example([VALID], [])
@example([VALID[:-2] + b"00"], [b"a=1"])
@example([b"cc" + VALID[2:] + b"-what-the-future-brings"], [b"a=1,b=2"])
@example([VALID, VALID], [b"a=1"])
@example([VALID], [b"a=1", b"b=2", b""])
@example([VALID], [b"a=1,a=2"])
@example([VALID], [b"a=1,b"])
@example([VALID], [b",".join(b"k%d=v" % number for number in range(32))])
@example([VALID], [b",".join(b"k%d=v" % number for number in range(33))])
@example([VALID], [b"\xe9" * 60_000])
@example([b"0" * 60_000], [])
@example([VALID + b" " * 500], [])
@example([], [b"a=1"])
def test_a_valid_context_is_continued_and_any_other_starts_a_new_trace(trace, traceparent, tracestate):
    span = trace(traceparent, tracestate)
    parent = parse_traceparent([value.lstrip(b" \t") for value in traceparent])
    if parent:
        assert (span.trace_id, span.parent_id) == parent
        assert span.trace_state == parse_tracestate(tracestate)
    else:
        assert (span.parent_id, span.trace_state) == ("", "")


def test_where_the_sdk_stops_short_of_level_2_the_tracestate_is_lost_and_the_trace_goes_on(trace):
    short = {
        "a key with a digit first": b"1st=key",
        "a key with two at signs": b"a@b@c=1",
        "a key with a digit after the at sign": b"t@0=1",
        "a key with more than 14 characters after the at sign": b"tenant@a-long-system-id=1",
        "more than 8,192 characters": b",".join(b"k%d=%0256d" % (number, number) for number in range(32)),
    }
    for what, tracestate in short.items():
        span = trace([VALID], [tracestate])
        assert (span.trace_id, span.parent_id, span.trace_state) == (TRACE_ID, PARENT_ID, ""), what
    span = trace([VALID], [b"good=1", b"1st=key"])  # and the good ones with it
    assert span.trace_state == ""


# Any request.

any_bytes = st.binary(max_size=300).map(lambda value: value.translate(None, b"\r\n"))
token = st.text(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&'*+-.^_`|~0123456789", min_size=1, max_size=20
)
methods = st.one_of(
    st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"OPTIONS", b"TRACE", b"DELETE", b"CONNECT"]),
    token.map(str.encode),
)
routes = st.sampled_from([b"/ping", b"/redis/", b"/pymongo/", b"/", b"//", b"", b"*", b"http://elsewhere/", b"/static"])
targets = st.tuples(routes, st.binary(max_size=100).map(lambda value: re.sub(rb"[\x00-\x20\x7f-\xff]", b"%", value)))
names = st.sampled_from(
    [b"Host", b"User-Agent", b"traceparent", b"tracestate", b"X-Forwarded-For", b"Accept", b"Content-Type", b"Cookie",
     b"Range", b"Expect", b"Authorization", b"If-None-Match"]
)  # fmt: skip


@pytest.fixture
def url(shared_server):
    """The address of a server that must live through it."""
    yield shared_server.url
    assert shared_server.returncode is None
    assert "Traceback" not in shared_server.output


@bounded
@given(methods, targets, st.binary(max_size=500), st.booleans())
def test_any_method_path_query_and_body_has_an_answer_below_500(url, method, target, body, is_measured):
    length = (b"Content-Length", str(len(body)).encode()) if is_measured else (b"Transfer-Encoding", b"chunked")
    status = send(url, method, b"".join(target), [length], body)
    assert status is None or status < 500


@bounded
@given(st.lists(st.tuples(names, any_bytes), max_size=5))
@example([(b"Host", b"")])
@example([(b"Host", b"[::1]:8081")])
@example([(b"Host", b"localhost:99999")])
@example([(b"Host", b"a\r\n b")])
@example([(b"Host", b"localhost:\xd9\xa3")])
@example([(b"Host", b"a"), (b"Host", b"b")])
@example([(b"User-Agent", b"x" * 60_000)])
def test_any_header_has_an_answer_below_500(url, headers):
    status = send(url, target=b"/ping", headers=headers)
    assert status is None or status < 500


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        (b"/redis/" + b"9" * 60_000, []),
        (b"/redis/" + b"9" * 70_000, []),
        (b"/ping?" + b"q" * 60_000, []),
        (b"/ping", [(b"traceparent", b"x" * 70_000)]),
        (b"/ping", [(b"x", b"y")] * 200),
    ],
)
def test_a_request_beyond_the_limits_of_http_is_refused(url, target, headers):
    status = send(url, target=target, headers=headers)
    assert status is None or status < 500


# Any setting.

ENORMOUS = "x" * 100_000
WRONG = {
    "SERVER_HOST": ["256.1.1.1", "http://127.0.0.1:80", ENORMOUS, "unix:///no/such/folder"],
    "SERVER_PORT": ["http://localhost:8081", "0x50"],
    "REDIS_URL": [ENORMOUS, "mongodb://localhost", "6379", "redis://user:secret@localhost/0?db=x"],
    "MONGODB_URI": ["http://user:secret@localhost", "mongodb://a,,b", "mongodb://user:secret@"],
    "LS_ACCESS_TOKEN": ["sécret-token", "secret\ntoken"],
    "OTEL_EXPORTER_OTLP_ENDPOINT": ["http://[::1"],
    "OTEL_EXPORTER_OTLP_HEADERS": [
        *("Authorization: Bearer secret", "secret", "a=b,secret", "a b=secret", 'a="secret"', "=secret", "a=b;secret"),
    ],
}


@pytest.mark.parametrize("variable", WRONG)
def test_a_wrong_value_ends_the_start_with_one_clear_line(start, variable):
    processes = [start("server.py", **({"SERVER_PORT": free_port()} | {variable: value})) for value in WRONG[variable]]
    for process, value in zip(processes, WRONG[variable], strict=True):
        assert process.wait() == 1, value[:100]
        assert "Traceback" not in process.output, value[:100]
        last = process.err.splitlines()[-1]
        assert variable in last
        assert "secret" not in process.output


SETTINGS = [
    "LS_ACCESS_TOKEN",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "REDIS_URL",
    "MONGODB_URI",
    "SERVER_HOST",
    "SERVER_PORT",
]


@pytest.mark.parametrize("value", ["", " \t "], ids=["empty", "blank"])
def test_an_empty_or_blank_setting_is_the_default(start, value):
    process = start("server.py", **dict.fromkeys(SETTINGS, value))
    process.wait_for("Traces of test-py-manual-otlp go to http://localhost:4317")
    process.wait_for(r"Running on http://127\.0\.0\.1:8081|Nothing can listen on 127\.0\.0\.1:8081")
    assert "Traceback" not in process.output


ODD = [  # but of the right kind: the server starts, and a ping says what is wrong
    {"REDIS_URL": "redis://" + "x" * 1000, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + ENORMOUS},
    {"REDIS_URL": "redis://localhost:1?no_such_option=1", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1/path?"},
    {"MONGODB_URI": "mongodb://" + "x" * 1000, "OTEL_EXPORTER_OTLP_ENDPOINT": "nobody"},
    {
        "MONGODB_URI": ENORMOUS,
        "OTEL_EXPORTER_OTLP_ENDPOINT": "foo bar",
        "OTEL_RESOURCE_ATTRIBUTES": "=,,a=b=c,%%%,service.name",
    },
    {"MONGODB_URI": "27017", "OTEL_SERVICE_NAME": ENORMOUS, "OTEL_EXPORTER_OTLP_HEADERS": " a = b ,, c=d=e%20f"},
    {"MONGODB_URI": "mongodb://localhost:1/?no_such_option=1&w=-1", "LS_ACCESS_TOKEN": ENORMOUS},
]


def test_an_odd_value_of_the_right_kind_starts_and_a_ping_has_an_answer(start):
    ports = [free_port() for _ in ODD]
    nothing = {"REDIS_URL": "redis://localhost:1", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    settings = [nothing | {"SERVER_PORT": port} | odd for port, odd in zip(ports, ODD, strict=True)]
    processes = [start("server.py", **each) for each in settings]
    for process, port, odd in zip(processes, ports, ODD, strict=True):
        process.wait_for_port(port)
        assert "Traceback" not in process.output, odd
        answer = requests.get(f"http://127.0.0.1:{port}/ping", timeout=10)
        assert answer.status_code == 500
        assert re.fullmatch(r"(Redis could not .*|The server failed): \w+ \(trace \w{32}\)\n", answer.text)


# Secrets.

SECRETS = ("token-secret", "redis-secret", "mongo-secret")
VERBOSE = """
import logging, runpy
logging.basicConfig(level=logging.DEBUG)
runpy.run_path("server.py", run_name="__main__")
"""


class OldRedis:
    """A server that repeats the command that it does not know, arguments and all, as Redis 5 does with HELLO."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                words = [word for word in connection.recv(4096).split(b"\r\n") if word and word[:1] not in b"*$"]
                rest = b" ".join(b"`" + word + b"`," for word in words[1:])
                known = words[0].upper() == b"AUTH"
                wrong = b"-ERR invalid password\r\n"
                unknown = b"-ERR unknown command `" + words[0] + b"`, with args beginning with: " + rest + b"\r\n"
                connection.sendall(wrong if known else unknown)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def all_that_is_seen(start, sink, redis_port, mongodb_port):
    """Ping a verbose server with secrets in its settings; return its answers, its output and its spans as one text."""
    port = free_port()
    settings = {
        "SERVER_PORT": port,
        "LS_ACCESS_TOKEN": "token-secret",
        "REDIS_URL": f"redis://user:redis-secret@localhost:{redis_port}/0",
        "MONGODB_URI": f"mongodb://user:mongo-secret@localhost:{mongodb_port}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint,
        "FLASK_DEBUG": 1,
    }
    process = start("-c", VERBOSE, **settings).wait_for_port(port)
    paths = ["/ping", "/redis/1", "/pymongo/1", "/redis/x", "/nowhere"]
    responses = [requests.get(f"http://127.0.0.1:{port}{path}", timeout=20) for path in paths]
    assert 500 in {response.status_code for response in responses}
    process.stop()
    assert sink.spans
    assert sink.headers[0]["lightstep-access-token"] == "token-secret"
    seen = [f"{response.headers}{response.text}" for response in responses] + [
        str(request) for request in sink.requests
    ]
    return process.output + "".join(seen)


@pytest.mark.parametrize("state", ["down", "wrong password"])
def test_no_secret_is_seen(start, sink, redis_server, mongodb_server, state):
    ports = (free_port(), free_port()) if state == "down" else (redis_server.port, mongodb_server.port)
    seen = all_that_is_seen(start, sink, *ports)
    assert not [secret for secret in SECRETS if secret in seen]


def test_no_secret_is_seen_when_an_old_redis_repeats_what_it_was_sent(start, sink):
    old = OldRedis()
    try:
        seen = all_that_is_seen(start, sink, old.port, free_port())
    finally:
        old.close()
    assert not [secret for secret in SECRETS if secret in seen]


def test_the_client_shows_no_token(client, sink):
    url = f"http://localhost:{free_port()}/"
    pinger = client("--count", 1, DESTINATION_URL=url, LS_ACCESS_TOKEN="token-secret")
    pinger.wait()
    assert sink.headers[0]["lightstep-access-token"] == "token-secret"
    assert "token-secret" not in pinger.output + str(sink.requests)
