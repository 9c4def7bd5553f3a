"""The span contract: one trace over two processes, in success and in failure."""

import re
import socket
from pathlib import Path

import pytest
import requests
from opentelemetry.semconv import attributes as semantic_conventions

from beyond.conventions import http_client_attributes
from beyond.databases import connect_to_mongodb, connect_to_redis
from tests.conftest import client_settings
from tests.support import ROOT, Process, ask, clean_environment, free_port

PARENTS = {
    "client operation": None,
    "/ping": "client operation",
    "redis_integration": "/ping",
    "server redis operation": "redis_integration",
    "pymongo_integration": "/ping",
    "server pymongo operation": "pymongo_integration",
}
KINDS = {
    "client operation": "CLIENT",
    "/ping": "SERVER",
    "redis_integration": "INTERNAL",
    "server redis operation": "CLIENT",
    "pymongo_integration": "INTERNAL",
    "server pymongo operation": "CLIENT",
}


@pytest.fixture
def ping(server, client, sink):
    """Run the client once against a server with these settings: its process and the spans, by name."""

    def ping(names, **settings):
        pinger = client("test", "--count", 1, DESTINATION_URL=f"{server(**settings).url}/ping")
        pinger.wait()
        return pinger, sink.wait_for_trace(names)

    return ping


@pytest.fixture(scope="module")
def healthy(shared_server, shared_sink):
    """The spans of one healthy ping, by name."""
    settings = client_settings(shared_sink) | {"DESTINATION_URL": f"{shared_server.url}/ping"}
    with Process.python("client.py", "test", "--count", 1, env=clean_environment(**settings)) as pinger:
        assert pinger.wait() == 0
        trace_id = re.search("00-(.{32})-", pinger.err)[1]
    return shared_sink.wait_for_trace(KINDS, trace_id)


def test_a_ping_is_one_trace_of_six_spans_each_with_its_parent(healthy):
    names = {span.span_id: name for name, span in healthy.items()}
    assert {name: names.get(span.parent_id) for name, span in healthy.items()} == PARENTS
    assert healthy["client operation"].parent_id == ""


def test_each_span_has_its_kind(healthy):
    assert {name: span.kind for name, span in healthy.items()} == KINDS


def test_each_span_has_exactly_its_attributes(healthy, shared_server, redis_server, mongodb_server):
    assert {name: span.attributes for name, span in healthy.items()} == {
        "client operation": {
            "http.request.method": "GET",
            "url.full": f"http://localhost:{shared_server.port}/ping",
            "server.address": "localhost",
            "server.port": shared_server.port,
            "http.response.status_code": 200,
        },
        "/ping": {
            "http.request.method": "GET",
            "http.route": "/ping",
            "url.path": "/ping",
            "url.scheme": "http",
            "server.address": "localhost",
            "server.port": shared_server.port,
            "http.response.status_code": 200,
            "client.address": "127.0.0.1",
            "user_agent.original": requests.utils.default_user_agent(),
            "network.protocol.version": "1.1",
        },
        "redis_integration": {},
        "server redis operation": {
            "db.system.name": "redis",
            "db.operation.name": "MSET",
            "db.namespace": "0",
            "server.address": "localhost",
            "server.port": redis_server.port,
        },
        "pymongo_integration": {},
        "server pymongo operation": {
            "db.system.name": "mongodb",
            "db.operation.name": "find",
            "db.namespace": "opentelemetry-tests",
            "db.collection.name": "tests",
            "server.address": "localhost",
            "server.port": mongodb_server.port,
        },
    }


def test_a_span_that_went_well_stays_unset(healthy):
    assert {span.status for span in healthy.values()} == {"UNSET"}


def test_each_span_says_which_service_it_is_of_and_which_file(healthy):
    client = healthy["client operation"]
    assert (client.service, client.scope) == ("py-opentelemetry-manual-otlp-client", "client")
    assert client.resource["service.version"] == "10.10.10"
    for span in healthy.values():
        if span is not client:
            assert (span.service, span.scope) == ("py-opentelemetry-manual-otlp-server", "server")
            assert span.resource["service.version"] == "10.10.9"


def test_attribute_names_come_from_the_stable_semantic_conventions():
    folder = Path(semantic_conventions.__path__[0])
    stable = "\n".join(path.read_text() for path in folder.glob("*_attributes.py"))
    for file in ("client.py", "server.py", "beyond/conventions.py", "beyond/databases.py"):
        source = (ROOT / file).read_text()
        imports = re.findall(r"opentelemetry\.semconv\.(\S+) import (?:\(([^)]*)\)|(.*))", source)
        assert imports
        for module, wrapped, names in imports:
            assert module.startswith("attributes.")
            for name in re.findall(r"[A-Z_]+", wrapped or names):
                assert re.search(rf"^{name}: Final", stable, re.M), name


def assert_in_error(span, exception):
    """The span is in error, and holds the exception with type, message and stack trace."""
    assert span.status == "ERROR", span
    [(name, event)] = span.events
    assert name == "exception"
    assert event["exception.type"] == exception
    assert event["exception.message"]
    assert "Traceback (most recent call last)" in event["exception.stacktrace"]
    assert event["exception.message"] in span.message
    assert span.kind == "INTERNAL" or span.attributes["error.type"] == exception


def test_with_both_databases_down_redis_fails_first_and_every_span_up_to_the_client_is_in_error(ping):
    port = free_port()
    down = {"REDIS_URL": f"redis://localhost:{port}", "MONGODB_URI": f"mongodb://localhost:{free_port()}"}
    pinger, spans = ping(["client operation", "/ping", "redis_integration", "server redis operation"], **down)
    client = spans.pop("client operation")
    for span in spans.values():
        assert_in_error(span, "redis.exceptions.ConnectionError")
    assert spans["server redis operation"].attributes["server.port"] == port
    assert spans["/ping"].attributes["http.response.status_code"] == 500
    assert (client.status, client.message, client.events) == ("ERROR", "", [])
    assert client.attributes["error.type"] == "500"
    assert client.attributes["http.response.status_code"] == 500
    assert pinger.returncode == 1


def test_with_mongodb_down_the_redis_spans_stay_healthy(ping):
    _, spans = ping(KINDS, MONGODB_URI=f"mongodb://localhost:{free_port()}")
    for name in ("/ping", "pymongo_integration", "server pymongo operation"):
        assert_in_error(spans[name], "pymongo.errors.ServerSelectionTimeoutError")
    assert spans["client operation"].status == "ERROR"
    assert {spans[name].status for name in ("redis_integration", "server redis operation")} == {"UNSET"}


@pytest.mark.parametrize("name", ["redis", "pymongo"])
def test_a_direct_route_continues_the_callers_trace(shared_server, shared_sink, name):
    trace_id, parent_id = f"{name.encode().hex():0>32}", "b7ad6b7169203331"
    headers = [("traceparent", f"00-{trace_id}-{parent_id}-01")]
    assert ask(shared_server.port, f"/{name}/7", headers) == 200
    names = [f"/{name}/<length>", f"{name}_integration", f"server {name} operation"]
    route, integration, database = map(shared_sink.wait_for_trace(names, trace_id).get, names)
    assert [route.parent_id, integration.parent_id] == [parent_id, route.span_id]
    assert database.parent_id == integration.span_id
    assert (route.kind, route.attributes["url.path"]) == ("SERVER", f"/{name}/7")
    assert route.attributes["http.route"] == f"/{name}/<int(max=65536):length>"  # in Flask's words


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/redis/abc", 404), ("GET", "/redis/65537", 404), ("GET", "/nowhere", 404), ("POST", "/ping", 405)],
)
def test_what_is_no_route_is_flasks_404_or_405_without_a_span(
    shared_server, shared_sink, server_span, method, path, status
):
    assert ask(shared_server.port, f"{path}?no-route", method=method) == status
    server_span()  # which leaves after that of the other would
    assert not [span for span in shared_sink.spans if span.attributes.get("url.query") == "no-route"]


@pytest.mark.parametrize(
    ("host", "address", "port"),
    [("example.com:99", "example.com", 99), ("[::1]:99", "::1", 99), ("example.com", "example.com", None)],
)
def test_the_server_address_and_port_are_those_of_the_host_header(server_span, host, address, port):
    attributes = server_span([("Host", host)]).attributes
    assert (attributes["server.address"], attributes.get("server.port")) == (address, port)


@pytest.mark.parametrize("host", ["", "example.com:99999", "[::1"])
def test_where_that_header_names_no_address_they_are_the_sockets(server_span, shared_server, host):
    attributes = server_span([("Host", host)]).attributes
    assert (attributes["server.address"], attributes["server.port"]) == ("127.0.0.1", shared_server.port)


@pytest.fixture(scope="module")
def waitress(shared_sink, redis_server, mongodb_server, tmp_path_factory):
    """Ask a server on a unix socket and under a mount point, over HTTP/1.0 without a Host; return the answer."""
    path = str(tmp_path_factory.mktemp("waitress") / "socket")
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": shared_sink.endpoint, "OTEL_BSP_SCHEDULE_DELAY": 50}
    settings |= {"REDIS_URL": redis_server.url, "MONGODB_URI": mongodb_server.uri}
    options = [f"--unix-socket={path}", "--url-prefix=/shop", "server:app"]
    with Process.python("-m", "waitress", *options, env=clean_environment(**settings)) as process:
        process.wait_for("Serving on")

        def waitress(target):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(path)
                connection.sendall(f"GET {target} HTTP/1.0\r\n\r\n".encode())
                return b"".join(iter(lambda: connection.recv(4096), b""))

        yield waitress


def test_a_request_without_host_and_port_is_answered_and_has_its_span(waitress, shared_sink):
    assert b" 200 OK" in waitress("/shop/redis/1?without-host").splitlines()[0]
    span = shared_sink.wait_for_span("url.query", "without-host")
    assert span.attributes["http.response.status_code"] == 200
    assert span.attributes["network.protocol.version"] == "1.0"
    assert not {"server.port", "user_agent.original"} & span.attributes.keys()


def test_under_a_mount_point_path_and_route_begin_with_it(waitress, shared_sink):
    waitress("/shop/ping?mounted")
    attributes = shared_sink.wait_for_span("url.query", "mounted").attributes
    assert (attributes["url.path"], attributes["http.route"]) == ("/shop/ping", "/shop/ping")


@pytest.mark.parametrize(
    ("url", "database", "address", "port"),
    [
        ("redis://127.0.0.9", "0", "127.0.0.9", 6379),
        ("redis://user:secret@host:1/3", "3", "host", 1),
        ("redis://localhost:1?db=2", "2", "localhost", 1),
        ("unix:///run/redis.sock", "0", "/run/redis.sock", None),
        ("mongodb://127.0.0.9", "opentelemetry-tests", "127.0.0.9", 27017),
        ("mongodb://user:secret@first:1,second:2/other", "opentelemetry-tests", "first", 1),
        ("mongodb://%2Frun%2Fmongodb.sock", "opentelemetry-tests", "/run/mongodb.sock", None),
    ],
)
def test_a_database_span_names_what_the_client_is_configured_with(monkeypatch, url, database, address, port):
    variable, connect = (
        ("MONGODB_URI", connect_to_mongodb) if url.startswith("mongodb") else ("REDIS_URL", connect_to_redis)
    )
    monkeypatch.setenv(variable, url)
    client, attributes = connect()
    client.close()
    assert (attributes["db.namespace"], attributes["server.address"]) == (database, address)
    assert attributes.get("server.port") == port
    assert None not in attributes.values()


KEYS = ["sig", "Signature", "AWSAccessKeyId", "X-Goog-Signature", "X-Amz-Signature", "X-Amz-Credential"]
SIGNED = "?" + "&".join(f"{key}=secret" for key in [*KEYS, "X-Amz-Security-Token"]) + "&x=y"
REDACTED = SIGNED.replace("secret", "REDACTED")


@pytest.mark.parametrize(
    ("url", "recorded", "port"),
    [
        ("http://host/ping", "http://host/ping", 80),
        ("https://user:secret@host/ping", "https://REDACTED:REDACTED@host/ping", 443),
        (f"http://user:se@cret@host:99/{SIGNED}#top", f"http://REDACTED:REDACTED@host:99/{REDACTED}#top", 99),
        (" HTTP://user:secret@host/", " HTTP://REDACTED:REDACTED@host/", 80),
        ("http://host:99/@me?to=a@b", "http://host:99/@me?to=a@b", 99),
    ],
)
def test_what_is_secret_in_a_url_is_redacted(url, recorded, port):
    attributes = http_client_attributes(url)
    assert attributes["url.full"] == recorded
    assert (attributes["server.address"], attributes["server.port"]) == ("host", port)


def test_what_is_secret_in_a_query_is_redacted(shared_server, shared_sink):
    ask(shared_server.port, f"/redis/1{SIGNED}")
    shared_sink.wait_for_span("url.query", REDACTED.removeprefix("?"))
    assert "secret" not in str(shared_sink.requests)


READERS = """
from server import *

class Theirs(Exception):
    pass

theirs = Theirs("line one\\nline two" + "x" * 5_000)

def fail(*_):
    raise theirs

@app.errorhandler(Theirs)
def handle(error):
    return str(error is theirs)

redis_client.mset = fail
print(app.test_client().get("/redis/1").text)
theirs = SystemExit()
app.test_client().get("/redis/1?ends-the-worker")
"""


@pytest.fixture(scope="module")
def readers(shared_sink, mongodb_server):
    """A program of a reader's, in which a database raises what it has never raised; it has ended."""
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": shared_sink.endpoint, "MONGODB_URI": mongodb_server.uri}
    with Process.python("-c", READERS, env=clean_environment(**settings)) as process:
        assert process.wait() == 0, process.err
        yield process


def test_an_error_handler_of_the_application_gets_the_exception_as_it_was_raised(readers):
    assert readers.out == "True\n"


def test_what_is_no_exception_leaves_its_server_span_without_a_status_code(readers, shared_sink):
    attributes = shared_sink.wait_for_span("url.query", "ends-the-worker").attributes
    assert not {"http.response.status_code", "error.type"} & attributes.keys()
