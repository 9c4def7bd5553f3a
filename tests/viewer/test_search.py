"""The search: the bytes that are looked at first hide nothing."""

import json

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tests.viewer.otlp import request, send, span
from viewer.search import Search
from viewer.store import Store


def is_found(attribute, value):
    store = Store()
    send(store, request(span(attributes=[attribute])))
    return list(Search({"query.attributes": json.dumps({attribute.key: value})}).find(store)) == store.summaries()


@given(st.text(), st.text())
def test_any_text_is_found(key, value):
    attribute = KeyValue(key=f"it.{key}", value=AnyValue(string_value=value))
    assert is_found(attribute, value)


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_number_is_found_whatever_its_type(number):
    for fields in ({"int_value": number}, {"string_value": str(number)}):
        assert is_found(KeyValue(key="it", value=AnyValue(**fields)), str(number))
    assert is_found(KeyValue(key="it", value=AnyValue(double_value=number)), str(int(float(number))))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_so_is_a_broken_one(number):
    assert is_found(KeyValue(key="it", value=AnyValue(double_value=number)), json.dumps(number))
