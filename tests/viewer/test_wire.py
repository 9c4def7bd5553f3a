"""Taking a request apart gives what protobuf's own reader gives, and never more at a time than one span."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from tests.viewer.otlp import attribute, field, request, span
from viewer import wire

texts = st.text(max_size=200)
spans = st.builds(
    span, texts, id=st.integers(1, 2**64 - 1), attributes=st.lists(st.builds(attribute, texts, texts), max_size=3)
)
requests = st.lists(st.builds(request, spans, spans, service=texts, scope=texts), max_size=3)


def read(message):
    """What is in a request, as the messages that it was made of."""
    return [
        (Resource.FromString(group.resource), InstrumentationScope.FromString(group.scope), Span.FromString(raw))
        for group, spans in wire.groups(message)
        for raw in spans
    ]


def read_by_protobuf(message):
    return [
        (resource_spans.resource, scope_spans.scope, span)
        for resource_spans in ExportTraceServiceRequest.FromString(message).resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]


@given(requests)
def test_it_reads_what_protobuf_reads(parts):
    message = b"".join(part.SerializeToString() for part in parts)  # of a repeated field, all parts count
    assert read(message) == read_by_protobuf(message)


def test_fields_may_come_in_any_order_and_more_than_once():
    """As a sender of another language may write them: a scope behind its spans, a resource in two halves."""
    (whole,) = request(span("a"), service="shop").resource_spans
    more = Resource(attributes=[attribute("more", "x")])
    parts = {"scope_spans": whole.scope_spans}, {"resource": more}, {"resource": whole.resource}
    message = field(1, b"".join(ResourceSpans(**part).SerializeToString() for part in parts))
    assert len(read(message)) == 1
    assert read(message) == read_by_protobuf(message)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_an_error(message):
    try:
        groups = list(wire.groups(message))
    except DecodeError:
        return
    assert all(isinstance(raw, bytes) for _, spans in groups for raw in spans)


@given(st.data())
def test_what_is_cut_off_is_an_error(data):
    message = request(span("work", attributes=[attribute("key", "value")])).SerializeToString()
    with pytest.raises(DecodeError):
        list(wire.groups(message[: data.draw(st.integers(1, len(message) - 1))]))


def test_unknown_fields_of_any_type_are_passed_over():
    """One of each wire type, and in the group a field that would be spans outside of it."""
    unknown = b"\xf8\x01\x07\xf9\x01" + bytes(8) + b"\xfd\x01" + bytes(4) + b"\xfb\x01\x0a\x02\x0a\x00\xfc\x01"
    message = unknown + request(span("a")).SerializeToString() + unknown
    assert len(read(message)) == 1
    assert read(message) == read_by_protobuf(message)


@pytest.mark.parametrize(
    "junk", [b"\x0b", b"\x0c", b"\x0f", b"\x0a\x80", b"\x08" + b"\xff" * 11, b"\0\0", b"\2\0"], ids=bytes.hex
)
def test_what_protobuf_cannot_read_is_an_error(junk):
    for reader in (wire.fields, ExportTraceServiceRequest.FromString):
        with pytest.raises(DecodeError):
            reader(junk)


@pytest.mark.parametrize("nesting", [(1,), (1, 2), (1, 2, 2)], ids=["resources", "scopes", "spans"])
def test_a_request_of_a_million_empty_messages_is_an_error(nesting):
    *outer, inner = nesting
    message = field(inner, b"") * (wire.MAX_FIELDS + 1)
    for number in reversed(outer):
        message = field(number, message)
    with pytest.raises(DecodeError, match="too many fields"):
        list(wire.groups(message))


many = [AnyValue(bool_value=True)] * (wire.MAX_PARTS + 1)


@pytest.mark.parametrize(
    "big",
    [
        Span(events=[Span.Event()] * (wire.MAX_PARTS + 1)),
        Span(attributes=[KeyValue(key="list", value=AnyValue(array_value=ArrayValue(values=many)))]),
    ],
    ids=["events", "a value in an attribute"],
)
def test_what_would_take_too_much_memory_is_an_error(big):
    with pytest.raises(DecodeError, match="more than 100,000"):
        wire.decode(Span, big.SerializeToString())


def test_as_many_parts_as_are_allowed_are_decoded():
    big = Span(events=[Span.Event(name="x")] * wire.MAX_PARTS)
    assert wire.decode(Span, big.SerializeToString()) == big


def test_a_long_text_is_no_matter():
    big = Span(name="x" * 10_000_000)
    assert wire.decode(Span, big.SerializeToString()) == big
