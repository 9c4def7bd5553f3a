"""Each rule of the advice speaks on the smallest trace that deserves it, and is silent on the nearest that does not."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.docs.pages import anchors
from tests.support import ROOT, free_port
from tests.viewer.otlp import attribute, case, exception, messages, request, send, span, trace_id
from viewer import advice
from viewer.advice import Advisor
from viewer.neighbours import find_facts
from viewer.store import Store
from viewer.web import create_app

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = range(1, 6)
OK, ERROR = Status(code=Status.STATUS_CODE_OK), Status(code=Status.STATUS_CODE_ERROR)
GET = {"http.request.method": "GET"}
PING = GET | {"url.path": "/ping", "url.scheme": "http", "server.address": "localhost"}
CALL = GET | {"url.full": "http://127.0.0.1:8081/ping", "server.address": "127.0.0.1", "server.port": "8081"}


def make(name="work", kind=INTERNAL, attributes=(), **fields):
    """Return a span of this kind with these attributes (dict of texts)."""
    pairs = [attribute(key, value) for key, value in dict(attributes).items()]
    return span(name, kind=kind, attributes=pairs, **fields)


def coded(attributes, code=200):
    """Return the attributes of a call over HTTP that was answered by this status code."""
    return attributes | {"http.response.status_code": str(code)}


def reviewed(requests):
    """Return the advice for each trace in these requests, long after they came: a dictionary by trace id."""
    store = Store()
    for each in requests:
        send(store, each)
    facts = {summary.trace_id: find_facts(store.trace(summary.trace_id)) for summary in store.summaries()}
    neighbours = {id: [facts[other] for other in facts if other != id] for id in facts}
    return {id: advice.review(store.trace(id), neighbours[id]) for id in facts}


def given_by(*requests, trace=1):
    """Return the advice for one trace in these requests."""
    return reviewed(requests)[trace_id(trace)]


def rules(*requests, trace=1):
    """Return the names of the rules that speak."""
    return [each.rule for each in given_by(*requests, trace=trace)]


def only(*requests, trace=1):
    """Return the one piece of advice that there is."""
    (piece,) = given_by(*requests, trace=trace)
    return piece


# service-name


def unnamed(*spans, **attributes):
    """Return a request whose resource has no attributes but these."""
    made = request(*spans)
    del made.resource_spans[0].resource.attributes[:]
    made.resource_spans[0].resource.attributes.extend(attribute(key, value) for key, value in attributes.items())
    return made


def test_service_name_is_asked_for_once_for_a_resource():
    piece = only(unnamed(span("first", start=0, id=7), span("second", start=5)))
    assert piece == (
        "service-name",
        "0000000000000007",
        "The service.name of “first” is missing: say which program it is, by OTEL_SERVICE_NAME.",
        "docs/reading-guide.md#traps",
    )
    assert rules(unnamed(span(), **{"service.name": "unknown_service:python"})) == ["service-name"]
    assert rules(unnamed(span(), **{"service.name": "shop"})) == []


# lost-context


def pings(code=200, at=0, server_name="/ping", **server):
    """Return a call and its answer in two traces, 1 and 2; `server` changes the span that answers."""
    call = make("client operation", CLIENT, coded(CALL), id=1, start=0, end=30)
    fields = {"trace": 2, "id": 2, "start": at + 2, "end": at + 28} | server
    answer = make(server_name, SERVER, coded(PING | fields.pop("attributes", {}), code), **fields)
    return request(call, service="client"), request(answer, service="server")


def test_a_lost_context_is_said_in_both_traces_and_each_names_the_other():
    see = "docs/experiments.md#6-a-plain-dictionary-of-the-headers"
    remedy = "inject the context into the headers of the request, and extract it from them on the other side"
    assert only(*pings(), trace=1) == (
        "lost-context",
        "0000000000000001",
        f"“client operation” was answered by “/ping” of server, which is in trace {trace_id(2)}: {remedy}.",
        see,
    )
    assert only(*pings(), trace=2) == (
        "lost-context",
        "0000000000000002",
        f"“/ping” answers “client operation” of client, which is in trace {trace_id(1)}: {remedy}.",
        see,
    )


@pytest.mark.parametrize(
    "requests",
    [
        pings(trace=1, parent=1),
        pings(code=404),
        pings(attributes={"url.path": "/pong"}),
        pings(attributes={"http.request.method": "POST"}),
        pings(attributes={"server.address": "example.org"}),
        pings(start=0, end=32),
        pings(parent=99),
    ],
    ids=["one trace", "another code", "another path", "another method", "another host", "longer", "it has a parent"],
)
def test_what_is_no_answer_of_a_call_is_not_called_one(requests):
    assert "lost-context" not in rules(*requests, trace=1)


def test_an_answer_that_redirects_has_another_code_than_the_client():
    assert rules(*pings(code=302)) == ["lost-context"]


def test_a_context_is_not_lost_when_the_call_was_answered_in_its_own_trace():
    answered = make("/ping", SERVER, coded(PING), id=3, parent=1, start=2, end=28)
    assert rules(*pings(), request(answered, service="server")) == []


def test_what_runs_inside_a_client_is_no_answer():
    connect = make("tcp.connect", INTERNAL, id=3, parent=1, start=1, end=2)
    assert rules(*pings(), request(connect, service="client")) == ["lost-context"]


def test_of_two_answers_at_a_time_neither_is_taken():
    other = make("/ping", SERVER, coded(PING), trace=3, start=3, end=27)
    assert rules(*pings(), request(other, service="server")) == []


def test_of_two_answers_that_two_scopes_made_it_is_the_outer_one():
    inner = make("inner", SERVER, coded(PING), trace=3, start=3, end=27)
    text = only(*pings(), request(inner, service="server", scope="another")).text
    assert trace_id(2) in text


def test_with_clocks_apart_an_answer_is_taken_where_nothing_like_it_runs_for_five_seconds():
    assert rules(*pings(at=500)) == ["lost-context"]
    assert rules(*pings(at=1_500)) == []
    for seconds, expected in (4, []), (6, ["lost-context"]):
        other = make("/ping", SERVER, coded(PING), trace=3, start=seconds * 1_000, end=seconds * 1_000 + 20)
        assert rules(*pings(at=500), request(other, service="server")) == expected


# lost-parent


def in_server(*roots):
    """Return a SERVER span of 20 ms in trace 2, and roots of its resource in other traces."""
    return request(make("/ping", SERVER, coded(PING), trace=2, id=2, start=100, end=120, parent=99), *roots)


@pytest.mark.parametrize(
    ("start", "end", "when", "see"),
    [
        (105, 115, "beside", "9-a-pool-of-threads-loses-the-parent"),
        (130, 140, "right after", "12-a-streamed-answer"),
        (99, 121, "around", "7-a-decorator-on-a-view"),
    ],
)
def test_a_root_beside_a_server_span_has_lost_its_parent(start, end, when, see):
    piece = only(in_server(span("load", id=1, start=start, end=end)))
    assert piece.rule == "lost-parent"
    assert piece.text.startswith(f"“load” has no parent, and ran {when} “/ping”, which is in trace {trace_id(2)}: ")
    assert piece.see == f"docs/experiments.md#{see}"


@pytest.mark.parametrize(
    "roots",
    [
        [span("load", start=141, end=142)],
        [span("load", start=90, end=110)],
        [span("load", start=105), span("load", trace=3, start=200)],
        [make("load", SERVER, start=105, end=110)],
        [span("load", start=105, parent=98)],
        [span("load", start=-1_000_000, end=1_000_000)],
        [span("load", start=105), make("/ping", SERVER, start=300, parent=77)],
    ],
    ids=["later", "earlier", "not all", "SERVER", "a parent", "it runs all the time", "it calls"],
)
def test_a_root_that_runs_by_itself_is_left_in_peace(roots):
    assert "lost-parent" not in rules(in_server(*roots))


def test_what_a_client_encloses_may_be_the_answer_to_it():
    assert rules(in_server(make("load", CLIENT, start=99, end=121))) == []


def test_a_root_of_another_program_has_lost_nothing():
    assert rules(in_server(), request(span("load", start=105), service="cron")) == []


def test_a_root_among_many_requests_may_be_there_by_chance():
    busy = [make("/ping", SERVER, coded(PING), trace=n, start=n * 50, end=n * 50 + 20, parent=9) for n in range(2, 802)]
    found = [span("load", trace=1 if n == 2 else n + 10**6, start=n * 50 + 5, end=n * 50 + 6) for n in range(2, 20)]
    assert rules(request(*busy, found[0])) == []
    assert rules(request(*busy, *found)) == ["lost-parent"]


# no-client


@pytest.mark.parametrize(
    ("kind", "service", "expected"),
    [(INTERNAL, "shop", ["no-client"]), (CLIENT, "shop", []), (INTERNAL, "prices", []), (PRODUCER, "shop", [])],
)
def test_a_call_without_a_client_span(kind, service, expected):
    made = (
        request(make("ask", kind, id=1), service=service),
        request(make("/price", SERVER, parent=1), service="prices"),
    )
    assert rules(*made) == expected


@pytest.mark.parametrize("around", [INTERNAL, SERVER])
def test_a_context_that_is_injected_before_the_span_of_the_call(around):
    piece = only(
        request(make("/order", around, id=1, end=100), service="shop"),
        request(make("ask", CLIENT, coded(CALL), id=2, parent=1, start=10, end=90), service="shop"),
        request(make("/ping", SERVER, coded(PING), parent=1, start=20, end=80), service="prices"),
    )
    assert (piece.rule, piece.span_id) == ("no-client", f"{2:016x}")
    assert piece.text == (
        "“ask” is not the parent of “/ping” of prices, which answers it: inject the context inside of its block."
    )


def test_a_call_of_something_else_is_not_the_one_that_was_answered():
    other = CALL | {"url.full": "http://auth/check", "server.address": "auth"}
    assert (
        rules(
            request(make("/order", SERVER, coded(PING), id=1, end=100), service="shop"),
            request(make("ask", CLIENT, coded(other), id=2, parent=1, start=10, end=90), service="shop"),
            request(make("/ping", SERVER, coded(PING), parent=1, start=20, end=80), service="prices"),
        )
        == []
    )


def test_a_server_below_a_server_alone_is_a_proxy():
    around = request(make("/order", SERVER, id=1, end=100), service="proxy")
    assert rules(around, request(make("/order", SERVER, id=2, parent=1, start=20, end=80), service="shop")) == []


# two-servers


def two(scope="flask", **second):
    """Return one request with two SERVER spans, of the scopes `server` and another."""
    first = make("/ping", SERVER, coded(PING), id=1, start=1, end=9, parent=99)
    fields = {"id": 2, "start": 0, "end": 10, "parent": 99} | second
    other = make("GET /ping", SERVER, coded(fields.pop("attributes", PING)), **fields)
    return request(first, scope="server"), request(other, scope=scope)


def spoken(*requests):
    """Return the names of the rules that speak, but for the parents that none of these traces has."""
    return [rule for rule in rules(*requests) if rule != "missing-parent"]


def test_one_request_with_two_server_spans():
    piece = given_by(*two())[0]
    assert piece == (
        "two-servers",
        "0000000000000002",
        "“GET /ping” and “/ping” of shop are two SERVER spans for one request: "
        "let only flask or server make it, since a backend counts each request twice.",
        "docs/experiments.md#26-both-at-once",
    )
    assert spoken(*two(parent=0, trace=5)) == ["two-servers"]
    inside = make("inner", INTERNAL, id=3, parent=1, start=2, end=9)
    assert spoken(*two(parent=3, start=3, end=8), request(inside, scope="server")) == ["two-servers"]
    assert spoken(*two(parent=1, start=3, end=8, attributes=PING | {"url.path": "/mounted"})) == ["two-servers"]


@pytest.mark.parametrize(
    "requests",
    [
        two(scope="server"),
        two(attributes=PING | {"url.path": "/pong"}),
        two(parent=0, trace=5, attributes=PING | {"url.path": "/pong"}),
        [
            *two(parent=0, trace=5, start=0, end=50),
            request(make("next", SERVER, trace=6, start=30, end=40), scope="flask"),
        ],
        two(start=20, end=30),
        two(trace=5),
        [two()[0], request(make("/ping", SERVER, coded(PING), parent=99), service="other", scope="flask")],
        [*two(parent=0, trace=5), request(make("/ping", SERVER, coded(PING), trace=6), scope="flask")],
        [*two(parent=3, start=4, end=6), request(make("call", CLIENT, id=3, parent=1, start=3, end=7), scope="server")],
    ],
    ids=[
        "one scope",
        "other paths",
        "other paths in two traces",
        "two in the time of one",
        "one after the other",
        "both have parents",
        "two programs",
        "three",
        "it calls itself",
    ],
)
def test_two_requests_are_two_server_spans(requests):
    assert "two-servers" not in rules(*requests)


# kind

CALLS = {
    "http": coded({"http.request.method": "GET", "url.full": "http://localhost/"}),
    "db": {"db.system.name": "redis", "db.query.text": "GET ?"},
    "messaging": {"messaging.system": "kafka", "messaging.destination.name": "orders"},
    "rpc": {"rpc.system": "grpc", "rpc.method": "Ask"},
}


@pytest.mark.parametrize("family", CALLS)
def test_a_call_is_not_internal(family):
    piece = only(request(make("ask", INTERNAL, CALLS[family])))
    assert piece.rule == "kind"
    assert piece.text.startswith(f"“ask” has the attributes of a call, {family}.*, and is INTERNAL: give it the kind ")
    assert rules(request(make("ask", Span.SPAN_KIND_UNSPECIFIED, CALLS[family]))) == ["kind"]
    assert rules(request(make("ask", PRODUCER if family == "messaging" else CONSUMER, CALLS[family]))) == []


def test_what_is_inside_a_call_may_say_so():
    inner = make("middleware", INTERNAL, {"http.request.method": "GET", "url.path": "/ping"}, parent=1)
    assert rules(request(make("GET /ping", SERVER, coded(PING), id=1), inner)) == []


@pytest.mark.parametrize("system", ["sqlite", "h2", "hsqldb", "derby"])
def test_a_database_in_the_process_is_not_called(system):
    assert rules(request(make("select", INTERNAL, {"db.system.name": system, "db.query.text": "SELECT ?"}))) == []


# status


@pytest.mark.parametrize(
    ("kind", "code", "fields", "speaks"),
    [
        (SERVER, 500, {}, True),
        (SERVER, 500, {"status": OK}, False),
        (SERVER, 499, {}, False),
        (CLIENT, 404, {}, True),
        (CLIENT, 399, {}, False),
        (SERVER, 404, {"status": ERROR}, True),
        (SERVER, 404, {"status": ERROR, "events": [exception()]}, False),
        (SERVER, 404, {"status": ERROR, "type": "KeyError"}, False),
        (SERVER, 200, {"status": ERROR}, True),
        (SERVER, 200, {"status": ERROR, "type": "KeyError"}, False),
        (CLIENT, 404, {"status": ERROR}, False),
    ],
)
def test_the_status_of_an_answer(kind, code, fields, speaks):
    attributes = coded(PING if kind == SERVER else CALL, code)
    if "type" in fields:
        attributes["error.type"] = fields["type"]
    made = make("ask", kind, attributes, **{key: value for key, value in fields.items() if key != "type"})
    assert rules(request(made)) == ["status"] * speaks


def test_an_error_of_a_database_has_a_type():
    redis = {"db.system.name": "redis", "db.operation.name": "GET"}
    assert rules(request(make("get", CLIENT, redis, status=ERROR))) == ["status"]
    assert rules(request(make("get", CLIENT, redis | {"error.type": "Timeout"}, status=ERROR))) == []
    assert rules(request(make("get", CLIENT, {}, status=ERROR))) == []


# secret


@pytest.mark.parametrize(
    ("key", "value", "speaks"),
    [
        ("http.request.header.authorization", "Bearer abc", True),
        ("http.request.header.authorization", "Bearer ****", False),
        ("user.password", "hunter2", True),
        ("user.password", "REDACTED", False),
        ("user.password.length", "7", False),
        ("accessToken", "abc", True),
        ("next_page_token", "abc", False),
        ("gen_ai.usage.token", "17", False),
        ("gen_ai.cost.per_token", "1.5e-05", False),
        ("llm.token", "[1, -2]", False),
        ("http.response.header.set-cookie", "a=b", True),
        ("http.request.header.x-api-key", "abc", True),
        ("db.passwd", "abc", True),
        ("db.pwd", "abc", True),
        ("client_secret", "abc", True),
        ("aws.credentials", "abc", True),
        ("form.csrf_token", "abc", False),
        ("url.query", "access_token=abc", True),
        ("url.query", "a=b&password=abc", True),
        ("db.url", "redis://user:hunter2@localhost", True),
        ("db.url", "redis://user:REDACTED@localhost", False),
        ("db.url", "redis://user@localhost", False),
        ("url.query", "sig=abc", True),
        ("url.query", "design=abc", False),
        ("url.full", "http://localhost/?a=b&X-Amz-Signature=abc", True),
        ("url.full", "http://localhost/?a=b&X-Amz-Signature=REDACTED", False),
    ],
)
def test_a_secret_does_not_belong_into_a_trace(key, value, speaks):
    assert rules(request(make(attributes={key: value}))) == ["secret"] * speaks
    event = Span.Event(name="login", attributes=[attribute(key, value)])
    assert rules(request(make(events=[event]))) == ["secret"] * speaks


def test_the_advice_does_not_repeat_a_secret():
    assert "hunter2" not in only(request(make(attributes={"user.password": "hunter2"}))).text


# missing-attribute


@pytest.mark.parametrize(
    "missing", ["http.request.method", "url.full", "server.address", "server.port", "http.response.status_code"]
)
def test_a_client_span_has_what_is_required(missing):
    attributes = coded(CALL)
    assert rules(request(make("ask", CLIENT, attributes))) == []
    del attributes[missing]
    piece = only(request(make("ask", CLIENT, attributes)))
    assert piece.rule == "missing-attribute"
    assert f"“ask” has no {missing}" in piece.text


@pytest.mark.parametrize("missing", ["http.request.method", "url.path", "url.scheme", "http.response.status_code"])
def test_a_server_span_has_what_is_required(missing):
    attributes = coded(PING)
    assert rules(request(make("ask", SERVER, attributes))) == []
    del attributes[missing]
    assert rules(request(make("ask", SERVER, attributes))) == ["missing-attribute"]


def test_a_default_port_and_the_code_of_an_answer_that_did_not_come_may_be_missing():
    attributes = coded(GET | {"url.full": "https://example.org:443/", "server.address": "example.org"})
    assert rules(request(make("ask", CLIENT, attributes))) == []
    assert rules(request(make("ask", CLIENT, CALL | {"error.type": "Timeout"}, status=ERROR))) == []


def test_a_call_that_was_given_up_is_not_told_to_have_a_status_code():
    assert only(request(make("ask", CLIENT, CALL))).text.endswith(": set it, if there was an answer.")


def test_what_an_old_name_holds_is_not_missing():
    attributes = GET | {"http.url": "http://localhost/", "net.peer.name": "localhost", "http.status_code": "200"}
    assert rules(request(make("ask", CLIENT, attributes))) == ["old-name"]


def test_a_call_of_a_database_names_its_system():
    assert rules(request(make("get", CLIENT, {"db.operation.name": "GET"}))) == ["missing-attribute"]
    assert rules(request(make("get", CLIENT, {"db.operation.name": "GET", "db.system.name": "redis"}))) == []


# old-name


def test_old_names_are_said_once_with_the_new_ones():
    old = {"http.method": "GET", "http.url": "http://localhost/", "http.status_code": "200"}
    piece = only(request(make("ask", CLIENT, old, start=0), make("again", CLIENT, old, start=1)))
    assert piece.rule == "old-name"
    assert piece.text == (
        "“ask” has attributes under old names, http.method (today http.request.method), http.url (today url.full), "
        "http.status_code (today http.response.status_code) (and the like on 1 more span): rename them."
    )
    by_library = only(request(make("ask", CLIENT, old), scope="opentelemetry.instrumentation.requests"))
    assert by_library.text.endswith("or set OTEL_SEMCONV_STABILITY_OPT_IN=http,database.")


@pytest.mark.parametrize(
    ("kind", "attributes", "expected"),
    [
        (CLIENT, {"net.peer.name": "a"}, "net.peer.name (today server.address)"),
        (SERVER, {"net.peer.name": "a"}, "net.peer.name (today client.address)"),
        (CLIENT, {"db.name": "a"}, "db.name (today db.namespace)"),
    ],
)
def test_the_new_name_may_depend_on_the_side(kind, attributes, expected):
    assert expected in only(request(make("ask", kind, attributes))).text


def test_an_old_name_beside_the_new_one_is_no_mistake():
    both = {"http.method": "GET", "http.request.method": "GET", "net.peer.ip": "127.0.0.1"}  # as with http/dup
    assert rules(request(make(attributes=both))) == []
    assert rules(request(make(attributes={"net.peer.ip": "127.0.0.1"}))) == ["old-name"]
    assert rules(unnamed(span(), **{"service.name": "shop", "deployment.environment": "test"})) == ["old-name"]
    both = {"service.name": "shop", "deployment.environment": "test", "deployment.environment.name": "test"}
    assert rules(unnamed(span(), **both)) == []


# name


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("GET /users/123", SERVER),
        ("GET /orders/5f3a9c0b1d2e", SERVER),
        ("/orders/01ARZ3NDEKTSV4RRFFQ69G5FAV", CLIENT),
        ("GET https://example.org/", CLIENT),
        ("GET /search?q=apple", SERVER),
        ("order 7c9e6679-7425-40de-944b-e07fc1f90ae7", INTERNAL),
        ("job 5f3a9c0b1d2e4f5a", INTERNAL),
        ("order 123456", CONSUMER),
        ("SELECT * FROM t WHERE name = 'ada'", CLIENT),
        ("select * from t where id = 17", CLIENT),
    ],
)
def test_a_name_with_a_value(name, kind):
    piece = only(request(make(name, kind)))
    assert (piece.rule, piece.see) == ("name", "docs/your-own.md#cardinality")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("GET /users/{id}", SERVER),
        ("GET /123", SERVER),
        ("GET /archive/2024", SERVER),
        ("GET /api/2", SERVER),
        ("GET /v2/users", SERVER),
        ("GET /users/123", INTERNAL),
        ("HTTP/1.1", SERVER),
        ("localhost:10000", CLIENT),
        ("S3.PutObject", CLIENT),
        ("job 20240131", CONSUMER),
        ("order 123456", INTERNAL),
        ("SELECT * FROM t WHERE id = ?", CLIENT),
        ("SELECT * FROM t WHERE id = $1 LIMIT 10", CLIENT),
        ("acceded feedback", INTERNAL),
    ],
)
def test_a_name_without_a_value(name, kind):
    assert rules(request(make(name, kind))) == []


def test_a_route_may_have_a_number():
    assert rules(request(make("/level/1", SERVER, coded(PING) | {"http.route": "/level/1"}))) == []


# outlives, clock


def child(start, kind=INTERNAL, language="python", service="shop", parent_kind=INTERNAL):
    """Return a parent of 10 ms and its child, which begins at `start` ms."""
    made = (
        request(make("parent", parent_kind, id=1)),
        request(make("child", kind, parent=1, start=start, end=start + 1), service=service),
    )
    for each in made:
        each.resource_spans[0].resource.attributes.append(attribute("telemetry.sdk.language", language))
    return made


@pytest.mark.parametrize(
    ("child", "speaks"),
    [
        (child(11), True),
        (child(10), False),
        (child(11, language="nodejs"), False),
        (child(12, language="nodejs"), True),
        (child(11, language="webjs"), False),
        (child(11, kind=CONSUMER), False),
        (child(11, parent_kind=PRODUCER), False),
        (child(11, service="other"), False),
    ],
)
def test_a_child_that_begins_after_its_parent(child, speaks):
    assert rules(*child) == ["outlives"] * speaks


@pytest.mark.parametrize(
    ("start", "service", "speaks"), [(-3, "other", True), (-2, "other", False), (-3, "shop", False)]
)
def test_a_child_that_begins_before_its_parent(start, service, speaks):
    assert rules(*child(start, service=service)) == ["clock"] * speaks


def test_halves_of_a_call_that_share_an_id_are_not_compared():
    assert rules(case("01"), trace=0xB0000001) == []


# missing-parent


@pytest.mark.parametrize(
    ("flags", "words", "see"),
    [
        (0, "it still runs, was lost, or went elsewhere", "5-make-up-a-traceparent-and-find-your-id"),
        (0x100, "it still runs, or was lost when its program ended", "14-kill--9-kill--term-and-what-arrived"),
        (0x301, "have that send its spans here too", "5-make-up-a-traceparent-and-find-your-id"),
    ],
)
def test_a_parent_that_has_not_come(flags, words, see):
    piece = only(request(make("child", parent=99, flags=flags)))
    assert piece.rule == "missing-parent"
    assert piece.text.startswith("The parent of “child”, the span 0000000000000063")
    assert piece.text.endswith(f"has not come: {words}.")
    assert piece.see == f"docs/experiments.md#{see}"


def test_a_parent_has_ten_seconds_to_come(monkeypatch):
    store = Store()
    send(store, request(make("child", parent=99)))
    assert Advisor(store).review(trace_id(1)) == []
    monkeypatch.setattr(advice, "PATIENCE", 0)
    assert [piece.rule for piece in Advisor(store).review(trace_id(1))] == ["missing-parent"]


# All of it


def test_a_trace_that_is_not_here_has_no_advice():
    assert Advisor(Store()).review(trace_id(1)) is None


def test_scripts_read_it_at_a_path_of_its_own():
    store = Store()
    send(store, request(make("get", attributes={"password": "hunter2"}, id=7)))
    send(store, request(make("get", trace=2)))
    get = create_app(store).test_client().get
    (piece,) = get(f"/viewer/advice/{trace_id(1).upper()}").json["advice"]
    assert piece == {
        "rule": "secret",
        "spanId": "0000000000000007",
        "text": "“get” has in password what looks like a secret: "
        "leave it out or write REDACTED, and change what has been sent.",
        "see": "docs/your-own.md#what-not-to-record",
    }
    assert get(f"/viewer/advice/{trace_id(2)}").json == {"advice": []}
    for nowhere in (trace_id(3), "nothing"):
        assert get(f"/viewer/advice/{nowhere}").status_code == 404


def test_what_was_known_of_a_neighbour_is_forgotten_when_it_changes():
    store = Store()
    call, answer = pings()
    send(store, call)
    advisor = Advisor(store)
    assert advisor.review(trace_id(1)) == []
    send(store, answer)
    assert [piece.rule for piece in advisor.review(trace_id(1))] == ["lost-context"]
    another = make("/ping", SERVER, coded(PING), trace=2, id=3, start=3, end=27)
    send(store, request(another, service="server"))
    assert advisor.review(trace_id(1)) == []  # it may be either


def test_of_the_versions_of_a_span_the_one_that_has_ended_is_judged():
    begun = make("ask", SERVER, PING, id=1, end_time_unix_nano=0)
    done = make("ask", SERVER, coded(PING, 500), id=1)
    for versions in ((begun, done), (done, begun)):
        assert rules(*map(request, versions)) == ["status"]


def test_there_are_at_most_ten_pieces():
    ids = iter(range(1, 100))
    codes = [(SERVER, 500, Status()), (SERVER, 404, ERROR), (CLIENT, 200, ERROR)]
    wrong = [
        *(make("ask", kind, coded(PING | CALL, code), id=next(ids), status=status) for kind, code, status in codes),
        make("ask", CLIENT, GET, id=next(ids)),
        make("GET /users/123", SERVER, {"password": "hunter2", "net.peer.ip": "::1"}, id=next(ids)),
        *(make("ask", INTERNAL, CALLS[family], id=next(ids)) for family in CALLS),
        make("late", parent=1, start=50, end=60, id=next(ids)),
        make("lost", parent=99, id=next(ids)),
    ]
    found = [piece.rule for piece in given_by(unnamed(*wrong))]
    assert len(found) == advice.MOST == 10
    assert found[:3] == ["service-name", "secret", "kind"]  # the most telling first


def test_a_rule_says_once_what_it_found_on_many_spans():
    spans = [make(f"GET /users/{n}", SERVER, start=n) for n in range(1_100, 1_116)]
    assert " (and the like on 15 more spans): " in only(request(*spans)).text


@given(st.lists(messages(Span.DESCRIPTOR), min_size=1, max_size=4))
@settings(max_examples=50)
def test_no_trace_is_too_odd_for_it(spans):
    odd = [Span(**fields) for fields in spans]
    for each in odd:
        each.trace_id, each.span_id, each.parent_span_id = (
            b"\1" * 16,
            (b"\2" + each.span_id)[:8].ljust(8, b"\1"),
            b"\1" * 8,
        )
    found = given_by(request(*odd), trace=int.from_bytes(b"\1" * 16, "big"))
    assert all(piece.text.endswith(".") for piece in found)


def test_what_a_rule_refers_to_is_there():
    code = (ROOT / "viewer" / "advice.py").read_text()
    sections = re.findall(r'"docs/([\w-]+\.md)#([^"{]+)"', code)
    sections += [("experiments.md", anchor) for anchor in re.findall(r'"(\d+-[\w-]+)"', code)]
    assert len(sections) >= 14
    for page, anchor in sections:
        assert anchor in anchors(ROOT / "docs" / page)


def test_the_page_lists_the_rules_in_their_order():
    text = (ROOT / "docs" / "viewer.md").read_text().partition("## Advice")[2]
    listed = re.findall(r"^\| `([\w-]+)` \|", text, re.M)
    assert listed == [rule.__name__.replace("_", "-") for rule in advice.RULES]
    assert len(listed) == 14


@pytest.mark.parametrize("rule", advice.RULES)
def test_each_rule_cites_its_source(rule):
    assert re.match(r"Semantic conventions, |\w+ API|OTLP, ", rule.__doc__)


# The real programs


def advice_for(sink):
    """Return the advice for all traces that a sink has, as one list."""
    return [piece for pieces in reviewed(sink.requests).values() for piece in pieces]


@pytest.mark.parametrize(
    ("fault", "spans"),
    [({}, 6), ({"REDIS_URL": "redis://localhost:{port}"}, 4), ({"MONGODB_URI": "mongodb://localhost:{port}"}, 6)],
    ids=["healthy", "Redis is down", "MongoDB is down"],
)
def test_the_posts_trace_leaves_nothing_to_be_said(server, client, sink, fault, spans):
    process = server(**{name: url.format(port=free_port()) for name, url in fault.items()})
    client("--count", 2, "--interval", 0, DESTINATION_URL=f"{process.url}/ping").wait()
    sink.wait_for(2 * spans)
    assert advice_for(sink) == []


def test_a_client_that_nobody_answers_leaves_nothing_to_be_said(client, sink):
    client("--count", 1, DESTINATION_URL=f"http://localhost:{free_port()}/ping").wait()
    sink.wait_for(1)
    assert advice_for(sink) == []


def test_the_same_programs_instrumented_automatically_leave_nothing_to_be_said(twin, sink):
    twin("server.py", instrumented=True)
    twin("client.py", instrumented=True)
    sink.wait_for(5)
    assert advice_for(sink) == []
