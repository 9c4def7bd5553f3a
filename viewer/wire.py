"""Takes an OTLP request apart, and decodes it piece by piece: never more at a time than one span.

A message takes up to 90 times as much memory as it has bytes on the wire, so that 16 MB of empty ones would be over
1 GB. Protocol Buffers documentation, "Encoding".
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

MAX_FIELDS = 1_000_000  # spans of one request, and what is beside them; 16 MB of spans with ids are fewer
GROUP_FIELDS = 10  # of these a resource or a scope counts for so many: it takes as much longer to take apart
MAX_PARTS = 100_000  # messages in one span, resource or scope: its attributes, events and links, and their values
SMALL = 2 * MAX_PARTS  # bytes: in fewer there cannot be more parts
VARINT, FIXED64, BYTES, GROUP, END_GROUP, FIXED32 = range(6)  # wire types

M = TypeVar("M", bound=Message)


class Group(NamedTuple):
    """What some spans share, as the bytes that were sent: a resource and a scope, each with its schema's URL."""

    resource: bytes
    resource_schema: bytes
    scope: bytes
    scope_schema: bytes


Groups = tuple[Group, list[bytes]]  # a group with its spans, undecoded
Trace = list[Groups]  # all spans of one trace


def groups(request: bytes) -> Iterator[Groups]:
    """Yield each group of an ExportTraceServiceRequest that has spans, with them. Raises DecodeError if it is none."""
    left = MAX_FIELDS

    def take_apart(message, weight=1):
        nonlocal left
        found = fields(message, left // weight)
        left -= weight * sum(map(len, found.values()))
        return found

    for resource_spans in take_apart(memoryview(request), GROUP_FIELDS)[
        ExportTraceServiceRequest.RESOURCE_SPANS_FIELD_NUMBER
    ]:
        outer = take_apart(resource_spans, GROUP_FIELDS)
        # Of a message that comes twice the parts count together, of a text the last one.
        resource = b"".join(outer[ResourceSpans.RESOURCE_FIELD_NUMBER])
        resource_schema = b"".join(outer[ResourceSpans.SCHEMA_URL_FIELD_NUMBER][-1:])
        for scope_spans in outer[ResourceSpans.SCOPE_SPANS_FIELD_NUMBER]:
            inner = take_apart(bytes(scope_spans))
            scope = b"".join(inner[ScopeSpans.SCOPE_FIELD_NUMBER])
            scope_schema = b"".join(inner[ScopeSpans.SCHEMA_URL_FIELD_NUMBER][-1:])
            if spans := inner[ScopeSpans.SPANS_FIELD_NUMBER]:
                yield Group(resource, resource_schema, scope, scope_schema), spans


def decode(kind: type[M], message: bytes) -> M:
    """Return a message decoded. Raises DecodeError if it is none of this kind, or has more than MAX_PARTS."""
    if len(message) > SMALL:
        _count_parts(message, kind.DESCRIPTOR)
    return kind.FromString(message)


def fields(message: bytes | memoryview, limit: int = MAX_FIELDS) -> defaultdict[int, list]:
    """Return the messages, texts and bytes in a message, by field number, as slices of it.

    Raises DecodeError if it is no message, or has more fields than `limit`.
    """
    found = defaultdict(list)
    position, end, count, depth = 0, len(message), 0, 0
    try:
        while position < end:
            tag, position = _varint(message, position)
            wire_type = tag & 7
            if tag < 8:
                raise DecodeError("a field without a number")
            if wire_type == BYTES:
                length, position = _varint(message, position)
                start, position = position, position + length
                if not depth:
                    found[tag >> 3].append(message[start:position])
            elif wire_type == VARINT:
                _, position = _varint(message, position)
            elif wire_type == FIXED64:
                position += 8
            elif wire_type == FIXED32:
                position += 4
            elif wire_type == GROUP:  # OTLP has none, but what is unknown has to be passed over
                depth += 1
            elif wire_type == END_GROUP and depth:
                depth -= 1
            else:
                raise DecodeError("a wire type that does not exist, or is out of place")
            count += 1
            if count > limit:
                raise DecodeError("too many fields")
    except IndexError:
        position = end + 1
    if position > end or depth:
        raise DecodeError("the message is cut off")
    return found


def _count_parts(message: bytes, kind: Descriptor) -> None:
    """Raise DecodeError for a message that has more than MAX_PARTS in it."""
    stack, parts = [(message, kind)], 0
    while stack:
        message, kind = stack.pop()
        for number, values in fields(message).items():
            field = kind.fields_by_number.get(number)
            if field is not None and field.message_type is not None:
                parts += len(values)
                if parts > MAX_PARTS:
                    raise DecodeError(f"more than {MAX_PARTS:,} attributes, events, links and values")
                stack += [(value, field.message_type) for value in values]


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """Return the number at a position, and the position behind it."""
    byte = message[position]
    if byte < 0x80:
        return byte, position + 1
    number, shift = byte & 0x7F, 7
    while byte >= 0x80:
        position += 1
        byte = message[position]
        number |= (byte & 0x7F) << shift
        shift += 7
        if shift > 70:
            raise DecodeError("a number of more than 64 bits")
    return number, position + 1
