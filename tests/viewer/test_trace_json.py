"""A trace as JSON: whatever a span holds, as protobuf writes it but for ids and enums."""

import base64
import json

from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.viewer.otlp import messages, span
from viewer.trace_json import span_json


def in_the_general_way(span):
    """Return what a span is in OTLP JSON, as protobuf's own writer says."""
    fields = MessageToDict(span, use_integers_for_enums=True)
    fields.setdefault("status", {})
    for owner in (fields, *fields.get("links", ())):
        for name in {"traceId", "spanId", "parentSpanId"} & owner.keys():
            owner[name] = base64.b64decode(owner[name]).hex()
            if not owner[name].strip("0"):
                del owner[name]
    for owner in (fields, *fields.get("events", ()), *fields.get("links", ())):
        with_values(owner.get("attributes", ()))
    return fields


def with_values(attributes):
    """Give attributes without a key or a value an empty one, as Jaeger does, and those inside of it too."""
    for pair in attributes:
        pair.setdefault("key", "")
        value = pair.setdefault("value", {})
        with_values(value.get("kvlistValue", {}).get("values", ()))
        with_values({"value": item} for item in value.get("arrayValue", {}).get("values", ()))


@given(messages(Span.DESCRIPTOR))
def test_any_span_is_written_as_in_the_general_way(fields):
    anything = Span(**fields)
    assert json.loads(span_json(anything)) == in_the_general_way(anything)


@given(messages(AnyValue.DESCRIPTOR), st.text())
def test_any_value_is_written_as_in_the_general_way(fields, key):
    anything = span(attributes=[KeyValue(key=key, value=AnyValue(**fields))])
    assert json.loads(span_json(anything)) == in_the_general_way(anything)
