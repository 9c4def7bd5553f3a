"""Puts the spans of a trace into the order of their tree, whatever they say of their parents."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from viewer.store import service_name
from viewer.wire import Trace

MAX_LOOKED_AT = 100  # events of a span, and attributes of each, when its exception is looked for


@dataclass(frozen=True)
class Row:
    """A line of the tree: a span, or a parent that has not come (then `span` is None)."""

    span_id: bytes
    span: Span | None
    service: str
    guides: str = ""  # the tree's lines before its name
    below: str = ""  # the same for the lines under it
    circular: bool = False  # it stands under itself

    @property
    def failed(self) -> bool:
        """Whether the span is in error."""
        return self.span is not None and self.span.status.code == Status.STATUS_CODE_ERROR


class Tree:
    """The spans of one trace, by their parents. Each is decoded when its row is asked for, and not kept."""

    def __init__(self, trace: Trace):
        self.spans: dict[bytes, tuple[int, bytes, str]] = {}  # span id -> its start, its bytes, its service
        self.children: defaultdict[bytes, list[bytes]] = defaultdict(list)  # parent id -> span ids; b"" -> roots
        for group, spans in trace:
            service = service_name(Resource.FromString(group.resource))
            for raw in spans:
                span = Span.FromString(raw)
                self.spans[span.span_id] = span.start_time_unix_nano, raw, service
                self.children[span.parent_span_id.strip(b"\0") and span.parent_span_id].append(span.span_id)
        for span_ids in self.children.values():
            span_ids.sort(key=self._start)

    def rows(self, max_depth: int) -> Iterator[Row]:
        """Yield every span once, parents before children; those deeper than max_depth without the tree's lines.

        First the roots and the parents that have not come, then what hangs on neither; all by their start.
        """
        missing = [parent for parent in self.children if parent not in self.spans and parent]
        tops = [(self._start(span_id), span_id) for span_id in self.children.get(b"", ())]
        tops += [(self._start(self.children[parent][0]), parent) for parent in missing]
        seen: set[bytes] = set()
        for _, span_id in sorted(tops):
            yield from self._branch(span_id, max_depth, seen, circular=False)
        if len(seen) < len(self.spans) + len(missing):
            for span_id in sorted(self.spans, key=self._start):
                if span_id not in seen:
                    yield from self._branch(self._circle(span_id), max_depth, seen, circular=True)

    def failure(self, span: Span) -> tuple[str, str]:
        """Return type and message of the error in which a span ended; empty when it does not say.

        Empty too when the error came from a child: an exception is recorded on every span that it leaves.
        """
        failure = _failure(span)
        children = (Span.FromString(self.spans[child][1]) for child in self.children.get(span.span_id, ()))
        is_passed_on = any(_failure(child) == failure for child in children)
        return ("", "") if is_passed_on else failure

    def _branch(self, top: bytes, max_depth: int, seen: set[bytes], circular: bool) -> Iterator[Row]:
        """Yield `top` and what stands under it, without recursion: a tree may be 10,000 deep."""
        stack = [(top, 0, "", "")]
        while stack:
            span_id, depth, guides, below = stack.pop()
            if span_id in seen:
                continue
            seen.add(span_id)
            children = self.children.get(span_id, ())
            _, raw, service = self.spans.get(span_id, (0, None, ""))
            span = None if raw is None else Span.FromString(raw)
            yield Row(span_id, span, service, guides, below + ("│ " if children else "  "), circular and not depth)
            for child in reversed(children):
                is_last = child is children[-1]
                if depth < max_depth:
                    lines = below + ("└ " if is_last else "├ "), below + ("  " if is_last else "│ ")
                else:
                    lines = f"{' ' * 2 * max_depth}…{depth + 1} ", below
                stack.append((child, depth + 1, *lines))

    def _circle(self, span_id: bytes) -> bytes:
        """Return the first span above one without a top that stands under itself."""
        passed = set()
        while span_id not in passed:
            passed.add(span_id)
            span_id = Span.FromString(self.spans[span_id][1]).parent_span_id
        return span_id

    def _start(self, span_id: bytes) -> int:
        return self.spans[span_id][0]


def _failure(span: Span) -> tuple[str, str]:
    """Type and message of the last exception, else the status message, else `error.type`."""
    if span.status.code != Status.STATUS_CODE_ERROR:
        return "", ""
    for event in reversed(span.events[-MAX_LOOKED_AT:]):
        if event.name == "exception":
            return _text(event.attributes, "exception.type"), _text(event.attributes, "exception.message")
    return ("", span.status.message) if span.status.message else (_text(span.attributes, "error.type"), "")


def _text(attributes: list[KeyValue], key: str) -> str:
    """The value of an attribute; empty where it is none, or no text."""
    for attribute in attributes[:MAX_LOOKED_AT]:
        if attribute.key == key:
            return attribute.value.string_value
    return ""
