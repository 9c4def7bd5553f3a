"""The two spans of a trace at which client and server meet, and what the steps ask of a span."""

from viewer.advice import ERROR
from viewer.seen import read

CODE, ERROR_TYPE = "http.response.status_code", "error.type"
KINDS = {2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}


def kind_of(span):
    """Return the name of a span's kind (str). What has none is INTERNAL."""
    return KINDS.get(span.kind, "INTERNAL")


def has_exception(span):
    """Return whether a span has recorded an exception."""
    return any(event.name == "exception" for event in span.span.events)


def is_of_database(span):
    """Return whether a span stands for a call of a database."""
    return any(name.startswith("db.") for name in span.attributes)


class Ping:
    """One trace. `client` is the span that asks, `server` the one that answers; None where there is none.

    Both are found though they may be half right. `seen_client` is the newest that had an answer, and `seen_server` the
    newest of all, of this trace or of one before. last: the Ping before, or None.
    """

    def __init__(self, trace, last):
        self.spans = read(trace)
        self.start = self.spans[0].start  # nanoseconds since 1970
        self.root = next((span for span in self.spans if span.is_root), None)
        self.failed = any(span.status == ERROR or has_exception(span) or span.get(CODE) >= "400" for span in self.spans)
        self.seen_client, self.seen_server = (last.seen_client, last.seen_server) if last else (None, None)
        self.server = self._find_server()
        self.client = self._find_client()
        if self.client and self.client.get(CODE):
            self.seen_client = self.client
        self.seen_server = self.server or self.seen_server

    @property
    def lacks_server(self):
        """Whether the client had an answer, and no span of the server has come since, in whatever trace."""
        seen, answered = self.seen_server, self.client and self.client.get(CODE)
        return bool(answered and not self.server and (not seen or seen.start < self.client.start))

    def _find_server(self):
        spans = [span for span in self.spans if span is not self.root or not self._is_clients(span)]
        for span in spans:
            if kind_of(span) == "SERVER":
                return span
        for span in spans:
            if span.parent and span.parent.service != span.service:
                return span
        root, seen = self.root, self.seen_server
        if root not in spans or is_of_database(root):
            return None
        return root if not seen or seen.name == root.name else None  # not what lost its parent in the server

    def _find_client(self):
        if self.server:
            return self.server.parent
        if not self.root or not self._is_clients(self.root):
            return None
        calls = (span for span in self.spans if kind_of(span) == "CLIENT" and not is_of_database(span))
        return next(calls, self.root)

    def _is_clients(self, root):
        """Whether the client made this span, as far as one can tell: it may say little, and its kind may be wrong."""
        seen = self.seen_client
        if root.get("http.route") or is_of_database(root):
            return False
        if kind_of(root) == "CLIENT" and (not seen or seen.service == root.service):
            return True
        return root.name == seen.name if seen else "/" not in root.name  # a server's is named after its route
