"""The read API: Jaeger's paths and shapes, OTLP's JSON, and who may read it."""

import contextlib
import http.client
import json
import math
import os
import signal
import socket
import time
import urllib.request
from pathlib import Path

import pytest
import requests
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from tests.support import free_port, wait_until
from tests.viewer.otlp import NOON, attribute, request, send, span, trace_id
from viewer import serving, web
from viewer.store import Store
CHUNK = 64_000
from viewer.web import create_app, is_our_name
from viewer.web import start as start_web

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


def value_of(api, store, **value):
    """Return an attribute's value as the API shows it."""
    send(store, request(span(attributes=[KeyValue(key="it", value=AnyValue(**value))])))
    return shown(api)[0]["attributes"][0]["value"]


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


def test_a_list_of_names_has_a_bound(api, store, monkeypatch):
    monkeypatch.setattr("viewer.web.MOST", 1_000)
    for number in range(20):
        send(store, request(span(trace=number + 1), service=f"{number} " + "\N{PILE OF POO}" * 100))
    for path in ("/api/v3/services", SUMMARIES):
        assert len(api.get(path).data) < 4_000
    assert api.get(SUMMARIES).json["viewer"]["found"] == 20


# One trace, as OTLP JSON


def test_a_trace_comes_as_otlp_under_result(api, store):
    send(store, request(span("work", id=2, parent=1), service="shop", scope="tests"))
    (resource_spans,) = api.get(f"/api/v3/traces/{trace_id(1)}").json["result"]["resourceSpans"]
    assert resource_spans["resource"] == {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    (scope_spans,) = resource_spans["scopeSpans"]
    assert scope_spans["scope"] == {"name": "tests"}
    assert [span["name"] for span in scope_spans["spans"]] == ["work"]


def test_ids_are_hexadecimal(api, store):
    send(store, request(span(id=0xABC, parent=0xDEF, links=[Span.Link(trace_id=b"\xaa" * 16, span_id=b"\xbb" * 8)])))
    (shown_span,) = shown(api)
    assert shown_span["traceId"] == trace_id(1)
    assert shown_span["spanId"] == "0000000000000abc"
    assert shown_span["parentSpanId"] == "0000000000000def"
    assert shown_span["links"] == [{"traceId": "aa" * 16, "spanId": "bb" * 8}]


@pytest.mark.parametrize("parent", [b"", bytes(8)])
def test_a_root_has_no_parent_id(api, store, parent):
    send(store, request(span(parent_span_id=parent)))
    assert "parentSpanId" not in shown(api)[0]


def test_a_status_that_is_not_set_is_there_and_empty(api, store):
    send(store, request(span()))
    assert shown(api)[0]["status"] == {}


def test_an_attribute_without_a_value_has_an_empty_one(api, store):
    bare = KeyValue(key="bare")
    nested = KeyValue(key="nested", value=AnyValue(kvlist_value=KeyValueList(values=[bare])))
    several = [AnyValue(kvlist_value=KeyValueList(values=[bare]))]
    listed = KeyValue(key="listed", value=AnyValue(array_value=ArrayValue(values=several)))
    send(store, request(span(attributes=[bare, nested, listed], events=[Span.Event(attributes=[bare])])))
    empty = {"key": "bare", "value": {}}
    assert shown(api)[0]["attributes"] == [
        empty,
        {"key": "nested", "value": {"kvlistValue": {"values": [empty]}}},
        {"key": "listed", "value": {"arrayValue": {"values": [{"kvlistValue": {"values": [empty]}}]}}},
    ]
    assert shown(api)[0]["events"] == [{"attributes": [empty]}]


def test_times_are_strings_of_nanoseconds(api, store):
    send(store, request(span(start_time_unix_nano=NOON + 1, events=[Span.Event(time_unix_nano=NOON + 2)])))
    (shown_span,) = shown(api)
    assert shown_span["startTimeUnixNano"] == str(NOON + 1)
    assert shown_span["events"][0]["timeUnixNano"] == str(NOON + 2)


def test_enums_are_numbers(api, store):
    send(store, request(span(kind=Span.SPAN_KIND_CLIENT, failed=True)))
    (shown_span,) = shown(api)
    assert (shown_span["kind"], shown_span["status"]) == (3, {"code": 2})


@pytest.mark.parametrize(
    ("value", "as_json"),
    [
        ({"string_value": ""}, {"stringValue": ""}),
        ({"int_value": 2**62}, {"intValue": str(2**62)}),
        ({"bool_value": False}, {"boolValue": False}),
        ({"double_value": 1.5}, {"doubleValue": 1.5}),
        ({"double_value": math.nan}, {"doubleValue": "NaN"}),
        ({"double_value": -math.inf}, {"doubleValue": "-Infinity"}),
        ({"bytes_value": b"\xfb\xff"}, {"bytesValue": "+/8="}),
        (
            {"array_value": ArrayValue(values=[AnyValue(int_value=1), AnyValue(string_value="a")])},
            {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "a"}]}},
        ),
        (
            {"kvlist_value": KeyValueList(values=[attribute("a", "b")])},
            {"kvlistValue": {"values": [{"key": "a", "value": {"stringValue": "b"}}]}},
        ),
        ({}, {}),
    ],
)
def test_values_of_every_type_follow_otlp(api, store, value, as_json):
    assert value_of(api, store, **value) == as_json


def test_nothing_of_a_trace_is_lost(api, store):
    sent = request(*(span(f"span {n}", attributes=[attribute("text", "é\u2028\x00" * 100)]) for n in range(300)))
    sent.resource_spans[0].schema_url = "https://opentelemetry.io/schemas/1.40.0"
    sent.resource_spans[0].scope_spans[0].schema_url = "https://opentelemetry.io/schemas/1.30.0"
    send(store, sent)
    answer = api.get(f"/api/v3/traces/{trace_id(1)}")
    assert len(answer.data) > 2 * CHUNK
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


def test_a_long_text_arrives_whole_wherever_it_stands(api, store):
    text = '\x01\n"é😀' * CHUNK
    value = AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=text), AnyValue(bool_value=True)]))
    send(store, request(span(attributes=[KeyValue(key="list", value=value)]), service=text, scope=text))
    (resource_spans,) = api.get(f"/api/v3/traces/{trace_id(1)}").json["result"]["resourceSpans"]
    (scope_spans,) = resource_spans["scopeSpans"]
    assert resource_spans["resource"]["attributes"][0]["value"] == {"stringValue": text}
    assert scope_spans["scope"]["name"] == text
    assert scope_spans["spans"][0]["attributes"] == [
        {"key": "list", "value": {"arrayValue": {"values": [{"stringValue": text}, {"boolValue": True}]}}}
    ]


def test_spans_of_two_services_stand_under_two_resources(api, store):
    send(store, request(span(id=1), service="client"))
    send(store, request(span(id=2, parent=1), service="server"))
    assert len(api.get(f"/api/v3/traces/{trace_id(1)}").json["result"]["resourceSpans"]) == 2


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


@pytest.mark.parametrize("query", ["startTime=yesterday", "endTime=2023-11-14", "rawTraces=maybe", "raw_traces=2"])
def test_a_bad_parameter_of_a_trace_is_400(api, store, query):
    send(store, request(span()))
    status, message = refusal(api.get(f"/api/v3/traces/{trace_id(1)}?{query}"))
    assert status == 400
    assert message.startswith("malformed parameter")


def test_jaegers_parameters_of_a_trace_are_taken(api, store):
    send(store, request(span()))
    query = {"startTime": "2023-11-14T00:00:00Z", "endTime": "2023-11-15T00:00:00Z", "rawTraces": "true"}
    assert api.get(f"/api/v3/traces/{trace_id(1)}", query_string=query).status_code == 200


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
    assert summary["viewer"] == {"insteadOfRoot": instead}


def test_spans_past_the_bound_of_a_trace_are_told():
    store = Store(max_spans_per_trace=2)
    send(store, request(*(span() for _ in range(5))))
    (summary,) = create_app(store).test_client().get(SUMMARIES).json["summaries"]
    assert summary["viewer"]["refused"] == 3


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


def test_an_operation_name_narrows_to_the_traces_that_have_it(api, store):
    send(store, request(span("pay", trace=1), span("ship", trace=2)))
    assert found(api, query__operationName="ship") == [2]


def test_a_service_and_an_operation_are_looked_for_in_the_same_span(api, store):
    send(store, request(span("pay", trace=1, id=1), service="bank"))
    send(store, request(span("ship", trace=1, id=2), service="shop"))
    assert found(api, query__serviceName="shop", query__operationName="ship") == [1]
    assert found(api, query__serviceName="shop", query__operationName="pay") == []


def test_the_search_depth_is_the_most_that_is_answered(api, store):
    send(store, request(*(span(trace=number) for number in range(1, 6))))
    assert found(api, query__searchDepth=2) == [5, 4]


def test_the_search_depth_is_100_by_default_as_in_jaeger(api, store):
    send(store, request(*(span(trace=number) for number in range(1, 121))))
    assert len(found(api)) == 100


@pytest.mark.parametrize(
    ("earliest", "latest", "expected"),
    [
        (None, None, [3, 2, 1]),
        ("2023-11-14T22:13:21Z", None, [3, 2]),
        (None, "2023-11-14T22:13:21Z", [2, 1]),
        ("2023-11-14T22:13:20.000000001Z", "2023-11-14T22:13:21.999999999Z", [2]),
        ("2023-11-14T23:13:21+01:00", None, [3, 2]),
    ],
)
def test_start_times_narrow_to_the_nanosecond(api, store, earliest, latest, expected):
    send(store, request(*(span(trace=number, start=(number - 1) * 1000, end=5000) for number in (1, 2, 3))))
    times = {"query__startTimeMin": earliest, "query__startTimeMax": latest}
    assert found(api, **{name: time for name, time in times.items() if time}) == expected


def test_the_older_names_of_the_parameters_still_work(api, store):
    send(store, request(span(trace=1), service="shop"))
    send(store, request(span(trace=2), span(trace=3), service="bank"))
    assert found(api, query__service_name="bank", query__search_depth=1) == [3]
    assert found(api, query__num_traces=1) == [3]
    assert found(api, query__searchDepth=2, query__search_depth=1) == [3, 2]


@pytest.mark.parametrize(
    "query",
    [
        "query.searchDepth=many",
        "query.searchDepth=0",
        "query.searchDepth=-1",
        "query.searchDepth=%D9%A3",  # a 3 that is not one of ASCII's
        "query.startTimeMin=yesterday",
        "query.startTimeMin=2023-11-14",
        "query.startTimeMax=2023-13-14T00:00:00Z",
        "query.startTimeMax=2023-11-14T00:00:00",
        "query.startTimeMin=2023-11-14T00:00:00Z&query.startTimeMax=2023-11-14T00:00:00Z",
        "query.filter=%7B%7D",
        "query.attributes=http.route",
        "query.attributes=[]",
        "query.attributes=false",
        'query.attributes={"a":1}',
        'query.attributes={"a":["b"]}',
        "query.durationMin=1",
        "query.durationMin=1.5.5s",
        "query.durationMax=1s and more",
        "query.durationMax=%D9%A3s",  # a 3 that is not one of ASCII's
        "query.rawTraces=maybe",
    ],
)
def test_a_parameter_that_cannot_be_followed_is_400_and_named(api, query):
    status, message = refusal(api.get(f"{SUMMARIES}?{query}"))
    assert status == 400
    assert query.partition("=")[0] in message


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


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"string_value": "/ping"}, "/ping"),
        ({"string_value": "ping"}, "ping"),  # which could be base64
        ({"string_value": "größer 😀"}, "größer 😀"),
        ({"string_value": ""}, ""),
        ({"string_value": "200"}, "200"),
        ({"int_value": 200}, "200"),
        ({"int_value": -5}, "-5"),
        ({"int_value": 0}, "0"),
        ({"int_value": 2**63 - 1}, str(2**63 - 1)),
        ({"double_value": 0}, "0"),
        ({"double_value": -2000}, "-2000"),
        ({"bytes_value": b"\xdb\x4d\x34"}, "2000"),
        ({"bool_value": True}, "true"),
        ({"bool_value": False}, "false"),
        ({"double_value": 0.1}, "0.1"),
        ({"double_value": 5}, "5"),
        ({"double_value": 0.00001}, "0.00001"),
        ({"double_value": 1e-7}, "1e-7"),
        ({"double_value": 1e21}, "1e+21"),
        ({"bytes_value": b"hello"}, "aGVsbG8="),
        ({"array_value": ArrayValue(values=[AnyValue(string_value="a, b"), AnyValue(int_value=1)])}, '["a, b",1]'),
        ({"kvlist_value": KeyValueList(values=[attribute("a", "b")])}, '{"a":"b"}'),
        ({}, ""),
    ],
)
def test_a_value_of_any_type_is_found_by_its_text(api, store, value, text):
    send(store, request(with_value(**value)))
    assert found_by(api, it=text)
    assert not found_by(api, it=text + "x")
    assert not found_by(api, other=text)


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
    assert found(api, query__attributes='{"resource.key":"value"}') == [4]


def test_all_that_is_asked_for_must_be_in_one_span(api, store):
    a, b = attribute("a", "1"), attribute("b", "2")
    send(store, request(span("one", trace=1, attributes=[a, b]), span("two", trace=1)))
    send(store, request(span("one", trace=2, attributes=[a]), span("two", trace=2, attributes=[b], end=1_000)))
    assert found(api, query__attributes='{"a":"1","b":"2"}') == [1]
    assert found(api, query__attributes='{"b":"2"}', query__operationName="two") == [2]
    assert found(api, query__attributes='{"b":"2"}', query__operationName="one") == [1]
    assert found(api, query__attributes='{"a":"1"}', query__durationMin="1s") == []
    assert found(api, query__attributes='{"a":"1"}', query__serviceName="shop") == [2, 1]
    assert found(api, query__attributes='{"a":"1"}', query__serviceName="bank") == []


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"error": "true"}, [2]),
        ({"error": "false"}, [3, 1]),
        ({"error": "perhaps"}, []),
        ({"span.kind": "server"}, [1]),
        ({"span.kind": "CLIENT"}, [2]),
        ({"span.kind": "unspecified"}, [3]),
        ({"span.status": "error"}, [2]),
        ({"span.status": "ok"}, [3]),
        ({"span.status": "unset"}, [1]),
        ({"scope.name": "tests"}, [2, 1]),
        ({"scope.name": "others"}, [3]),
        ({"scope.version": "2"}, []),
    ],
)
def test_what_jaeger_calls_an_attribute_is_one(api, store, attributes, expected):
    send(store, request(span(trace=1, kind=2), span(trace=2, kind=3, failed=True)))
    send(store, request(span(trace=3, status={"code": 1}), scope="others"))
    assert found(api, query__attributes=json.dumps(attributes)) == expected


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [
        ("100ms", None, [3, 2]),
        ("100.000001ms", None, [3]),
        ("0.1s", "1s", [2]),
        (None, "50ms", [1]),
        ("1m", None, [3]),
        ("1h", None, []),
        ("1m30s", None, [3]),
        ("1m30s1ns", None, []),
        ("100000us", "100000µs", [2]),
        ("100000000ns", "100000000ns", [2]),
        (".1s", "1.s", [2]),
        ("0", "0s", [3, 2, 1]),
        ("-1s", None, [3, 2, 1]),
        (None, "-1s", []),
    ],
)
def test_a_duration_narrows_to_the_traces_with_a_span_of_it(api, store, least, most, expected):
    send(store, request(span(trace=1, end=50), span(trace=2, end=100), span(trace=3, end=90_000)))
    durations = {"query__durationMin": least, "query__durationMax": most}
    assert found(api, **{name: value for name, value in durations.items() if value}) == expected


def test_a_span_without_a_time_has_no_duration(api, store):
    send(store, request(span(trace=1), span(trace=1, start_time_unix_nano=0)))
    assert found(api, query__durationMin="1s") == []


def test_what_a_summary_has_no_room_for_is_found(api, store):
    send(
        store,
        request(*(span(f"item {n}", trace=1) for n in range(150)), span("\N{GREEK SMALL LETTER PI} " * 150, trace=1)),
    )
    for n in range(150):
        send(store, request(span("work", trace=2), service=f"service {n}"))
    send(store, request(span(trace=3)))
    assert found(api, query__operationName="item 149") == [1]
    assert found(api, query__operationName="\N{GREEK SMALL LETTER PI} " * 150) == [1]
    assert found(api, query__operationName="item 150") == []
    assert found(api, query__serviceName="service 149") == [2]
    assert found(api, query__serviceName="service 149", query__operationName="item 149") == []
    assert found(api, viewer__search="ITEM 149") == [1]
    assert found(api, viewer__search="Service 149") == [2]
    assert found(api, viewer__search="item 150") == []


def test_the_end_of_a_long_name_is_found(api, store):
    send(store, request(span("x" * 1_000 + "end")))
    assert found(api, viewer__search="xend") == [1]
    assert found(api, query__operationName="x" * 1_000 + "end") == [1]
    assert found(api, query__operationName="x" * 1_000 + "bend") == []


def test_a_trace_that_grows_is_looked_at_again(api, store):
    send(store, request(span(trace=1)))
    assert not found_by(api, late="yes")
    send(store, request(span(trace=1, attributes=[attribute("late", "yes")])))
    assert found_by(api, late="yes")


def test_the_traces_that_fit_come_as_one(api, store):
    for number in (1, 2, 3):
        send(store, request(span(f"n{number}", trace=number, attributes=[attribute("odd", str(number % 2))])))
    answer = api.get("/api/v3/traces", query_string={"query.attributes": '{"odd":"1"}'})
    spans = [group["scopeSpans"][0]["spans"][0]["name"] for group in answer.json["result"]["resourceSpans"]]
    assert spans == ["n3", "n1"]
    answer = api.get("/api/v3/traces", query_string={"query.searchDepth": 1})
    assert answer.json == api.get(f"/api/v3/traces/{trace_id(3)}").json


def test_no_traces_that_fit_are_404_in_jaegers_shape(api):
    answer = api.get("/api/v3/traces?query.serviceName=none")
    assert (answer.status_code, answer.json) == (404, {"error": {"httpCode": 404, "message": "No traces found"}})


def test_operations_are_listed_by_name_and_kind(api, store):
    send(store, request(span("pay", trace=1, kind=3), span("pay", trace=2, kind=3), span("pay", kind=2)))
    send(store, request(span("work"), service="bank"))

    def operations(**query):
        answer = api.get("/api/v3/operations", query_string=query).json["operations"]
        return [(each["name"], each["spanKind"]) for each in answer]

    assert operations(service="shop") == [("pay", "client"), ("pay", "server")]
    assert operations(service="shop", spanKind="server") == operations(service="shop", span_kind="server")
    assert operations(service="shop", spanKind="server") == [("pay", "server")]
    assert operations(service="bank") == [("work", "internal")]
    assert operations(service="none") == []
    assert operations() == [("pay", "client"), ("pay", "server"), ("work", "internal")]


def test_all_operations_of_a_big_trace_are_listed(api, store):
    send(store, request(*(span(f"item {n}") for n in range(150))))
    assert len(api.get("/api/v3/operations?service=shop").json["operations"]) == 150


def test_the_list_of_operations_has_a_bound(api, store, monkeypatch):
    monkeypatch.setattr("viewer.search.MAX_OPERATIONS", 100)
    send(store, request(*(span(f"item {n}") for n in range(150))))
    assert len(api.get("/api/v3/operations").json["operations"]) == 100


@pytest.mark.parametrize(
    ("path", "place"), [("/trace/abc/", "/trace/abc"), ("/trace/a%22%3Cb/", "/trace/a%22%3Cb"), ("/search", "/")]
)
def test_jaegers_other_addresses_lead_to_the_page(api, path, place):
    answer = api.get(path)
    assert answer.status_code in (307, 308)
    assert answer.headers["Location"] == place


# Who may read it


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
    assert refusal(api.get(path, headers={"Host": "evil.example"}))[0] == 403


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


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/", SUMMARIES, "/static/style.css"])
def test_nothing_can_be_changed(api, path, method):
    answer = api.open(path, method=method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/static/../web.py", "/static/%2e%2e/web.py", "/static/..%2fweb.py", "/static//x"])
def test_only_what_is_in_static_is_served(api, path):
    assert api.get(path).status_code == 404


# The process


@pytest.fixture
def viewer(start):
    """A viewer on free ports; `.web` is the port of its page."""
    web, otlp = free_port(), free_port()
    process = start("-m", "viewer", VIEWER_WEB_PORT=web, VIEWER_OTLP_PORT=otlp)
    process.web = web
    return process.wait_for_port(web)


def test_the_viewer_says_where_its_page_is(viewer):
    viewer.wait_for(rf"http://127\.0\.0\.1:{viewer.web}\b")
    with urllib.request.urlopen(f"http://127.0.0.1:{viewer.web}/") as answer:
        assert "text/html" in answer.headers["Content-Type"]


def test_a_taken_port_is_one_clear_line(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        viewer = start("-m", "viewer", VIEWER_WEB_PORT=port, VIEWER_OTLP_PORT=free_port())
        assert viewer.wait() == 1
    (line,) = viewer.output.splitlines()
    assert str(port) in line
    assert "VIEWER_WEB_PORT" in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_while_pages_are_open(viewer, number):
    connections = [http.client.HTTPConnection("127.0.0.1", viewer.web) for _ in range(3)]
    for connection in connections:
        connection.request("GET", SUMMARIES)
        assert json.loads(connection.getresponse().read())["summaries"] == []
    assert viewer.stop(number, seconds=4) == 0  # it takes 2 at most
    for connection in connections:
        connection.close()


def waiting_files():
    """Return how many files without a name this process holds: answers that wait for their readers."""
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            count += os.readlink(link).endswith("(deleted)")
    return count


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux can tell that a reader reads no more")
def test_what_nobody_reads_does_not_wait_for_ever(store, monkeypatch):
    monkeypatch.setattr("viewer.serving.PATIENCE", 1)
    send(store, request(*(span(id=id, attributes=[attribute("text", "\x01" * 1_000_000)]) for id in range(1, 5))))
    port = start_web(store, "127.0.0.1", 0, 0)
    before = waiting_files()
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", port))
        reader.sendall(f"GET /api/v3/traces/{trace_id(1)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        wait_until(lambda: waiting_files() > before, "the answer")
        wait_until(lambda: waiting_files() == before, "the end of it")


def asked(port, path):
    """Open a connection that asks for a page and does not read."""
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect(("127.0.0.1", port))
    reader.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return reader


def test_ten_readers_of_big_traces_keep_nobody_from_the_list(store):
    send(store, request(span(attributes=[attribute("text", "x" * 100_000)])))
    port = start_web(store, "127.0.0.1", 0, 0)
    with contextlib.ExitStack() as readers, web._big:  # so none of their answers gets on
        for _ in range(10):
            readers.enter_context(asked(port, f"/api/v3/traces/{trace_id(1)}"))
        for _ in range(3):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{SUMMARIES}", timeout=20) as answer:
                assert json.load(answer)["summaries"]


def test_connections_that_drip_keep_nobody_out(store, monkeypatch):
    monkeypatch.setattr("viewer.serving.CONNECTIONS", 10)
    port = start_web(store, "127.0.0.1", 0, 0)
    with contextlib.ExitStack() as opened:
        dripping = [opened.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(30)]
        for each in dripping:
            with contextlib.suppress(OSError):  # it has made room already
                each.sendall(b"GET")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{SUMMARIES}", timeout=5) as answer:
            assert answer.status == 200
        with contextlib.suppress(OSError):
            assert dripping[0].recv(1) == b""


def test_a_connection_that_is_used_stays_when_others_have_to_make_room(store, monkeypatch):
    monkeypatch.setattr("viewer.serving.CONNECTIONS", 10)
    port = start_web(store, "127.0.0.1", 0, 0)
    used = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.ExitStack() as opened:
        for _ in range(30):
            used.request("GET", SUMMARIES)
            assert used.getresponse().read()
            opened.enter_context(socket.create_connection(("127.0.0.1", port)))
    used.close()


def test_a_request_has_ten_seconds_to_be_whole(store, monkeypatch):
    monkeypatch.setattr("viewer.serving.SENDING", 0.5)
    port = start_web(store, "127.0.0.1", 0, 0)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as dripping:
        dripping.sendall(b"GET")
        assert dripping.recv(1) == b""


def in_the_kernel(reader):
    """Return how many bytes of an answer the system holds for a reader on this machine that does not read."""
    ends = [f"{end[1]:04X}" for end in (reader.getpeername(), reader.getsockname())]
    waiting = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if sorted((local[-4:], remote[-4:])) == sorted(ends):
            waiting += sum(int(queue, 16) for queue in queues.split(":"))
    return waiting


def settled(function, *arguments):
    """Return what a function returns, if it is the same a moment later."""
    before = function(*arguments)
    time.sleep(0.3)
    return function(*arguments) == before and before


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux tells how much the system itself holds")
def test_files_that_are_sent_to_the_page_at_once_have_a_bound(store, monkeypatch):
    monkeypatch.setattr(serving, "MAX_WAITING", 200_000)
    address = "127.0.0.1", start_web(store, "127.0.0.1", 0, 4317)
    url = f"http://127.0.0.1:{address[1]}"
    body = b'{"resourceSpans":[]}' + b" " * 50_000
    with socket.create_connection(address) as stalled:
        head = b"POST /viewer/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n"
        stalled.sendall(head + bytes(199_000))
        wait_until(lambda: 199_000 in map(len, list(serving.Body.bodies)), "what it sends")
        assert requests.post(f"{url}/viewer/files", body).status_code == 503
        assert requests.get(f"{url}/api/v3/services").ok
    wait_until(lambda: requests.post(f"{url}/viewer/files", body).status_code == 400, "room again: it has no spans")


def test_answers_that_nobody_reads_do_not_wait_in_memory(store):
    """What is beyond the system's own buffers is half a megabyte for each of 20 readers here."""
    for service in range(100):
        send(store, request(*(span(trace=number) for number in range(1, 401)), service=f"{service} " + "x" * 200))
    port = start_web(store, "127.0.0.1", 0, 0)

    def size(depth):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{SUMMARIES}?query.searchDepth={depth}") as answer:
            return len(answer.read())

    with contextlib.ExitStack() as readers:
        before = waiting_files()
        reader = readers.enter_context(asked(port, f"{SUMMARIES}?query.searchDepth=400"))
        wait_until(lambda: waiting_files() > before, "the rest in a file")
        wanted = wait_until(lambda: settled(in_the_kernel, reader), "no more goes to the system") + 500_000
        depth = next(depth for depth in range(1, 400) if size(depth) > wanted)
        before = waiting_files()
        for _ in range(20):
            readers.enter_context(asked(port, f"{SUMMARIES}?query.searchDepth={depth}"))
        # The system's buffers grow as it sees fit, so not every answer needs a file.
        wait_until(lambda: waiting_files() >= before + 10, "files for the rest")
