"""Writes a trace as OTLP JSON: protobuf's, but with enums as numbers and ids in hexadecimal.

As in Jaeger's, a status is there also when it is not set, an attribute without a value has an empty one, and an id of
zeros is left out. What a span is made of is written out here: to ask each message for it takes several times as long.
"""

from collections import defaultdict
from collections.abc import Iterator
from json import JSONEncoder
from json.encoder import encode_basestring_ascii as quoted

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from viewer.store import Trace

encode = JSONEncoder(separators=(",", ":"), allow_nan=False).encode
CHUNK = 100  # spans that are written at once


def trace_json(trace: Trace) -> Iterator[str]:
    """Yield `{"result": …}` with the trace as OTLP JSON, in pieces: a big one would be hundreds of MB."""
    by_resource = defaultdict(list)
    for group, spans in trace:
        by_resource[group.resource, group.resource_schema].append((group, spans))
    yield '{"result":{"resourceSpans":['
    for r, ((resource, schema), groups) in enumerate(by_resource.items()):
        yield f'{"," * (r > 0)}{{{_shared("resource", Resource.FromString(resource), schema)}"scopeSpans":['
        for s, (group, spans) in enumerate(groups):
            scope = InstrumentationScope.FromString(group.scope)
            yield f'{"," * (s > 0)}{{{_shared("scope", scope, group.scope_schema)}"spans":['
            for start in range(0, len(spans), CHUNK):
                chunk = map(Span.FromString, spans[start : start + CHUNK])
                yield "," * (start > 0) + ",".join(map(span_json, chunk))
            yield "]}"
        yield "]}"
    yield "]}}"


def span_json(span: Span) -> str:
    """Return a span as OTLP JSON."""
    text = _id("traceId", span.trace_id) + _id("spanId", span.span_id) + _text("traceState", span.trace_state)
    text += _id("parentSpanId", span.parent_span_id) + _text("name", span.name) + _number("kind", span.kind)
    text += _time("startTimeUnixNano", span.start_time_unix_nano) + _time("endTimeUnixNano", span.end_time_unix_nano)
    text += _attributes(span)
    if span.events:
        text += f'"events":[{",".join(map(_event, span.events))}],'
    text += _number("droppedEventsCount", span.dropped_events_count)
    if span.links:
        text += f'"links":[{",".join(map(_link, span.links))}],'
    text += _number("droppedLinksCount", span.dropped_links_count) + _number("flags", span.flags)
    return f'{{{text}"status":{_status(span.status) if span.HasField("status") else "{}"}}}'


def _event(event: Span.Event) -> str:
    text = _time("timeUnixNano", event.time_unix_nano) + _text("name", event.name) + _attributes(event)
    return f"{{{text[:-1]}}}"


def _link(link: Span.Link) -> str:
    text = _id("traceId", link.trace_id) + _id("spanId", link.span_id) + _text("traceState", link.trace_state)
    text += _attributes(link) + _number("flags", link.flags)
    return f"{{{text[:-1]}}}"


def _status(status: Status) -> str:
    return f"{{{(_text('message', status.message) + _number('code', status.code))[:-1]}}}"


def _shared(name: str, owner: Resource | InstrumentationScope, schema_url: str) -> str:
    """What many spans share, and its schema's URL, as members of an object."""
    fields = MessageToDict(owner)
    for pair in fields.get("attributes", ()):
        _complete(pair)
    return f'"{name}":{encode(fields)},' + _text("schemaUrl", schema_url)


def _attributes(owner: Span | Span.Event | Span.Link) -> str:
    text = _number("droppedAttributesCount", owner.dropped_attributes_count)
    if owner.attributes:
        text = f'"attributes":[{",".join(map(_attribute, owner.attributes))}],{text}'
    return text


def _attribute(attribute: KeyValue) -> str:
    value = attribute.value
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return f'{{"key":{quoted(attribute.key)},"value":{{"stringValue":{quoted(value.string_value)}}}}}'
    if kind == "int_value":
        return f'{{"key":{quoted(attribute.key)},"value":{{"intValue":"{value.int_value}"}}}}'
    fields = MessageToDict(attribute)  # lists and maps among them
    _complete(fields)
    return encode(fields)


def _complete(pair: dict) -> None:
    """Give an attribute without a key or a value an empty one, and those in its value too."""
    pair.setdefault("key", "")
    _complete_value(pair.setdefault("value", {}))


def _complete_value(value: dict) -> None:
    for pair in value.get("kvlistValue", {}).get("values", ()):
        _complete(pair)
    for item in value.get("arrayValue", {}).get("values", ()):
        _complete_value(item)


def _id(name: str, value: bytes) -> str:
    return f'"{name}":"{value.hex()}",' if any(value) else ""


def _text(name: str, value: str) -> str:
    return f'"{name}":{quoted(value)},' if value else ""


def _number(name: str, value: int) -> str:
    return f'"{name}":{value},' if value else ""


def _time(name: str, value: int) -> str:
    return f'"{name}":"{value}",' if value else ""
