"""OTLP in JSON: what is understood, and that it becomes the same as in the binary encoding."""

import base64
import contextlib
import json
import tracemalloc

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.viewer.otlp import attribute, exception, request, span
from viewer import otlp_json

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


def read(**fields):
    """Return a span with these fields of its JSON, as it is read."""
    fields = {"traceId": ID, "spanId": SPAN_ID} | fields
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [fields]}]}]}).encode()
    ((_, (span,)),) = otlp_json.groups(body)
    return Span.FromString(span)


def refusal(body):
    """Return what is said of a body that cannot be read."""
    with pytest.raises(DecodeError) as caught:
        list(otlp_json.groups(body))
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
    sent = request(full, span(), span(trace=2))
    sent.resource_spans[0].schema_url = "https://resource"
    sent.resource_spans[0].scope_spans[0].schema_url = "https://scope"
    sent.resource_spans.extend(request(span(), service="other").resource_spans)
    assert list(otlp_json.groups(as_json(sent))) == list(wire.groups(sent.SerializeToString()))


@pytest.mark.parametrize("id", [ID, ID.lower()])
def test_ids_are_hexadecimal_in_any_case(id):
    assert read(traceId=id).trace_id == bytes.fromhex(ID)


def test_the_ids_of_a_parent_and_of_links_are_too():
    found = read(parentSpanId="00000000000000ff", links=[{"traceId": ID, "spanId": SPAN_ID}])
    assert found.parent_span_id == bytes(7) + b"\xff"
    assert (found.links[0].trace_id, found.links[0].span_id) == (bytes.fromhex(ID), bytes.fromhex(SPAN_ID))


def test_an_id_in_base64_is_said_to_be_no_hexadecimal():
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "W47/95gDgQPSabYzgT/GDA=="}]}]}]}
    assert refusal(json.dumps(body).encode()) == "traceId is not hexadecimal: 'W47/95gDgQPSabYzgT/GDA=='"


@pytest.mark.parametrize("value", [1700000000000000001, "1700000000000000001"])
def test_numbers_of_64_bits_are_numbers_or_texts(value):
    assert read(startTimeUnixNano=value).start_time_unix_nano == 1700000000000000001


def test_enums_are_integers():
    found = read(kind=2, status={"code": 2})
    assert (found.kind, found.status.code) == (Span.SPAN_KIND_SERVER, Status.STATUS_CODE_ERROR)


def test_bytes_are_base64():
    assert read(attributes=[{"key": "k", "value": {"bytesValue": "/wA="}}]).attributes[0].value.bytes_value == b"\xff\0"


def test_what_is_null_is_not_there():
    found = read(parentSpanId=None, attributes=None, status=None, links=None)
    assert found == read()


def test_fields_with_unknown_names_are_passed_over():
    known = {"traceId": ID, "spanId": SPAN_ID, "name": "work"}
    unknown = {"unknown": {"deep": [{"deeper": [[{}]]}]}, "also": [1, None, "x"]}
    spans = [known | unknown | {"status": {"code": 1} | unknown}]
    scope_spans = [{"scope": {"name": "tests"} | unknown, "spans": spans, "others": [{"traceId": 1}]} | unknown]
    body = {"resourceSpans": [{"resource": unknown, "scopeSpans": scope_spans} | unknown]} | unknown
    ((group, (found,)),) = otlp_json.groups(json.dumps(body).encode())
    assert Span.FromString(found) == read(name="work", status={"code": 1})
    assert b"tests" in group.scope


def test_the_order_of_a_resource_and_its_spans_does_not_matter():
    body = as_json(request(span(id=1)))
    fields = json.loads(body)["resourceSpans"][0]
    turned = {"resourceSpans": [dict(reversed(fields.items()))]}
    assert list(otlp_json.groups(json.dumps(turned).encode())) == list(otlp_json.groups(body))


@pytest.mark.parametrize("empty", [b"{}", b' {"resourceSpans":[]}\n', b'{"resourceSpans":[{"scopeSpans":[{}]}]}'])
def test_what_has_no_spans_is_a_good_request(empty):
    assert list(otlp_json.groups(empty)) == []


def of_a_span(text):
    """Return a request that has this JSON as its span."""
    return b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + text + b"]}]}]}"


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"[]",
        b"1",
        b"NaN",
        b"junk",
        b"\xff",
        b'{"resourceSpans":',
        b'{"resourceSpans":{}}',
        b'{"resourceSpans":[1]}',
        b'{"resourceSpans":[{"resource":[]}]}',
        b'{"resourceSpans":[{"schemaUrl":1,"scopeSpans":[{}]}]}',
        b'{"resourceSpans":[],"x":NaN}',
        b'{"x":NaN,' + of_a_span(b"{}")[1:],
        of_a_span(b"NaN"),
        of_a_span(b"1"),
        of_a_span(b"{}{}"),
        of_a_span(b"{]"),
        of_a_span(b"[{}"),
        of_a_span(b'{"name":1}'),
        of_a_span(b'{"name":"\\ud800"}'),
        of_a_span(b'{"kind":NaN}'),
        of_a_span(b'{"attributes":{}}'),
        of_a_span(b'{"links":[1]}'),
        of_a_span(b'{"startTimeUnixNano":"' + b"9" * 5_000 + b'"}'),
        of_a_span(b'{"name":"\n"}'),
        of_a_span(b'{"name":"'),
        b'"' * 999_999,
        b"[" * 1_000_000,
        b'{"a":' * 600 + b"1" + b"}" * 600,
        of_a_span(b'{"x":' * 600 + b"1" + b"}" * 600),
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
        with contextlib.suppress(DecodeError):
            list(otlp_json.groups(each))


@pytest.mark.parametrize(
    "hostile",
    [
        b'{"x":[' + b'{"":0},' * 2_300_000 + b"0]}",
        of_a_span(b'{"x":[' + b'{"":0},' * 2_300_000 + b"0]}"),
        of_a_span(b"{}," * 5_400_000 + b"{}"),
        of_a_span(b'{"attributes":[' + b"{}," * 5_400_000 + b"{}]}"),
        of_a_span(b'{"x":[' + b'"ab",' * 3_000_000 + b"0]}"),
        of_a_span(b'{"x":' + b"[" * 16_000_000),
    ],
    ids=["around", "in a span", "spans", "attributes", "texts", "depth"],
)
def test_whatever_16_mb_hold_the_memory_is_bounded(hostile):
    """In the Python objects of the json module these take 250 to 500 MB."""
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError):
            list(otlp_json.groups(hostile))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 120_000_000
