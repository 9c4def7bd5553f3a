"""What a server span says, also in a view that a reader writes after the pattern of ours."""

import signal

import pytest
import requests

from tests.proxy import Proxy
from tests.support import Redis, free_port

VIEWS = """
from flask import Response, abort
from server import *

class Teapot(Exception):
    pass

@app.errorhandler(Teapot)
def short_and_stout(error):
    return "short and stout", 422

@app.errorhandler(KeyError)
def unavailable(error):
    return "later", 503

@app.errorhandler(IndexError)
def gone(error):
    abort(410)

def handled(): raise Teapot
def own(): return Response("mine", 418)
def words(): return "created", 201
def unavailable_view(): raise KeyError("gone")
def gone_view(): raise IndexError
def broken(): raise ValueError("no good")
def nothing(): return None

WORK = {
    "abort-404": lambda: abort(404), "abort-500": lambda: abort(500), "abort-503": lambda: abort(503), "own": own,
    "words": words, "handled": handled, "gone": gone_view, "unavailable": unavailable_view,
    "broken": broken, "nothing": nothing,
}

@app.route("/mine/<work>")
def mine(work):
    ctx = get_context_from_flask_request(request)
    attributes = http_server_attributes(request)
    with tracer.start_as_current_span("mine", context=ctx, kind=SpanKind.SERVER, attributes=attributes) as span:
        return record_response(span, WORK[work])

app.run(*get_address())
"""


@pytest.fixture
def mine(start, sink):
    """Ask a server with views of a reader's for one of them; return the answer and the span."""

    def mine(work):
        port = free_port()
        settings = {"SERVER_PORT": port, "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint, "OTEL_BSP_SCHEDULE_DELAY": 100}
        start("-c", VIEWS, **settings).wait_for_port(port)
        answer = requests.get(f"http://127.0.0.1:{port}/mine/{work}", timeout=20)
        return answer, sink.wait_for_trace({"mine"})["mine"]

    return mine


@pytest.mark.parametrize(
    ("work", "code"), [("abort-404", 404), ("own", 418), ("words", 201), ("handled", 422), ("gone", 410)], ids=str
)
def test_an_answer_below_500_is_no_error_and_its_code_is_on_the_span(mine, work, code):
    answer, span = mine(work)
    assert answer.status_code == span.attributes["http.response.status_code"] == code
    assert (span.status, span.events) == ("UNSET", [])
    assert "error.type" not in span.attributes


@pytest.mark.parametrize(("work", "code"), [("abort-500", 500), ("abort-503", 503), ("unavailable", 503)], ids=str)
def test_an_answer_of_500_or_more_that_a_view_makes_itself_is_an_error(mine, work, code):
    answer, span = mine(work)
    assert answer.status_code == span.attributes["http.response.status_code"] == code
    assert (span.status, span.attributes["error.type"]) == ("ERROR", str(code))


@pytest.mark.parametrize(("work", "error"), [("broken", "ValueError"), ("nothing", "TypeError")], ids=str)
def test_what_a_view_raises_is_recorded_as_the_sdk_does(mine, work, error):
    answer, span = mine(work)
    assert answer.status_code == span.attributes["http.response.status_code"] == 500
    assert answer.text == f"The server failed: {error} (trace {span.trace_id})\n"
    assert (span.status, span.attributes["error.type"]) == ("ERROR", error)
    assert span.events[0][1]["exception.type"] == error


def test_an_answer_of_the_programs_own_to_a_500_stays(start, sink):
    port = free_port()
    own = VIEWS.replace("def handled()", "app.register_error_handler(500, lambda _: ('sorry', 500))\n\ndef handled()")
    settings = {"SERVER_PORT": port, "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint}
    start("-c", own, **settings).wait_for_port(port)
    answer = requests.get(f"http://127.0.0.1:{port}/mine/broken", timeout=20)
    assert (answer.status_code, answer.text) == (500, "sorry")


def test_a_ping_that_its_worker_does_not_survive_has_no_status_code(start, sink, redis_server, mongodb_server):
    port = free_port()
    with Proxy(mongodb_server.port, "hang") as hanging:
        settings = {
            "REDIS_URL": redis_server.url,
            "MONGODB_URI": f"mongodb://127.0.0.1:{hanging.port}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint,
        }
        options = ["--bind", f"127.0.0.1:{port}", "--timeout", 1, "--no-control-socket"]
        process = start("-m", "gunicorn", *options, "server:app", **settings).wait_for_port(port)
        requests.get(f"http://127.0.0.1:{port}/ping", timeout=20)
        process.wait_for("SystemExit: 1")
        span = {span.name: span for span in sink.wait_for(5)}["/ping"]
        assert process.stop(signal.SIGTERM) == 0
    assert "http.response.status_code" not in span.attributes


def test_signatures_in_a_query_are_redacted(shared_server, shared_sink):
    before = len(shared_sink.spans)
    requests.get(f"{shared_server.url}/redis/1?a=b&Signature=secret&X-Goog-Signature=secret", timeout=10)
    span = shared_sink.wait_for(before + 3)[-1]
    assert span.attributes["url.query"] == "a=b&Signature=REDACTED&X-Goog-Signature=REDACTED"


@pytest.mark.parametrize(
    "header", ["::1", "h:99999", "h:0", "[::1", "h:", ":8081", "a:b:c"], ids=lambda header: f"Host {header}"
)
def test_a_host_header_that_names_no_address_gives_the_sockets(shared_server, shared_sink, header):
    before = len(shared_sink.spans)
    requests.get(f"{shared_server.url}/redis/1", headers={"Host": header}, timeout=10)
    attributes = shared_sink.wait_for(before + 3)[-1].attributes
    port = int(shared_server.url.rpartition(":")[2])
    assert (attributes["server.address"], attributes["server.port"]) == ("127.0.0.1", port)


def test_a_unix_socket_has_no_port(server, sink, tmp_path):
    settings = {"REDIS_URL": f"unix://{tmp_path}/redis.sock", "MONGODB_URI": f"mongodb://{tmp_path}/mongodb.sock"}
    settings["MONGODB_URI"] = settings["MONGODB_URI"].replace("/", "%2F").replace("mongodb:%2F%2F", "mongodb://")
    url = server(**settings).url
    answers = [requests.get(f"{url}/{path}/1", timeout=20).text for path in ("redis", "pymongo")]
    spans = {span.name: span.attributes for span in sink.wait_for(6)}
    for name, answer, file in (
        ("server redis operation", answers[0], "redis.sock"),
        ("server pymongo operation", answers[1], "mongodb.sock"),
    ):
        assert spans[name]["server.address"] == f"{tmp_path}/{file}"
        assert "server.port" not in spans[name]
        assert f" at {tmp_path}/{file}: " in answer


def test_of_several_hosts_the_first_is_named(server, sink):
    hosts = ",".join(f"127.0.0.{number}:{free_port()}" for number in (9, 3, 7, 5))
    requests.get(f"{server(MONGODB_URI=f'mongodb://{hosts}/').url}/pymongo/1", timeout=20)
    span = {span.name: span.attributes for span in sink.wait_for(3)}["server pymongo operation"]
    assert f"{span['server.address']}:{span['server.port']}" == hosts.split(",")[0]


def test_a_database_in_the_query_of_the_url_is_the_namespace(server, sink, tmp_path):
    with Redis(free_port(), tmp_path) as redis:
        assert requests.get(f"{server(REDIS_URL=f'{redis.url}?db=2').url}/redis/1", timeout=20).status_code == 200
    spans = {span.name: span.attributes for span in sink.wait_for(3)}
    assert spans["server redis operation"]["db.namespace"] == "2"
