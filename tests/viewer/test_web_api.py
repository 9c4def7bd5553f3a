"""The read API: Jaeger's paths and shapes, OTLP's JSON, and who may read it."""

import json

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from tests.viewer.otlp import NOON, attribute, request, send, span, trace_id
from viewer.store import Store
from viewer.web import create_app, is_our_name

SUMMARIES = "/api/v3/trace-summaries"


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def api(store):
    return create_app(store).test_client()


def found(api, **query):
    """Return the ids of the traces that a search finds, newest first, as small numbers."""
    query = {name.replace("__", "."): value for name, value in query.items()}
    answer = api.get(SUMMARIES, query_string=query)
    assert answer.status_code == 200, answer.json
    return [int(summary["traceId"], 16) for summary in answer.json.get("summaries", [])]


def shown(api, number=1):
    """Return the spans of a trace as the API shows them."""
    result = api.get(f"/api/v3/traces/{trace_id(number)}").json["result"]
    groups = [group for resource in result["resourceSpans"] for group in resource["scopeSpans"]]
    return [span for group in groups for span in group["spans"]]


def refusal(answer):
    """Return the status and message of an error, after a look at its shape."""
    assert answer.json["error"]["httpCode"] == answer.status_code
    return answer.status_code, answer.json["error"]["message"]


# Services


def test_services_are_listed_by_name(api, store):
    send(store, request(span(trace=1), service="shop"))
    send(store, request(span(trace=2), service="bank"))
    assert api.get("/api/v3/services").json == {"services": ["bank", "shop"]}


def test_where_nothing_is_the_lists_are_empty(api):
    assert api.get("/api/v3/services").json["services"] == []
    assert api.get(SUMMARIES).json["summaries"] == []


# One trace, as OTLP JSON


def test_a_trace_comes_as_otlp_under_result(api, store):
    send(store, request(span("work", id=2, parent=1), service="shop", scope="tests"))
    (resource_spans,) = api.get(f"/api/v3/traces/{trace_id(1)}").json["result"]["resourceSpans"]
    assert resource_spans["resource"] == {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    (scope_spans,) = resource_spans["scopeSpans"]
    assert scope_spans["scope"] == {"name": "tests"}
    assert [span["name"] for span in scope_spans["spans"]] == ["work"]


def test_nothing_of_a_trace_is_lost(api, store):
    sent = request(*(span(f"span {n}", attributes=[attribute("text", "é\u2028\x00" * 100)]) for n in range(300)))
    sent.resource_spans[0].schema_url = "https://opentelemetry.io/schemas/1.40.0"
    sent.resource_spans[0].scope_spans[0].schema_url = "https://opentelemetry.io/schemas/1.30.0"
    send(store, sent)
    answer = api.get(f"/api/v3/traces/{trace_id(1)}")
    result = answer.json["result"]
    for each in result["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        # Protobuf's own reader wants ids in base64, so leave it those that it can read.
        for name in ("traceId", "spanId"):
            del each[name]
    for each in sent.resource_spans[0].scope_spans[0].spans:
        each.ClearField("trace_id")
        each.ClearField("span_id")
        each.status.SetInParent()  # Jaeger shows also one that is not set
    assert ParseDict(result, TracesData()) == TracesData(resource_spans=sent.resource_spans)


def test_the_scopes_of_one_resource_stand_under_it_together(api, store):
    send(store, request(span("a", id=1), service="one", scope="first"))
    send(store, request(span("b", id=2, parent=1), service="two"))
    send(store, request(span("c", id=3, parent=1), service="one", scope="second"))
    resources = api.get(f"/api/v3/traces/{trace_id(1)}").json["result"]["resourceSpans"]
    names = [[[each["name"] for each in scope["spans"]] for scope in resource["scopeSpans"]] for resource in resources]
    assert names == [[["a"], ["c"]], [["b"]]]


def test_a_trace_id_may_come_in_upper_case_and_without_its_leading_zeros(api, store):
    send(store, request(span(trace=0xABC)))
    assert api.get("/api/v3/traces/ABC").json == api.get(f"/api/v3/traces/{trace_id(0xABC)}").json


def test_an_unknown_trace_is_404_in_jaegers_shape(api):
    answer = api.get(f"/api/v3/traces/{trace_id(9)}")
    assert answer.json == {"error": {"httpCode": 404, "message": "No traces found"}}
    assert answer.status_code == 404


@pytest.mark.parametrize("bad", ["xyz", "0" * 33, "12-34", "%F0%9F%92%A9", "0x12"])
def test_a_trace_id_that_is_none_is_400(api, bad):
    status, message = refusal(api.get(f"/api/v3/traces/{bad}"))
    assert status == 400
    assert message.startswith("malformed parameter trace_id")


# Summaries


def test_a_summary_has_jaegers_fields(api, store):
    send(store, request(span("GET", id=1, start=0, end=100), service="client"))
    send(store, request(span("/ping", id=2, parent=1, failed=True), service="server"))
    (summary,) = api.get(SUMMARIES).json["summaries"]
    assert summary == {
        "traceId": trace_id(1),
        "rootServiceName": "client",
        "rootOperationName": "GET",
        "minStartTimeUnixNano": str(NOON),
        "maxEndTimeUnixNano": str(NOON + 100_000_000),
        "spanCount": 2,
        "errorSpanCount": 1,
        "services": [
            {"name": "client", "spanCount": 1},
            {"name": "server", "spanCount": 1, "errorSpanCount": 1},
        ],
    }


def test_a_trace_without_its_root_names_none_but_ours_says_what_is_there(api, store):
    send(store, request(span("/ping", parent=7), service="server"))
    (summary,) = api.get(SUMMARIES).json["summaries"]
    assert "rootServiceName" not in summary
    assert summary["orphanSpanCount"] == 1
    instead = {"rootServiceName": "server", "rootOperationName": "/ping"}
    notice = "incomplete: no root span has come; the parent of 1 span has not come"
    assert summary["viewer"] == {"insteadOfRoot": instead, "notices": [notice]}


def test_spans_past_the_bound_of_a_trace_are_told():
    store = Store(max_spans_per_trace=2)
    send(store, request(*(span() for _ in range(5))))
    (summary,) = create_app(store).test_client().get(SUMMARIES).json["summaries"]
    assert summary["viewer"]["notices"] == ["cut: 3 spans past what one trace may hold"]


def test_traces_that_left_for_room_are_told():
    store = Store(max_traces=2)
    for number in range(1, 6):
        send(store, request(span(trace=number)))
    viewer = create_app(store).test_client().get(SUMMARIES).json["viewer"]
    assert (viewer["kept"], viewer["dropped"]) == (2, 3)


def test_the_newest_trace_comes_first(api, store):
    for number in (1, 2, 3):
        send(store, request(span(trace=number)))
    assert found(api) == [3, 2, 1]


def test_a_service_name_narrows_to_the_traces_it_is_part_of(api, store):
    send(store, request(span(trace=1), service="shop"))
    send(store, request(span(trace=2), service="bank"))
    assert found(api, query__serviceName="bank") == [2]


def test_the_search_depth_is_the_most_that_is_answered(api, store):
    send(store, request(*(span(trace=number) for number in range(1, 6))))
    assert found(api, query__searchDepth=2) == [5, 4]


def test_the_search_depth_is_100_by_default_as_in_jaeger(api, store):
    send(store, request(*(span(trace=number) for number in range(1, 121))))
    assert len(found(api)) == 100


@pytest.mark.parametrize("text", ["PING", " /pin", "bank", "00000a"])
def test_our_search_looks_into_names_services_and_ids(api, store, text):
    send(store, request(span("/ping", trace=0xA), service="The Bank"))
    send(store, request(span("work", trace=0xB), service="shop"))
    assert found(api, viewer__search=text) == [0xA]


def test_our_search_for_errors_leaves_the_others_out(api, store):
    send(store, request(span(trace=1), span(trace=2, failed=True)))
    assert found(api, viewer__errors="true") == [2]


def test_nothing_new_is_told_in_a_word(api, store):
    send(store, request(span()))
    tag = api.get(SUMMARIES).headers["ETag"]
    answer = api.get(SUMMARIES, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.data) == (304, b"")


def test_whatever_is_new_changes_the_tag(api, store):
    tag = api.get(SUMMARIES).headers["ETag"]
    send(store, request(span()))
    assert api.get(SUMMARIES, headers={"If-None-Match": tag}).status_code == 200


def test_a_tag_of_an_earlier_run_does_not_count(api):
    tag = create_app(Store()).test_client().get(SUMMARIES).headers["ETag"]
    assert api.get(SUMMARIES, headers={"If-None-Match": tag}).status_code == 200


# What is looked for in the spans


def with_value(**value):
    """Return a span with an attribute `it` of this value."""
    return span(attributes=[KeyValue(key="it", value=AnyValue(**value))])


def found_by(api, **attributes):
    """Return whether a trace has these attributes."""
    return found(api, query__attributes=json.dumps(attributes)) != []


def test_an_attribute_is_found_wherever_it_stands(api, store):
    text = [attribute("key", "value")]
    send(store, request(span(trace=1, attributes=text)))
    send(store, request(span(trace=2, events=[Span.Event(attributes=text)])))
    send(store, request(span(trace=3, links=[Span.Link(attributes=text)])))
    in_resource, in_scope = request(span(trace=4)), request(span(trace=5))
    in_resource.resource_spans[0].resource.attributes.extend(text)
    in_scope.resource_spans[0].scope_spans[0].scope.attributes.extend(text)
    send(store, in_resource)
    send(store, in_scope)
    send(store, request(span(trace=6, attributes=[attribute("value", "key")])))
    assert found(api, query__attributes='{"key":"value"}') == [5, 4, 3, 2, 1]


def test_a_span_without_a_time_has_no_duration(api, store):
    send(store, request(span(trace=1), span(trace=1, start_time_unix_nano=0)))
    assert found(api, query__durationMin="1s") == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"int_value": 200}, "200"),
        ({"double_value": -2000}, "-2000"),
        ({"double_value": 0.00001}, "0.00001"),
        ({"double_value": 1e21}, "1e+21"),
        ({"bool_value": True}, "true"),
        ({"array_value": ArrayValue(values=[AnyValue(string_value="a, b"), AnyValue(int_value=1)])}, '["a, b",1]'),
        ({"kvlist_value": KeyValueList(values=[attribute("a", "b")])}, '{"a":"b"}'),
    ],
)
def test_a_value_is_found_as_the_page_shows_it(api, store, value, text):
    send(store, request(with_value(**value)))
    assert found_by(api, it=text)
    assert not found_by(api, it=text + "x")
    assert not found_by(api, other=text)


def test_all_that_is_asked_for_must_be_in_one_span(api, store):
    a, b = attribute("a", "1"), attribute("b", "2")
    send(store, request(span("one", trace=1, attributes=[a, b]), span("two", trace=1)))
    send(store, request(span("one", trace=2, attributes=[a]), span("two", trace=2, attributes=[b], end=1_000)))
    assert found(api, query__attributes='{"a":"1","b":"2"}') == [1]
    assert found(api, query__attributes='{"a":"1"}', query__durationMin="1s") == []
    assert found(api, query__attributes='{"a":"1"}', query__serviceName="shop") == [2, 1]
    assert found(api, query__attributes='{"a":"1"}', query__serviceName="bank") == []


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [
        ("100ms", None, [3, 2]),
        ("100.000001ms", None, [3]),
        ("0.1s", "1s", [2]),
        (None, "50ms", [1]),
        ("1m", None, [3]),
        ("1h", None, []),
        ("100000us", "100000µs", [2]),
        ("100000000ns", "100000000ns", [2]),
        ("0s", None, [3, 2, 1]),
    ],
)
def test_a_duration_narrows_to_the_traces_with_a_span_of_it(api, store, least, most, expected):
    send(store, request(span(trace=1, end=50), span(trace=2, end=100), span(trace=3, end=90_000)))
    durations = {"query__durationMin": least, "query__durationMax": most}
    assert found(api, **{name: value for name, value in durations.items() if value}) == expected


@pytest.mark.parametrize(
    ("earliest", "latest", "expected"),
    [
        ("2023-11-14T22:13:21Z", None, [3, 2]),
        (None, "2023-11-14T22:13:21Z", [2, 1]),
        ("2023-11-14T22:13:20.000001Z", "2023-11-14T22:13:21.999999Z", [2]),
        ("2023-11-14T23:13:21+01:00", None, [3, 2]),
    ],
)
def test_start_times_narrow_the_list(api, store, earliest, latest, expected):
    send(store, request(*(span(trace=number, start=(number - 1) * 1000, end=5000) for number in (1, 2, 3))))
    times = {"query__startTimeMin": earliest, "query__startTimeMax": latest}
    assert found(api, **{name: time for name, time in times.items() if time}) == expected


@pytest.mark.parametrize(
    "query",
    [
        "query.searchDepth=many",
        "query.searchDepth=0",
        "query.startTimeMin=yesterday",
        "query.startTimeMax=2023-13-14T00:00:00Z",
        "query.attributes=http.route",
        "query.attributes=[]",
        'query.attributes={"a":1}',
        "query.durationMin=1",
        "query.durationMax=1s and more",
        "query.operationName=work",
        "query.service_name=shop",
    ],
)
def test_a_parameter_that_cannot_be_followed_is_400_and_named(api, query):
    status, message = refusal(api.get(f"{SUMMARIES}?{query}"))
    assert status == 400
    assert query.partition("=")[0] in message


def test_a_trace_that_grows_is_looked_at_again(api, store):
    send(store, request(span(trace=1)))
    assert not found_by(api, late="yes")
    send(store, request(span(trace=1, attributes=[attribute("late", "yes")])))
    assert found_by(api, late="yes")


# Who may read it


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/", SUMMARIES, "/static/style.css"])
def test_nothing_can_be_changed(api, path, method):
    assert refusal(api.open(path, method=method))[0] == 405


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:3000"])
def test_the_page_of_another_site_may_send_no_file(api, store, origin):
    answer = api.post("/viewer/files", data=b"{}", headers={"Origin": origin})
    assert refusal(answer)[0] == 403


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("localhost:16686", "127.0.0.1"),
        ("LOCALHOST", "127.0.0.1"),
        ("127.0.0.1:16686", "127.0.0.1"),
        ("[::1]:16686", "127.0.0.1"),
        ("traces.example:16686", "traces.example"),
        ("192.0.2.7:16686", "0.0.0.0"),
        ("[2001:db8::7]:16686", "::"),
    ],
)
def test_a_name_of_ours_is_answered(name, host):
    assert is_our_name(name, host)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("evil.example:16686", "127.0.0.1"),
        ("evil.example", "0.0.0.0"),
        ("localhost.evil.example", "127.0.0.1"),
        ("127.0.0.1.evil.example", "127.0.0.1"),
        ("127.0.0.1@evil.example", "127.0.0.1"),
        ("192.0.2.7", "127.0.0.1"),
        ("[::1", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_a_name_that_is_not_ours_is_not(name, host):
    assert not is_our_name(name, host)


PATHS = ["/", "/trace/1", "/static/style.css", SUMMARIES, "/api/v3/services", "/api/v3/traces/1", "/nothing"]


@pytest.mark.parametrize("path", PATHS)
def test_a_rebound_name_reads_nothing(api, store, path):
    send(store, request(span(trace=1)))
    status, message = refusal(api.get(path, headers={"Host": "evil.example"}))
    assert status == 403
    assert message.startswith("The viewer does not go by the name 'evil.example'")
    assert message.endswith("open http://localhost:80 on its own machine, or start it with VIEWER_HOST=evil.example")


def test_behind_a_forwarded_port_the_refusal_names_the_host_alone(api):
    message = refusal(api.get("/", headers={"Host": "myhost:9999"}))[1]
    assert message.endswith("open http://localhost:80 on its own machine, or start it with VIEWER_HOST=myhost")


def test_where_the_viewer_has_other_addresses_the_refusal_names_that_way_too(store):
    api = create_app(store, host="0.0.0.0").test_client()
    assert "open its IP address" in refusal(api.get("/", headers={"Host": "evil.example"}))[1]


@pytest.mark.parametrize("path", PATHS)
def test_no_answer_lets_another_site_in(api, path):
    with api.get(path, headers={"Origin": "http://evil.example"}) as answer:
        headers = dict(answer.headers)
    assert not [name for name in headers if name.lower().startswith("access-control")]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
