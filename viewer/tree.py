"""Puts the spans of a trace into the order of their tree, whatever they say of their parents."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from viewer.store import service_name
from viewer.wire import Trace

MAX_LOOKED_AT = 100  # events of a span, and attributes of each, when its exception is looked for
YEAR = 31_557_600 * 10**9  # nanoseconds


@dataclass(frozen=True)
class Row:
    """A line of the tree: a span, or a parent that has not come (then `span` is None)."""

    place: int | bytes  # the span's number in its Tree; the id of a parent that has not come
    span: Span | None
    service: str
    guides: str = ""  # the tree's lines before its name
    below: str = ""  # the same for the lines under it
    circular: bool = False  # it stands under itself
    early: int = 0  # nanoseconds that it begins before its parent

    @property
    def failed(self) -> bool:
        """Whether the span is in error."""
        return self.span is not None and self.span.status.code == Status.STATUS_CODE_ERROR


class Node(NamedTuple):
    """What the tree keeps of a span."""

    start: int  # nanoseconds since 1970
    parent_id: bytes  # empty when it has none
    raw: bytes
    resource: bytes
    service: str


class Tree:
    """The spans of one trace, by their parents. Each is decoded when its row is asked for, and not kept.

    Several spans may have one id: the halves of a call, or the versions of a span. Their child stands under the one
    of its own resource, or where there is none under any; of several under the one that starts last.
    """

    def __init__(self, trace: Trace):
        self.spans: list[Node] = []
        self.by_id: defaultdict[bytes, list[int]] = defaultdict(
            list
        )  # span id -> numbers of spans, the best parent last
        for group, spans in trace:
            service = service_name(Resource.FromString(group.resource))
            for raw in spans:
                span = Span.FromString(raw)
                parent_id = span.parent_span_id if any(span.parent_span_id) else b""
                self.by_id[span.span_id].append(len(self.spans))
                self.spans.append(Node(span.start_time_unix_nano, parent_id, raw, group.resource, service))
        self.by_resource: defaultdict[tuple[bytes, bytes], list[int]] = defaultdict(list)  # the same, of one resource
        for span_id, numbers in self.by_id.items():
            if len(numbers) > 1:
                numbers.sort(key=self._start)
                for number in numbers:
                    self.by_resource[span_id, self.spans[number].resource].append(number)
        self.parents = [self._parent(number) for number in range(len(self.spans))]
        self.children: defaultdict[int | bytes, list[int]] = defaultdict(list)  # place of a parent, or b"" -> numbers
        for number, parent in enumerate(self.parents):
            self.children[parent].append(number)
        for numbers in self.children.values():
            numbers.sort(key=self._start)

    def rows(self, max_depth: int) -> Iterator[Row]:
        """Yield every span once, parents before children; those deeper than max_depth without the tree's lines.

        First the roots and the parents that have not come, then what hangs on neither; all by their start.
        """
        missing = [parent for parent in self.children if parent and isinstance(parent, bytes)]
        tops = [(self._start(number), number) for number in self.children.get(b"", ())]
        tops += [(self._start(self.children[parent][0]), parent) for parent in missing]
        seen: set[int | bytes] = set()
        for _, place in sorted(tops, key=lambda top: top[0]):
            yield from self._branch(place, max_depth, seen, circular=False)
        if len(seen) < len(self.spans) + len(missing):
            for number in sorted(range(len(self.spans)), key=self._start):
                if number not in seen:
                    yield from self._branch(self._circle(number), max_depth, seen, circular=True)

    def failure(self, row: Row) -> tuple[str, str]:
        """Return type and message of the error in which a span ended; empty when it does not say.

        Empty too when the error came from a child: an exception is recorded on every span that it leaves.
        """
        failure = _failure(row.span)
        children = (Span.FromString(self.spans[child].raw) for child in self.children.get(row.place, ()))
        is_passed_on = any(_failure(child) == failure for child in children)
        return ("", "") if is_passed_on else failure

    def apart(self) -> tuple[int, int]:
        """Return how many spans begin a year or more from all others, and how far, in nanoseconds: negative is before.

        Such a time was mostly sent in another unit. Where the trace falls into halves, the fewer are meant.
        """
        starts = sorted(node.start for node in self.spans if node.start)
        gap, before = max(((b - a, number) for number, (a, b) in enumerate(pairwise(starts), 1)), default=(0, 0))
        after = len(starts) - before
        if gap < YEAR:
            return 0, 0
        return (before, -gap) if before <= after else (after, gap)

    def _branch(self, top: int | bytes, max_depth: int, seen: set[int | bytes], circular: bool) -> Iterator[Row]:
        """Yield `top` and what stands under it, without recursion: a tree may be 10,000 deep."""
        stack = [(top, 0, "", "")]
        while stack:
            place, depth, guides, below = stack.pop()
            if place in seen:
                continue
            seen.add(place)
            children = self.children.get(place, ())
            below_it = below + ("│ " if children else "  ")
            if isinstance(place, bytes):
                yield Row(place, None, "", guides, below_it)
            else:
                span, service = Span.FromString(self.spans[place].raw), self.spans[place].service
                yield Row(place, span, service, guides, below_it, circular and not depth, self._early(place))
            for child in reversed(children):
                is_last = child is children[-1]
                if depth < max_depth:
                    lines = below + ("└ " if is_last else "├ "), below + ("  " if is_last else "│ ")
                else:
                    lines = f"{' ' * 2 * max_depth}…{depth + 1} ", below
                stack.append((child, depth + 1, *lines))

    def _parent(self, number: int) -> int | bytes:
        """Return the number of a span's parent; of one that has not come the id; of a root nothing, as bytes."""
        node = self.spans[number]
        if node.parent_id not in self.by_id:
            return node.parent_id
        for numbers in (self.by_resource.get((node.parent_id, node.resource), ()), self.by_id[node.parent_id]):
            for other in numbers[:-3:-1]:
                if other != number:
                    return other
        return number

    def _circle(self, number: int) -> int:
        """Return the first span above one without a top that stands under itself."""
        passed = set()
        while number not in passed:
            passed.add(number)
            number = self.parents[number]
        return number

    def _early(self, number: int) -> int:
        """Return how much earlier than its parent a span begins, in nanoseconds; 0 when it does not."""
        start, parent = self._start(number), self.parents[number]
        return max(0, self._start(parent) - start) if start and isinstance(parent, int) else 0

    def _start(self, number: int) -> int:
        return self.spans[number].start


def may_grow(trace: Trace) -> bool:
    """Return whether a call over HTTP or RPC has no child yet: the spans of the other side may be on their way.

    Such a call is a CLIENT span with attributes of `http.*`, `url.*` or `rpc.*`. With some of `db.*` it went to a
    database, which sends no spans.
    """
    calls, answered = set(), set()
    for _, spans in trace:
        for raw in spans:
            span = Span.FromString(raw)
            answered.add(span.parent_span_id)
            if span.kind == Span.SPAN_KIND_CLIENT:
                namespaces = {attribute.key.partition(".")[0] for attribute in span.attributes}
                if namespaces & {"http", "url", "rpc"} and "db" not in namespaces:
                    calls.add(span.span_id)
            else:
                answered.add(span.span_id)  # the other half of a call may have the same id
    return not calls <= answered


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
