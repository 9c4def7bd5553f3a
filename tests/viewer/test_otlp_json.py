"""OTLP in JSON: requests, and saved traces; that they become the same as in the binary encoding."""

import base64
import contextlib
import gzip
import json
import os
import re
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.viewer.otlp import attribute, exception, received, request, send, span, trace_id
from viewer import otlp_json
from viewer.store import Store
from viewer.web import create_app

ID, SPAN_ID = "5B8EFFF798038103D269B633813FC60C", "eee19b7ec3c1b174"  # of the specification's examples


def as_json(request):
    """Return a request as OTLP JSON."""
    fields = MessageToDict(request, use_integers_for_enums=True)
    for resource_spans in fields.get("resourceSpans", ()):
        for scope_spans in resource_spans["scopeSpans"]:
            for each in scope_spans["spans"]:
                for owner in (each, *each.get("links", ())):
                    for name in {"traceId", "spanId", "parentSpanId"} & owner.keys():
                        owner[name] = base64.b64decode(owner[name]).hex()
    return json.dumps(fields).encode()


def of_a_span(text):
    """Return a request that has this JSON as its span."""
    return b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + text + b"]}]}]}"


def read(**fields):
    """Return a span with these fields of its JSON, as it is read."""
    store = Store()
    otlp_json.add(store, of_a_span(json.dumps({"traceId": ID, "spanId": SPAN_ID} | fields).encode()))
    ((_, (span,)),) = store.trace(ID)
    return Span.FromString(span)


def refusal(body):
    """Return what is said of a body that cannot be read."""
    with pytest.raises(ValueError) as caught:
        otlp_json.add(Store(), body)
    return str(caught.value)


def test_a_request_becomes_what_it_is_in_the_binary_encoding():
    values = [
        AnyValue(string_value='"}]{[, \\ \n é 😀'),
        AnyValue(bool_value=False),
        AnyValue(int_value=-(2**63)),
        AnyValue(double_value=0.1),
        AnyValue(bytes_value=b"\xff\x00"),
        AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue()])),
        AnyValue(kvlist_value=KeyValueList(values=[attribute("a", "b")])),
    ]
    full = span(
        "work, {[",
        parent=7,
        kind=Span.SPAN_KIND_SERVER,
        trace_state="a=b",
        flags=0x301,
        attributes=[KeyValue(key=f"key {number}", value=value) for number, value in enumerate(values)],
        events=[exception()],
        links=[Span.Link(trace_id=b"\1" * 16, span_id=b"\2" * 8)],
        dropped_links_count=3,
        status=Status(code=2, message="}"),
    )
    sent = request(full, span())
    sent.resource_spans[0].schema_url = "https://resource"
    sent.resource_spans[0].scope_spans[0].schema_url = "https://scope"
    sent.resource_spans.extend(request(span(), service="other").resource_spans)
    binary, from_json = Store(), Store()
    send(binary, sent)
    otlp_json.add(from_json, as_json(sent))
    assert from_json.trace(trace_id(1)) == binary.trace(trace_id(1))


@pytest.mark.parametrize("id", [ID, ID.lower()])
def test_ids_are_hexadecimal_in_any_case(id):
    assert read(traceId=id).trace_id == bytes.fromhex(ID)


def test_the_ids_of_a_parent_and_of_links_are_too():
    found = read(parentSpanId="00000000000000ff", links=[{"traceId": ID, "spanId": SPAN_ID}])
    assert found.parent_span_id == bytes(7) + b"\xff"
    assert (found.links[0].trace_id, found.links[0].span_id) == (bytes.fromhex(ID), bytes.fromhex(SPAN_ID))


def test_an_id_in_base64_is_said_to_be_no_hexadecimal():
    body = of_a_span(b'{"traceId":"W47/95gDgQPSabYzgT/GDA=="}')
    assert refusal(body) == "traceId is not hexadecimal: 'W47/95gDgQPSabYzgT/GDA=='"


@pytest.mark.parametrize("value", [1700000000000000001, "1700000000000000001"])
def test_numbers_of_64_bits_are_numbers_or_texts(value):
    assert read(startTimeUnixNano=value).start_time_unix_nano == 1700000000000000001


@pytest.mark.parametrize("text", ["+/8=", "-_8="])
def test_bytes_are_base64_of_either_kind(text):
    found = read(attributes=[{"key": "k", "value": {"bytesValue": text}}])
    assert found.attributes[0].value.bytes_value == b"\xfb\xff"


def test_half_a_character_is_the_sign_for_one_that_cannot_be_shown():
    value = {"arrayValue": {"values": [{"stringValue": "ok \ud83d, \ud83d\ude00"}]}}
    found = read(name="cut \ud83d", attributes=[{"key": "\udc00", "value": value}])
    assert (found.name, found.attributes[0].key) == ("cut \ufffd", "\ufffd")
    assert found.attributes[0].value.array_value.values[0].string_value == "ok \ufffd, 😀"


def test_names_may_be_spelt_as_in_the_proto_files_and_both_ways_at_once():
    link = {"trace_id": ID, "spanId": SPAN_ID, "dropped_attributes_count": 1}
    value = {"array_value": {"values": [{"bytes_value": "+/8="}, {"int_value": "5"}, {"stringValue": "x"}]}}
    fields = {
        "trace_id": ID,
        "span_id": SPAN_ID,
        "parent_span_id": SPAN_ID,
        "start_time_unix_nano": "1",
        "endTimeUnixNano": 2,
        "links": [link],
        "attributes": [{"key": "k", "value": value}],
    }
    body = {"resource_spans": [{"scopeSpans": [{"spans": [fields]}], "schema_url": "https://schema"}]}
    store = Store()
    assert otlp_json.add(store, json.dumps(body).encode()).count == 0
    (resource_spans,) = received(store, ID).resource_spans
    (found,) = resource_spans.scope_spans[0].spans
    assert resource_spans.schema_url == "https://schema"
    assert found.parent_span_id == found.links[0].span_id == bytes.fromhex(SPAN_ID)
    assert (found.start_time_unix_nano, found.end_time_unix_nano, found.links[0].dropped_attributes_count) == (1, 2, 1)
    assert [each.WhichOneof("value") for each in found.attributes[0].value.array_value.values] == [
        "bytes_value",
        "int_value",
        "string_value",
    ]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"status": "ok"}, "status"),
        ({"status": []}, "status"),
        ({"status": {"code": "ERROR"}}, "code"),
        ({"kind": "server"}, "kind"),
        ({"kind": "²"}, "kind"),
        ({"kind": 1.5}, "kind"),
        ({"kind": True}, "kind"),
        ({"kind": [2]}, "kind"),
        ({"name": 5}, "name"),
        ({"attributes": "x"}, "attributes"),
        ({"attributes": {"key": "value"}}, "attributes"),
        ({"attributes": [["key", "value"]]}, "attributes"),
        ({"attributes": [{"key": "k", "value": "x"}]}, "value"),
        ({"attributes": [{"key": "k", "value": 5}]}, "value"),
        ({"attributes": [{"key": "k", "value": {"intValue": "x"}}]}, "intValue"),
        ({"attributes": [{"key": "k", "value": {"arrayValue": ["x"]}}]}, "arrayValue"),
        ({"attributes": [{"key": "k", "value": {"bytesValue": "%%"}}]}, "bytesValue"),
        ({"attributes": [{"key": "k", "value": {"bytesValue": 5}}]}, "bytesValue"),
        ({"events": [5]}, "events"),
        ({"startTimeUnixNano": {}}, "startTimeUnixNano"),
        ({"spanId": 5}, "spanId"),
    ],
    ids=str,
)
def test_a_value_of_a_wrong_type_is_refused_by_its_name(fields, name):
    said = refusal(of_a_span(json.dumps({"traceId": ID, "spanId": SPAN_ID} | fields).encode()))
    assert re.search(rf"\b{name}\b", said), said


@pytest.mark.parametrize("kind", [3, "3", "SPAN_KIND_CLIENT"])
def test_an_enum_may_be_spelt_in_each_way_that_protobuf_takes(kind):
    assert read(kind=kind).kind == Span.SPAN_KIND_CLIENT


def test_what_is_null_is_not_there():
    assert read(parentSpanId=None, attributes=None, status=None, links=None) == read()


def test_fields_with_unknown_names_are_passed_over():
    known = {"traceId": ID, "spanId": SPAN_ID, "name": "work"}
    unknown = {"unknown": {"deep": [{"deeper": [[{}]]}]}, "also": [1, None, "x"]}
    spans = [known | unknown | {"status": {"code": 1} | unknown}]
    scope_spans = [{"scope": {"name": "tests"} | unknown, "spans": spans} | unknown]
    body = {"resourceSpans": [{"resource": unknown, "scopeSpans": scope_spans} | unknown]} | unknown
    store = Store()
    otlp_json.add(store, json.dumps(body).encode())
    (scope_spans,) = received(store, ID).resource_spans[0].scope_spans
    assert (scope_spans.scope.name, *scope_spans.spans) == ("tests", read(name="work", status={"code": 1}))


@pytest.mark.parametrize("empty", [b"{}", b' {"resourceSpans":[]}\n', b'{"resourceSpans":[{"scopeSpans":[{}]}]}'])
def test_what_has_no_spans_is_a_good_request(empty):
    store = Store()
    assert otlp_json.add(store, empty).count == 0
    assert store.kept() == 0


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"[]",
        b"1",
        b"junk",
        b"\xff",
        b'{"resourceSpans":',
        b'{"resourceSpans":{}}',
        b'{"resourceSpans":[1]}',
        b'{"resourceSpans":[{"resource":[1]}]}',
        b'{"resourceSpans":[{"schemaUrl":1}]}',
        of_a_span(b"NaN"),
        of_a_span(b"{}{}"),
        of_a_span(b'{"name":1}'),
        of_a_span(b'{"attributes":{}}'),
        of_a_span(b'{"startTimeUnixNano":"' + b"9" * 5_000 + b'"}'),
        of_a_span(b'{"name":"'),
        of_a_span(b'{"x":' * 100_000),
    ],
    ids=lambda junk: repr(junk[:60]),
)
def test_what_cannot_be_read_is_said_in_one_line(junk):
    assert "\n" not in refusal(junk)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["traceId", "attributes", "links", "spans", "key", "value", "kind"]), inner)
    ),
    max_leaves=10,
)


@given(JSON, st.integers(0, 400))
def test_absurd_spans_are_read_or_refused(value, cut):
    body = of_a_span(json.dumps(value).encode())
    for each in (body, body[:cut]):
        with contextlib.suppress(ValueError):
            otlp_json.add(Store(), each)


# Saved traces


def answer(number=1, name="work"):
    """Return what the read API answers for a trace of one span, and of one whose parent is missing."""
    store = Store()
    send(store, request(span(name, trace=number, id=1), span("lost", trace=number, id=2, parent=9)))
    return create_app(store).test_client().get(f"/api/v3/traces/{trace_id(number)}").json


def loaded(text):
    """Return the summaries of the traces in a file with this text."""
    store = Store()
    otlp_json.add_file(store, text)
    return store.summaries()


def partly_loaded(text):
    """Return the names of the traces that can be read in a file with this text, and what is said of the rest."""
    store = Store()
    with pytest.raises(otlp_json.PartlyRead) as rest:
        otlp_json.add_file(store, text)
    return [summary.root_name for summary in reversed(store.summaries())], str(rest.value)


def line(name):
    """Return a line as a Collector's file exporter writes it, with a trace of this name."""
    spans = [{"traceId": os.urandom(16).hex(), "spanId": SPAN_ID, "name": name}]
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("unwrap", [False, True])
def test_an_answer_of_the_read_api_is_shown_with_or_without_its_wrapper(indent, unwrap):
    document = answer()["result"] if unwrap else answer()
    (summary,) = loaded(json.dumps(document, indent=indent).encode())
    assert (summary.trace_id, summary.span_count) == (trace_id(1), 2)


def test_the_file_of_a_collector_is_shown_line_by_line():
    lines = [answer(1)["result"], {"resourceMetrics": []}, answer(2)["result"], answer(1)["result"]]
    summaries = loaded("\n\n".join(map(json.dumps, lines)).encode() + b"\n")
    assert [summary.trace_id for summary in summaries] == [trace_id(2), trace_id(1)]


def test_a_file_may_begin_with_a_byte_order_mark_and_end_its_lines_as_windows_does():
    lines = [json.dumps(answer(number)) for number in (1, 2)]
    assert len(loaded(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())) == 2


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8-sig"])
def test_a_file_may_be_written_by_powershell(encoding):
    assert [summary.root_name for summary in loaded(f"{line('größe')}\r\n{line('two')}".encode(encoding))] == [
        "two",
        "größe",
    ]


def test_an_array_of_requests_and_several_of_them_in_a_row_are_shown():
    one, two, three = map(line, ("one", "two", "three"))
    text = f"[{one}, {two}]{three}\n\n" + json.dumps([answer(9)], indent=2)
    assert [summary.root_name for summary in reversed(loaded(text.encode()))] == ["one", "two", "three", "work"]


def test_what_stands_beside_a_request_that_cannot_be_read_in_an_array_is_shown():
    bad = line("bad").replace('Id": "', 'Id": "x')
    names, said = partly_loaded(f"[{bad}, {line('one')}, {bad}, {line('two')}]".encode())
    assert names == ["one", "two"]
    assert said.startswith("line 1: traceId is not hexadecimal")


def test_a_packed_file_is_said_to_be_one():
    with pytest.raises(ValueError, match="gzip: unpack it first"):
        loaded(gzip.compress(line("one").encode()))


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("cut", [30, 60, 70, -1])
def test_of_a_file_whose_last_line_is_cut_the_others_are_shown_and_that_one_is_named(cut, end):
    names, said = partly_loaded(f"{line('one')}\n{line('two')}\n{line('three')[:cut]}{end}".encode())
    assert names == ["one", "two"]
    assert said.startswith("line 3: cut off, or no JSON: ")
    assert "\n" not in said


def test_a_file_may_be_cut_in_the_middle_of_a_character():
    names, said = partly_loaded(f"{line('one')}\n".encode() + b'{"resourceSpans":[{"x":"\xf0\x9f')
    assert names == ["one"]
    assert said.startswith("line 2: ")


@pytest.mark.parametrize(
    "bad", ['{"resourceSpans":[', "junk", '{"resourceSpans":[5]}', line("bad").replace('Id": "', 'Id": "x')]
)
def test_what_follows_a_line_that_cannot_be_read_is_shown_too(bad):
    names, said = partly_loaded(f"{line('one')}\n{line('cut')[:50]}\n{line('two')}\n{bad}\n{line('three')}".encode())
    assert names == ["one", "two", "three"]
    assert said.startswith("line 2: ")
    assert "1 more" in said


@pytest.mark.parametrize("case", sorted(Path(__file__).with_name("cases").glob("*.json")), ids=lambda case: case.stem)
def test_the_small_inputs_are_shown(case):
    assert len(loaded(case.read_bytes())) == (2 if case.stem == "lone-surrogate" else 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "no spans"),
        (b"{}", "no spans"),
        (b'{"data":[{"traceID":"1","spans":[]}]}', "no spans"),
        (b'{"result":{}}', "no spans"),
        (b"resourceSpans: []", "line 1"),
        (b'{"resourceSpans":[', "line 1"),
        (b'{"resourceSpans":[]}\n{"resourceSpans":[', "line 2"),
        (b'\n{}\n\n{"resourceSpans":5}', "line 4: "),
        (b"\x00\xff\xfe", ""),
        (of_a_span(b'{"traceId":"xyz"}'), "traceId"),
    ],
)
def test_a_bad_file_is_one_clear_line(text, words):
    with pytest.raises(ValueError) as refused:
        loaded(text)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
