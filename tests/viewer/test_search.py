"""The search: whatever is in a span is found, and the bytes that are looked at first hide nothing."""

import json

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tests.viewer.otlp import messages, request, send, span
from viewer.search import Search
from viewer.store import Store
from viewer.values import text


def is_found(attribute, key, value):
    store = Store()
    send(store, request(span(attributes=[attribute])))
    return list(Search({"query.attributes": json.dumps({key: value})}).find(store)) == store.summaries()


@given(
    st.text(),
    messages(AnyValue.DESCRIPTOR) | st.fixed_dictionaries({"string_value": st.from_regex(r"\A[0-9a-z+/=.-]*\Z")}),
)
def test_any_value_is_found_by_its_text(key, fields):
    attribute = KeyValue(key=f"it.{key}", value=AnyValue(**fields))
    assert is_found(attribute, attribute.key, text(attribute.value))


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_number_is_found_whatever_its_type(number):
    for fields in ({"int_value": number}, {"string_value": str(number)}, {"double_value": number}):
        attribute = KeyValue(key="it", value=AnyValue(**fields))
        assert is_found(attribute, "it", text(attribute.value))
