"""The span contract: one trace over two processes, in success and in failure."""

import re
from pathlib import Path

import pytest
import requests
from opentelemetry.semconv import attributes as semantic_conventions

from tests.conftest import client_settings
from tests.support import ROOT, MongoDB, Process, Redis, clean_environment, free_port

PING = {"client operation", "/ping"}
REDIS = {"redis_integration", "server redis operation"}
MONGODB = {"pymongo_integration", "server pymongo operation"}
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
        process = server(**settings)
        pinger = client("test", "--count", 1, DESTINATION_URL=f"{process.url}/ping")
        pinger.wait()
        return pinger, sink.wait_for_trace(names)

    return ping


@pytest.fixture(scope="module")
def healthy(shared_server, shared_sink):
    """The spans of one healthy ping, by name."""
    settings = client_settings(shared_sink) | {"DESTINATION_URL": f"{shared_server.url}/ping"}
    with Process.python("client.py", "test", "--count", 1, env=clean_environment(**settings)) as pinger:
        assert pinger.wait() == 0
    return shared_sink.wait_for_trace(PING | REDIS | MONGODB)


def test_a_ping_is_one_trace_of_six_spans(healthy):
    assert len({span.trace_id for span in healthy.values()}) == 1


@pytest.mark.parametrize(
    ("name", "parent"),
    [
        ("/ping", "client operation"),
        ("redis_integration", "/ping"),
        ("server redis operation", "redis_integration"),
        ("pymongo_integration", "/ping"),
        ("server pymongo operation", "pymongo_integration"),
    ],
)
def test_each_span_has_its_parent(healthy, name, parent):
    assert healthy[name].parent_id == healthy[parent].span_id


def test_the_client_operation_is_the_root(healthy):
    assert healthy["client operation"].parent_id == ""


def test_each_span_has_its_kind(healthy):
    assert {name: span.kind for name, span in healthy.items()} == KINDS


def test_each_span_has_exactly_its_attributes(healthy, redis_server, mongodb_server):
    port = healthy["/ping"].attributes["server.port"]
    assert {name: span.attributes for name, span in healthy.items()} == {
        "client operation": {
            "http.request.method": "GET",
            "url.full": f"http://localhost:{port}/ping",
            "server.address": "localhost",
            "server.port": port,
            "http.response.status_code": 200,
        },
        "/ping": {
            "http.request.method": "GET",
            "http.route": "/ping",
            "url.path": "/ping",
            "url.scheme": "http",
            "server.address": "localhost",
            "server.port": port,
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


def test_each_span_says_which_service_it_is_of(healthy):
    client, *server = sorted(healthy.values(), key=lambda span: span.service)
    assert client.service == "py-opentelemetry-manual-otlp-client"
    assert client.resource["service.version"] == "10.10.10"
    assert {span.service for span in server} == {"py-opentelemetry-manual-otlp-server"}
    assert {span.resource["service.version"] for span in server} == {"10.10.9"}


def test_the_instrumentation_scope_is_the_file(healthy):
    assert healthy["client operation"].scope == "client"
    assert healthy["/ping"].scope == "server"


def test_attribute_names_come_from_the_stable_semantic_conventions():
    folder = Path(semantic_conventions.__path__[0])
    stable = "\n".join(path.read_text() for path in folder.glob("*_attributes.py"))
    for file in ("client.py", "beyond/conventions.py", "beyond/databases.py"):
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


@pytest.mark.parametrize("mongodb_too", [False, True], ids=["redis down", "both down"])
def test_with_redis_down_every_span_up_to_the_client_is_in_error(ping, mongodb_too):
    port = free_port()
    settings = {"MONGODB_URI": f"mongodb://localhost:{free_port()}"} if mongodb_too else {}
    pinger, spans = ping(PING | REDIS, REDIS_URL=f"redis://localhost:{port}", **settings)
    for name in ("/ping", "redis_integration", "server redis operation"):
        assert_in_error(spans[name], "redis.exceptions.ConnectionError")
    assert (spans["client operation"].status, spans["client operation"].events) == ("ERROR", [])
    assert spans["server redis operation"].attributes["error.type"] == "redis.exceptions.ConnectionError"
    assert spans["server redis operation"].attributes["server.port"] == port
    assert spans["/ping"].attributes["error.type"] == "redis.exceptions.ConnectionError"
    assert spans["/ping"].attributes["http.response.status_code"] == 500
    assert spans["client operation"].attributes["error.type"] == "500"
    assert spans["client operation"].attributes["http.response.status_code"] == 500
    assert pinger.returncode == 1


def test_with_mongodb_down_the_redis_spans_stay_healthy(ping):
    port = free_port()
    _, spans = ping(PING | REDIS | MONGODB, MONGODB_URI=f"mongodb://localhost:{port}")
    for name in ("/ping", "pymongo_integration", "server pymongo operation"):
        assert_in_error(spans[name], "pymongo.errors.ServerSelectionTimeoutError")
    assert spans["client operation"].status == "ERROR"
    assert spans["server pymongo operation"].attributes["error.type"] == "pymongo.errors.ServerSelectionTimeoutError"
    assert spans["server pymongo operation"].attributes["server.port"] == port
    assert {spans[name].status for name in REDIS} == {"UNSET"}


@pytest.mark.parametrize(
    ("path", "names", "database"),
    [
        ("/redis/7", {"/redis/<length>"} | REDIS, "server redis operation"),
        ("/pymongo/7", {"/pymongo/<length>"} | MONGODB, "server pymongo operation"),
    ],
)
def test_a_direct_route_continues_the_callers_trace(server, sink, path, names, database):
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = requests.get(server().url + path, headers={"traceparent": traceparent}, timeout=10)
    spans = sink.wait_for_trace(names)
    route = spans[(names - REDIS - MONGODB).pop()]
    assert len(answer.text) == 7
    assert {span.trace_id for span in spans.values()} == {"0af7651916cd43dd8448eb211c80319c"}
    assert route.parent_id == "b7ad6b7169203331"
    assert (route.kind, route.attributes["http.route"]) == ("SERVER", route.name)
    assert route.attributes["url.path"] == path
    assert spans[database].status == "UNSET"


def test_a_bad_length_is_a_healthy_server_span_with_400(server, sink):
    answer = requests.get(f"{server().url}/redis/65537", timeout=10)
    spans = sink.wait_for_trace({"/redis/<length>"})
    span = spans["/redis/<length>"]
    assert (answer.status_code, span.status, span.events) == (400, "UNSET", [])
    assert span.attributes["http.response.status_code"] == 400
    assert "error.type" not in span.attributes


def test_a_query_is_recorded_when_there_is_one(server, sink):
    requests.get(f"{server().url}/redis/1?colour=blue", timeout=10)
    assert sink.wait_for(3)[-1].attributes["url.query"] == "colour=blue"


@pytest.mark.parametrize(
    ("header", "address", "port"),
    [
        ("example.com:99", "example.com", 99),
        ("[::1]:99", "::1", 99),
        ("example.com", "example.com", None),
        ("", "127.0.0.1", None),
    ],
)
def test_the_server_address_is_the_hosts_without_its_port(server, sink, header, address, port):
    process = server()
    requests.get(f"{process.url}/redis/1", headers={"Host": header}, timeout=10)
    attributes = sink.wait_for(3)[-1].attributes
    assert attributes["server.address"] == address
    assert attributes["server.port"] == (port or int(process.url.split(":")[2]))


def test_a_database_span_names_what_the_client_is_configured_with(server, sink, tmp_path):
    with Redis(free_port(), tmp_path) as redis, MongoDB(free_port(), tmp_path) as mongodb:
        url = f"redis://127.0.0.1:{redis.port}/3"
        process = server(REDIS_URL=url, MONGODB_URI=f"mongodb://127.0.0.1:{mongodb.port}/?appName=test")
        requests.get(f"{process.url}/ping", timeout=10)
        spans = {span.name: span.attributes for span in sink.wait_for(5)}
    redis_attributes, mongodb_attributes = spans["server redis operation"], spans["server pymongo operation"]
    assert redis_attributes["db.namespace"] == "3"
    assert (redis_attributes["server.address"], redis_attributes["server.port"]) == ("127.0.0.1", redis.port)
    assert (mongodb_attributes["server.address"], mongodb_attributes["server.port"]) == ("127.0.0.1", mongodb.port)


def test_defaults_that_a_url_leaves_out_are_filled_in(server, sink):
    process = server(REDIS_URL="redis://127.0.0.9", MONGODB_URI="mongodb://127.0.0.9")
    requests.get(f"{process.url}/redis/1", timeout=10)
    requests.get(f"{process.url}/pymongo/1", timeout=10)
    spans = {span.name: span.attributes for span in sink.wait_for(6)}
    assert spans["server redis operation"]["db.namespace"] == "0"
    assert spans["server redis operation"]["server.port"] == 6379
    assert spans["server pymongo operation"]["server.port"] == 27017
