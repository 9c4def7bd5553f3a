"""Reads OTLP in JSON: requests, and saved traces. OTLP specification, "JSON Protobuf Encoding".

It is protobuf's JSON but for the ids, which are in hexadecimal and not in base64.
"""

import base64
import contextlib
import json
import re
import threading
from collections.abc import Iterator

from google.protobuf.json_format import ParseDict, ParseError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from viewer.store import Refused, Store

IDS = "traceId", "spanId", "parentSpanId"
BLANKS = re.compile(r"\s*")

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
        return store.add(_encoded(_DECODER.decode(text.decode())))


def add_file(store: Store, text: bytes) -> None:
    """Keep the spans of a saved trace: one request, or one a line, as in the file of a Collector's file exporter.

    What the read API puts around a trace may be there. Raises ValueError when the file cannot be read, or has no
    spans; the requests before the one that cannot be read are kept. OpenTelemetry Protocol File Exporter.
    """
    has_spans = False
    with _one_at_a_time():
        for line, request in _documents(text.decode("utf-8-sig")):
            try:
                encoded = _encoded(request.get("result", request) if isinstance(request, dict) else request)
            except (ParseError, ValueError) as error:
                raise ValueError(f"line {line}: {error}") from None
            store.add(encoded)
            has_spans |= bool(encoded)
    if not has_spans:
        raise ValueError("no spans in it; OTLP JSON begins with resourceSpans")


def _documents(text: str) -> Iterator[tuple[int, object]]:
    """Yield each JSON value in a text, and the number of its first line."""
    position = BLANKS.match(text).end()
    while position < len(text):
        line = text.count("\n", 0, position) + 1
        value, position = _DECODER.raw_decode(text, position)
        yield line, value
        position = BLANKS.match(text, position).end()


def _encoded(request: object) -> bytes:
    """Return a request in its binary encoding. Fields that it does not have are passed over."""
    if not isinstance(request, dict):
        raise ValueError("not a JSON object")
    return ParseDict(request, ExportTraceServiceRequest(), ignore_unknown_fields=True).SerializeToString()


def _as_protobuf_has_it(fields: dict) -> dict:
    """Return an object of OTLP's JSON with ids in base64, and all base64 with - and _: Python will refuse + and /."""
    for name in IDS:
        if isinstance(digits := fields.get(name), str):
            try:
                fields[name] = base64.urlsafe_b64encode(bytes.fromhex(digits)).decode()
            except ValueError:
                raise ValueError(f"{name} is not hexadecimal: {digits[:40]!r}") from None
    if isinstance(value := fields.get("bytesValue"), str):
        fields["bytesValue"] = value.replace("+", "-").replace("/", "_")
    return fields


_DECODER = json.JSONDecoder(object_hook=_as_protobuf_has_it)
