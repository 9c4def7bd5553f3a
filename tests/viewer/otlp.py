"""OTLP requests made by hand, for what no SDK would send."""

import base64
import itertools
import json
from pathlib import Path

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import ParseDict
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status, TracesData

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"  # the method of OTLP/gRPC, for what sends bytes
NOON = 1_700_000_000_000_000_000  # in nanoseconds since 1970
ids = itertools.count(1)
SCALARS = {
    FieldDescriptor.TYPE_STRING: st.text(),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=20) | st.sampled_from([bytes(8), bytes(16), b"\xab" * 16]),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_DOUBLE: st.floats(),
    FieldDescriptor.TYPE_ENUM: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED64: st.integers(0, 2**64 - 1),
}


def attribute(key, value):
    """Return an attribute with a text, or another value."""
    return KeyValue(key=key, value=value if isinstance(value, AnyValue) else AnyValue(string_value=value))


def trace_id(number):
    """Return the trace id that `span(trace=number)` has, as a reader writes it."""
    return f"{number:032x}"


def span(name="work", trace=1, id=None, parent=0, start=0, end=10, failed=False, **fields):
    """Return a span: `start` and `end` in milliseconds after noon; `parent` 0 makes a root."""
    fields = {
        "trace_id": trace.to_bytes(16, "big"),
        "span_id": (id or next(ids) + 2**32).to_bytes(8, "big"),
        "parent_span_id": parent.to_bytes(8, "big") if parent else b"",
        "name": name,
        "start_time_unix_nano": NOON + start * 1_000_000,
        "end_time_unix_nano": NOON + end * 1_000_000,
        "status": Status(code=Status.STATUS_CODE_ERROR) if failed else None,
    } | fields
    return Span(**fields)


def exception(type="ValueError", message="no good"):
    """Return the event that `record_exception` adds."""
    return Span.Event(
        name="exception",
        attributes=[attribute("exception.type", type), attribute("exception.message", message)],
    )


def request(*spans, service="shop", scope="tests"):
    """Return a request with these spans of one service."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.append(attribute("service.name", service))
    scope_spans = resource_spans.scope_spans.add(spans=spans)
    scope_spans.scope.name = scope
    return request


def shop(failed=False, **fields):
    """Return the requests of a small trace over two services."""
    return (
        request(span("order", id=1, start=0, end=100, **fields), service="shop"),
        request(
            span("pay", id=2, parent=1, start=20, end=80, failed=failed, **fields),
            span("ship", id=3, parent=1, start=82, end=90, **fields),
            service="bank",
        ),
    )


def wide(count):
    """Return the request of a trace with so many spans, all but one side by side."""
    return request(span("root", id=1), *(span(f"span {n}", id=n, parent=1, start=n) for n in range(2, count + 1)))


def field(number, *messages):
    """A message's field as bytes, by its number, with each of `messages` (bytes) in it."""
    made = b""
    for message in messages:
        length, key = len(message), bytes([number << 3 | 2])
        while length >= 0x80:
            key += bytes([length & 0x7F | 0x80])
            length >>= 7
        made += key + bytes([length]) + message
    return made


def send(store, request):
    """Put a request into the viewer's store, and return what was refused."""
    return store.add(request.SerializeToString())


def received(store, trace_id):
    """Return a trace of the viewer's store decoded, with a ResourceSpans for each group; None when it is not there."""
    groups = store.trace(trace_id)
    return groups and TracesData(
        resource_spans=[
            ResourceSpans(
                resource=Resource.FromString(group.resource),
                schema_url=group.resource_schema,
                scope_spans=[
                    ScopeSpans(
                        scope=InstrumentationScope.FromString(group.scope),
                        schema_url=group.scope_schema,
                        spans=map(Span.FromString, spans),
                    )
                ],
            )
            for group, spans in groups
        ]
    )


def case(name):
    """Return a request, one of the small inputs in cases/; `03a` stands for `03a-begun.json`."""
    (path,) = Path(__file__).with_name("cases").glob(f"{name}-*.json")

    def with_bytes(fields):
        """OTLP's JSON has ids in hexadecimal, protobuf's in base64."""
        ids = fields.keys() & {"traceId", "spanId", "parentSpanId"}
        return fields | {key: base64.b64encode(bytes.fromhex(fields[key])).decode() for key in ids}

    return ParseDict(json.loads(path.read_text(), object_hook=with_bytes), ExportTraceServiceRequest())


def messages(descriptor, depth=4):
    """Return what makes any message of a kind: each of its fields may be set, those of a later OTLP too."""

    def of_type(field):
        value = messages(field.message_type, depth - 1) if field.message_type else SCALARS[field.type]
        return st.lists(value, max_size=3) if field.is_repeated else value

    fields = [field for field in descriptor.fields if depth or not field.message_type]
    fields = [field for field in fields if field.name != "key_strindex"]  # of profiles: no span has one
    return st.fixed_dictionaries({}, optional={field.name: of_type(field) for field in fields})
