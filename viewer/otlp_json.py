"""Reads OTLP in JSON: requests, and saved traces. OTLP specification, "JSON Protobuf Encoding".

It is protobuf's JSON but for the ids, which are in hexadecimal and not in base64. A field's name is taken as it stands
in the .proto files, too: `trace_id` for `traceId`.
"""

import base64
import contextlib
import json
import re
import threading
from collections.abc import Iterator
from functools import cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import ParseDict, ParseError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from viewer.store import Refused, Store

IDS = "trace_id", "span_id", "parent_span_id"
TEXTS = FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES
HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")  # JSON can have it, where a text was cut, and UTF-8 cannot
GZIP = b"\x1f\x8b"
BLANKS = re.compile(r"\s*")
_DECODER = json.JSONDecoder()

in_turn = threading.Lock()


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Wait, as JSON takes up to 35 times as much memory as it has bytes; raise ValueError for what is wrong with it."""
    with in_turn:
        try:
            yield
        except (ParseError, RecursionError) as error:
            raise ValueError(str(error)) from None


def add(store: Store, text: bytes) -> Refused:
    """Keep the spans of one ExportTraceServiceRequest in JSON. Raises ValueError when it cannot be read."""
    with _one_at_a_time():
        return store.add(_encoded(json.loads(text)))


class PartlyRead(ValueError):
    """Some of a file could not be read. The rest of it is kept."""


def add_file(store: Store, text: bytes) -> None:
    """Keep the spans of saved traces: of one request, of an array of them, or of one after the other.

    So are the files of a Collector's file exporter, and of `jq -s`; what the read API puts around a trace may be there.
    Raises ValueError when nothing can be read, and PartlyRead when some can. OpenTelemetry Protocol File Exporter.
    """
    if text.startswith(GZIP):
        raise ValueError("gzip: unpack it first")
    unread, has_spans = [], False
    with _one_at_a_time():
        for line, document in _documents(text.decode(json.detect_encoding(text), "replace")):
            for request in document if isinstance(document, list) else [document]:
                try:
                    if isinstance(request, ValueError):
                        raise request
                    encoded = _encoded(request.get("result", request) if isinstance(request, dict) else request)
                    store.add(encoded)
                    has_spans |= bool(encoded)
                except (ParseError, ValueError) as error:
                    unread.append(f"line {line}: {error}")
    if unread:
        problem = unread[0] + f" (and {len(unread) - 1} more)" * (len(unread) > 1)
        raise PartlyRead(f"{problem}. The rest is shown") if has_spans else ValueError(problem)
    if not has_spans:
        raise ValueError("no spans in it; OTLP JSON begins with resourceSpans")


def _documents(text: str) -> Iterator[tuple[int, object]]:
    """Yield each JSON value in a text, and the number of its first line; a ValueError where one cannot be read."""
    line, counted, position = 1, 0, BLANKS.match(text).end()
    while position < len(text):
        line += text.count("\n", counted, position)
        counted = position
        try:
            value, end = _DECODER.raw_decode(text, position)
        except ValueError as error:
            value = ValueError(f"cut off, or no JSON: {error}")
            end = text.find("\n{", position)  # where a line was cut, the next one begins another request
        yield line, value
        position = BLANKS.match(text, end).end() if end >= 0 else len(text)


def _encoded(request: object) -> bytes:
    """Return a request in its binary encoding. Fields that it does not have are passed over."""
    fields = _as_protobuf_has_it(request, ExportTraceServiceRequest.DESCRIPTOR, "the whole")
    return ParseDict(fields, ExportTraceServiceRequest(), ignore_unknown_fields=True).SerializeToString()


@cache
def _fields(kind: Descriptor) -> dict[str, FieldDescriptor]:
    """Return the fields of a kind of message by their names, in both spellings."""
    return {name: field for field in kind.fields for name in (field.name, field.json_name)}


def _as_protobuf_has_it(value: object, kind: Descriptor, name: str) -> dict:
    """Return a message of this kind in OTLP's JSON as protobuf's reader takes it: its fields are changed in place.

    Ids are in base64 then, and what is no character of a text is U+FFFD. Raises ValueError, with the field's name, for
    what that reader would pass over without a word.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{name} is no object: {json.dumps(value)[:40]}")
    fields = _fields(kind)
    for key, inner in value.items():
        field = fields.get(key)
        if field is None or inner is None:
            continue
        if field.message_type:
            for each in inner if field.is_repeated and isinstance(inner, list) else (inner,):
                _as_protobuf_has_it(each, field.message_type, key)
        elif field.enum_type:
            is_number = type(inner) is int or (isinstance(inner, str) and re.fullmatch("[0-9]+", inner))
            if not (is_number or str(inner) in field.enum_type.values_by_name):
                raise ValueError(f"{key} is no number: {json.dumps(inner)[:40]}")
        elif field.type in TEXTS and not field.is_repeated and not isinstance(inner, str):
            raise ValueError(f"{key} is no text: {json.dumps(inner)[:40]}")
        elif isinstance(inner, str):
            if field.name in IDS:
                try:
                    value[key] = base64.urlsafe_b64encode(bytes.fromhex(inner)).decode()
                except ValueError:
                    raise ValueError(f"{key} is not hexadecimal: {inner[:40]!r}") from None
            elif field.type == FieldDescriptor.TYPE_BYTES:
                if not re.fullmatch("[A-Za-z0-9+/_-]*=*", inner):
                    raise ValueError(f"{key} is not base64: {inner[:40]!r}")
                value[key] = inner.replace("+", "-").replace("/", "_")  # Python will refuse + and /
            elif not inner.isascii():
                value[key] = HALF_A_CHARACTER.sub("\ufffd", inner)
    return value
