"""Takes an OTLP request in JSON apart. OTLP specification, "JSON Protobuf Encoding".

As objects of Python, JSON takes up to 35 times as much memory as it has bytes. So what is around the spans is read
first, and then one span at a time, each into its binary encoding.
"""

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from viewer.wire import Group, Groups

MAX_PARTS = 500_000  # objects, arrays and what is in them, of one span, and around the spans
MAX_DEPTH = 500  # more than the messages of Protocol Buffers can have
AROUND_A_SPAN = b"{[{[{["  # the brackets that are open where a span begins
OPENING = {b"}": ord("{"), b"]": ord("[")}

in_turn = threading.Lock()  # for who reads JSON: one at a time, as it takes a second or more and several times its size

# A bracket or comma, and the texts and other values in front of it; or, where there is none, the rest.
_TOKEN = re.compile(rb'(?:[^"{}\[\],]++|"(?:[^"\\]++|\\.)*+")*+([{}\[\],])|.+', re.DOTALL)


def groups(body: bytes) -> Iterator[Groups]:
    """Yield each group of an ExportTraceServiceRequest in JSON that has spans, with them, as wire.groups does.

    Raises DecodeError if it is none.
    """
    try:
        around, spans = _spans_apart(body)
        request = _loads(around, spans)
        for resource_spans in _items(request, "resourceSpans", dict):
            resource = _encoded(Resource, resource_spans.get("resource"))
            for scope_spans in _items(resource_spans, "scopeSpans", dict):
                scope = _encoded(InstrumentationScope, scope_spans.get("scope"))
                encoded = [_span(body[place]) for place in _items(scope_spans, "spans", slice)]
                group = Group(resource, _schema(resource_spans), scope, _schema(scope_spans))
                if encoded:
                    yield group, encoded
    except json.JSONDecodeError as error:
        raise DecodeError(f"this is no JSON: {error.msg}") from None
    except (ValueError, ParseError) as error:
        raise DecodeError(str(error)) from None
    except RecursionError:
        raise DecodeError("values nested too deeply") from None


def _spans_apart(body: bytes) -> tuple[bytes, list[slice]]:
    """Return the JSON with NaN, which JSON has not, in place of each span, and the places of the spans."""
    around, spans = bytearray(), []
    opened = bytearray()
    parts = parts_around = 0
    begin = end = 0  # of the last span
    for match in _TOKEN.finditer(body):
        token = match[1]
        parts += 1
        if parts > MAX_PARTS:
            raise ValueError(f"more than {MAX_PARTS:,} objects, arrays and values in one span, or around the spans")
        if token in (b"{", b"["):
            if token == b"{" and opened == AROUND_A_SPAN:
                begin = match.end() - 1
                parts_around, parts = parts, 0
            opened += token
            if len(opened) > MAX_DEPTH:
                raise ValueError("values nested too deeply")
        elif token in OPENING:
            if not opened or opened.pop() != OPENING[token]:
                raise ValueError("JSON: brackets that do not match")
            if token == b"}" and opened == AROUND_A_SPAN:
                around += body[end:begin] + b"NaN"
                end = match.end()
                spans.append(slice(begin, end))
                parts = parts_around
    around += body[end:]
    return bytes(around), spans


def _loads(around: bytes, spans: list[slice]) -> object:
    """Return what is around the spans, with the place of each span in it."""
    left = iter(spans)

    def place(constant: str) -> slice:
        found = next(left, None)
        if found is None:
            raise ValueError(f"JSON: there is no {constant}")
        return found

    return _decoded(around, place)


def _decoded(text: bytes, parse_constant: Callable[[str], object]) -> object:
    """Return what stands in a JSON text, all bytes in it in base64 with - and _, as ParseDict takes it.

    It takes + and / too, which mean the same, but through a function that warns of them from Python 3.15 on.
    """
    url_safe = _url_safe if b'"bytesValue"' in text else None
    return json.loads(text.decode(), parse_constant=parse_constant, object_hook=url_safe)


def _url_safe(fields: dict) -> dict:
    if isinstance(fields.get("bytesValue"), str):
        fields["bytesValue"] = fields["bytesValue"].replace("+", "-").replace("/", "_")
    return fields


def _no_constant(constant: str) -> None:
    raise ValueError(f"JSON: there is no {constant}")


def _span(text: bytes) -> bytes:
    """Return a span in its binary encoding."""
    fields = _decoded(text, _no_constant)
    links = fields.get("links")
    for owner in [fields, *(links if isinstance(links, list) else [])]:
        for name in ("traceId", "spanId", "parentSpanId"):
            if isinstance(owner, dict) and isinstance(owner.get(name), str):
                owner[name] = _base64(name, owner[name])
    return _encoded(Span, fields)


def _base64(name: str, digits: str) -> str:
    """Return an id as Protocol Buffers have it in JSON: OTLP has it in hexadecimal."""
    try:
        return base64.urlsafe_b64encode(bytes.fromhex(digits)).decode()
    except ValueError:
        raise ValueError(f"{name} is not hexadecimal: {digits[:40]!r}") from None


def _encoded(kind: type[Message], fields: object) -> bytes:
    """Return a message in its binary encoding. Fields that it does not have are passed over."""
    if fields is None:
        return b""
    if not isinstance(fields, dict):
        raise ValueError(f"{kind.DESCRIPTOR.name} must be an object")
    return ParseDict(fields, kind(), ignore_unknown_fields=True).SerializeToString()


def _items(fields: object, name: str, kind: type) -> list:
    """Return the array of this name, empty when it is not there, whose items must be of this kind."""
    if not isinstance(fields, dict):
        raise ValueError("not an object")
    items = fields.get(name)
    if items is None:
        return []
    if not isinstance(items, list) or not all(isinstance(item, kind) for item in items):
        raise ValueError(f"{name} must be an array of objects")
    return items


def _schema(fields: dict) -> bytes:
    """Return the schema's URL, empty when there is none."""
    url = fields.get("schemaUrl")
    if not isinstance(url, str | None):
        raise ValueError("schemaUrl must be a text")
    return (url or "").encode()
