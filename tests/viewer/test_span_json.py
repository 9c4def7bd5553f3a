"""A span as JSON: whichever way it is written, the same."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.viewer.otlp import attribute, exception, messages, span
from viewer.trace_json import span_json


@given(messages(Span.DESCRIPTOR))
def test_any_span_is_written_as_in_the_general_way(fields):
    anything = Span(**fields)
    assert as_text(anything) == encode(as_dict(anything))


@given(messages(AnyValue.DESCRIPTOR), st.text())
def test_any_value_is_written_as_in_the_general_way(fields, key):
    anything = span(attributes=[KeyValue(key=key, value=AnyValue(**fields))])
    assert as_text(anything) == encode(as_dict(anything))


@pytest.mark.parametrize(
    "usual",
    [
        span(),
        span('größer 😀 \u2028\x00"\\', parent=7, kind=3, failed=True, trace_state="a=b", flags=0x101),
        span(attributes=[attribute("a", "b"), KeyValue(key="n", value=AnyValue(int_value=-5)), KeyValue(key="none")]),
        span(events=[exception()], dropped_events_count=3, links=[Span.Link(trace_id=b"\xaa" * 16, flags=1)]),
        span(status={"code": 2, "message": "no"}, flags=3),
        span(status={}, flags=3),
        span(parent_span_id=bytes(8), start_time_unix_nano=0, end_time_unix_nano=0),
        span(events=[Span.Event()], links=[Span.Link()]),
    ],
)
def test_usual_spans_are_written_as_in_the_general_way(usual):
    text = as_text(usual)
    assert text == encode(as_dict(usual))
    assert json.loads(text)["name"] == usual.name
