"""Puts the spans of a trace into the order of their tree, whatever they say of their parents."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from viewer.store import Trace, service_name


@dataclass(frozen=True)
class Row:
    """A line of the tree: a span, or a parent that has not come (then `span` is None)."""

    place: int | bytes  # the span's number in its Tree; the id of a parent that has not come
    span: Span | None
    service: str
    guides: str  # the tree's lines before its name
    below: str  # the same for the lines under it
    early: int = 0  # nanoseconds that it begins before its parent

    @property
    def failed(self) -> bool:
        """Whether the span is in error."""
        return self.span is not None and self.span.status.code == Status.STATUS_CODE_ERROR


class Node(NamedTuple):
    """What the tree keeps of a span."""

    start: int  # nanoseconds since 1970
    span_id: bytes
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
        nodes = []
        for group, spans in trace:
            service = service_name(Resource.FromString(group.resource))
            for raw in spans:
                span = Span.FromString(raw)
                parent_id = span.parent_span_id if any(span.parent_span_id) else b""
                nodes.append(Node(span.start_time_unix_nano, span.span_id, parent_id, raw, group.resource, service))
        self.nodes = sorted(nodes, key=lambda node: node.start)
        self.by_id: defaultdict[bytes | tuple, list[int]] = defaultdict(list)  # numbers, also by (id, resource)
        for number, node in enumerate(self.nodes):
            self.by_id[node.span_id].append(number)
            self.by_id[node.span_id, node.resource].append(number)
        self.children: defaultdict[int | bytes, list[int]] = defaultdict(list)  # of a parent's place; of b"" the roots
        for number, node in enumerate(self.nodes):
            self.children[self._parent(number, node)].append(number)

    def rows(self, max_depth: int) -> Iterator[Row]:
        """Yield every span once, parents before children; those deeper than max_depth without the tree's lines.

        First the roots and the parents that have not come, by their start; then what hangs on neither, but on itself.
        """
        missing = [place for place in self.children if isinstance(place, bytes) and place]
        tops = [*self.children.get(b"", ()), *missing]
        tops.sort(key=lambda place: self.children[place][0] if isinstance(place, bytes) else place)
        seen: set[int | bytes] = set()
        for place in [*tops, *range(len(self.nodes))]:
            yield from self._branch(place, max_depth, seen)

    def failure(self, row: Row) -> tuple[str, str]:
        """Return type and message of the error in which a span ended; empty when it does not say.

        Empty too when the error came from a child: an exception is recorded on every span that it leaves.
        """
        failure = _failure(row.span)
        children = (Span.FromString(self.nodes[child].raw) for child in self.children.get(row.place, ()))
        is_passed_on = any(_failure(child) == failure for child in children)
        return ("", "") if is_passed_on else failure

    def _parent(self, number: int, node: Node) -> int | bytes:
        """Return the number of a span's parent; of one that has not come the id; of a root nothing, as bytes."""
        for key in ((node.parent_id, node.resource), node.parent_id):
            for other in reversed(self.by_id.get(key, ())[-2:]):
                if other != number:
                    return other
        return number if node.parent_id in self.by_id else node.parent_id

    def _branch(self, top: int | bytes, max_depth: int, seen: set[int | bytes]) -> Iterator[Row]:
        """Yield `top` and what stands under it, without recursion: a tree may be 10,000 deep."""
        stack = [(top, 0, "", "", 0)]
        while stack:
            place, depth, guides, below, parent_start = stack.pop()
            if place in seen:
                continue
            seen.add(place)
            children = self.children.get(place, ())
            below_it = below + ("│ " if children else "  ")
            start = 0
            if isinstance(place, bytes):
                yield Row(place, None, "", guides, below_it)
            else:
                start, _, _, raw, _, service = self.nodes[place]
                early = max(0, parent_start - start) if start else 0
                yield Row(place, Span.FromString(raw), service, guides, below_it, early)
            for child in reversed(children):
                is_last = child is children[-1]
                if depth < max_depth:
                    lines = below + ("└ " if is_last else "├ "), below + ("  " if is_last else "│ ")
                else:
                    lines = f"{' ' * 2 * max_depth}…{depth + 1} ", below
                stack.append((child, depth + 1, *lines, start))


def may_grow(trace: Trace) -> bool:
    """Return whether a call over HTTP or RPC has no child yet: the spans of the other side may be on their way.

    Such a call is a CLIENT span with attributes of `http.*`, `url.*` or `rpc.*`. With some of `db.*` it went to a
    database, which sends no spans.
    """
    calls, answered = set(), set()
    for _, spans in trace:
        for span in map(Span.FromString, spans):
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
    for event in reversed(span.events):
        if event.name == "exception":
            return _text(event.attributes, "exception.type"), _text(event.attributes, "exception.message")
    return ("", span.status.message) if span.status.message else (_text(span.attributes, "error.type"), "")


def _text(attributes: list[KeyValue], key: str) -> str:
    """The value of an attribute; empty where it is none, or no text."""
    return next((attribute.value.string_value for attribute in attributes if attribute.key == key), "")
