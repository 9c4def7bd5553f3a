"""A trace, decoded, and the two spans in it at which client and server meet."""

from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

CODE = "http.response.status_code"
KINDS = {2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}  # what is none of them is INTERNAL


class Span:
    """A span, with its `parent` (Span, or None) and its `children`. Written out it is its name."""

    def __init__(self, raw, service):
        span = trace_pb2.Span.FromString(raw)
        self.name, self.kind, self.service = span.name, KINDS.get(span.kind, "INTERNAL"), service
        self.id, self.parent_id = span.span_id, span.parent_span_id.strip(b"\0") and span.parent_span_id
        self.parent, self.children, self.start = None, [], span.start_time_unix_nano
        self.failed = span.status.code == trace_pb2.Status.STATUS_CODE_ERROR
        self.has_exception = any(event.name == "exception" for event in span.events)
        self._attributes = texts(span.attributes)

    def __str__(self):
        return f'"{self.name}"'

    def get(self, name):
        """Return an attribute as text; empty where there is none."""
        return self._attributes.get(name, "")

    def is_call(self):
        """Return whether it asks a server, and not a database."""
        return self.kind == "CLIENT" and not any(name.startswith("db.") for name in self._attributes)


class Ping:
    """One trace. `client` is the span that asks, `server` the one that answers; None where there is none.

    Both are found though they may be half right. `seen_client` is the newest that had an answer, and `seen_server` the
    newest of all, of this trace or of one before. last: the Ping before, or None.
    """

    def __init__(self, trace, last):
        self.spans = read(trace)
        self.start = min(span.start for span in self.spans)  # nanoseconds since 1970
        self.root = next((span for span in self.spans if not span.parent_id), None)
        self.failed = any(span.failed or span.has_exception or span.get(CODE) >= "400" for span in self.spans)
        self.seen_client, self.seen_server = (last.seen_client, last.seen_server) if last else (None, None)
        self.server = self._find_server()
        self.client = self._find_client()
        if self.client and self.client.get(CODE):
            self.seen_client = self.client
        self.seen_server = self.server or self.seen_server

    def _find_server(self):
        for span in self.spans:
            if span.kind == "SERVER":
                return span
        for span in self.spans:
            if span.parent and span.parent.service != span.service:
                return span
        root, seen = self.root, self.seen_server
        if not root or root.kind == "CLIENT" or self._is_clients(root):
            return None
        return root if not seen or seen.name == root.name else None  # not what lost its parent in the server

    def _find_client(self):
        if self.server:
            return self.server.parent
        if not self.root or not self._is_clients(self.root):
            return None
        return next((span for span in self.spans if span.is_call()), self.root)

    def _is_clients(self, root):
        """Whether the client made this span, as far as one can tell of one that says little."""
        if root.kind != "INTERNAL":
            return root.is_call()
        return not self.seen_client or self.seen_client.name == root.name


def read(trace):
    """Return the spans of a trace as Store.trace gives it."""
    spans = []
    for group, encoded in trace:
        service = texts(Resource.FromString(group.resource).attributes).get("service.name", "")
        spans += [Span(raw, service) for raw in encoded]
    by_id = {span.id: span for span in spans}
    for span in spans:
        span.parent = by_id.get(span.parent_id)
        if span.parent:
            span.parent.children.append(span)
    return spans


def texts(attributes):
    """Return attributes as a dict, with their values as text."""
    return {each.key: str(getattr(each.value, each.value.WhichOneof("value") or "string_value")) for each in attributes}
