"""Reads a trace as the advice looks at it: decoded, each span with its parent and its children."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple
from urllib.parse import urlsplit

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from viewer.store import Trace

SERVER, CLIENT = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT
INSIDE = (Span.SPAN_KIND_UNSPECIFIED, Span.SPAN_KIND_INTERNAL)  # "the former may be taken for the latter": trace.proto
METHOD = ("http.request.method", "http.method")
CODE = ("http.response.status_code", "http.status_code")
DATABASE = ("db.system.name", "db.system")


class Call(NamedTuple):
    """What both sides of a call over HTTP know of it; empty where a span does not say."""

    method: str
    path: str
    host: str  # without the port
    code: str


@dataclass(eq=False)
class Node:
    """A span among those of its trace."""

    span: Span
    resource: bytes
    resource_attributes: dict[str, str]
    scope: str
    parent: "Node | None" = None
    children: list["Node"] = field(default_factory=list)
    shares_id: bool = False  # with the other half of a call

    def __post_init__(self):
        span = self.span
        self.trace_id, self.span_id, self.name = span.trace_id.hex(), span.span_id, span.name
        self.kind, self.status = span.kind, span.status.code
        self.start, self.end = span.start_time_unix_nano, span.end_time_unix_nano
        self.service = self.resource_attributes.get("service.name") or "unknown_service"
        self.has_times = 0 < self.start <= self.end
        self.is_root = not any(span.parent_span_id)

    @cached_property
    def attributes(self) -> dict[str, str]:
        """Its attributes, all as text."""
        return texts(self.span.attributes)

    @cached_property
    def call(self) -> Call:
        """The call over HTTP that it stands for."""
        return read_call(self.attributes, self.kind)

    def get(self, *keys: str) -> str:
        """Return the first of these attributes that it has; empty when it has none."""
        return first(self.attributes, keys)


def read(trace: Trace) -> list[Node]:
    """Return the spans of a trace by their start, each with its parent and its children.

    Of the versions of a span it is the one that ended last. Where the two halves of a call share an id, a child
    belongs to the half of its own resource.
    """
    versions: dict[tuple, Node] = {}
    for group, spans in trace:
        resource = texts(Resource.FromString(group.resource).attributes)
        scope = InstrumentationScope.FromString(group.scope).name
        for raw in spans:
            node = Node(Span.FromString(raw), group.resource, resource, scope)
            key = node.span_id, node.kind, node.resource
            if key not in versions or versions[key].end <= node.end:
                versions[key] = node
    by_id = defaultdict(list)
    for node in versions.values():
        by_id[node.span_id].append(node)
    for node in versions.values():
        node.shares_id = len(by_id[node.span_id]) > 1
        parents = [each for each in by_id.get(node.span.parent_span_id, ()) if each is not node]
        own = [each for each in parents if each.resource == node.resource]
        if parents:
            node.parent = (own or parents)[-1]
            node.parent.children.append(node)
    return sorted(versions.values(), key=lambda node: node.start)


def read_call(attributes: dict[str, str], kind: int) -> Call:
    """Return the call over HTTP that attributes tell of, by stable or by old names."""
    try:
        url = urlsplit(first(attributes, ("url.full", "http.url")))
        host = urlsplit(f"//{attributes.get('http.host', '')}").hostname or url.hostname
    except ValueError:
        url, host = urlsplit(""), None
    path = attributes.get("url.path") or attributes.get("http.target", "").partition("?")[0] or url.path
    names = ("server.address", "net.peer.name" if kind == CLIENT else "net.host.name")
    host = (first(attributes, names) or host or attributes.get("http.server_name", "")).lower().strip("[]")
    is_loopback = host in ("localhost", "::1") or host.startswith("127.")
    path = path or ("/" if url.netloc else "")
    return Call(first(attributes, METHOD), path, "localhost" if is_loopback else host, first(attributes, CODE))


def first(attributes: dict[str, str], keys: Iterable[str]) -> str:
    """Return the first of these attributes that is there; empty when none is."""
    return next((attributes[key] for key in keys if attributes.get(key)), "")


def texts(attributes: Iterable[KeyValue]) -> dict[str, str]:
    """Return attributes with their values as text."""
    return {pair.key: text(pair.value) for pair in attributes}


def text(value: AnyValue) -> str:
    """Return a value as text, an array's with blanks between; empty for bytes and maps."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return " ".join(map(text, value.array_value.values))
    return "" if kind in (None, "bytes_value", "kvlist_value") else str(getattr(value, kind))
