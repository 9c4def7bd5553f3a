"""Keeps the newest traces within fixed bounds, and answers what their readers ask.

Spans arrive by the hundred thousand and are read by the hundred, so a span is kept as bytes. Only what a list of
traces shows is read out on arrival; the rest is decoded, span by span, when someone looks at it.
"""

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from viewer.sliced import Sliced

MAX_NAME_LENGTH = 200  # characters of a name in a summary; the trace itself has it in full
NO_TRACE_ID, NO_SPAN_ID = bytes(16), bytes(8)
SPAN_BYTES = 200  # what Python needs on top of the bytes of a span: measured, rounded up


class Group(NamedTuple):
    """What some spans share: a resource and a scope, encoded, each with its schema's URL."""

    resource: bytes
    resource_schema: str
    scope: bytes
    scope_schema: str


Trace = list[tuple[Group, list[bytes]]]  # all spans of one trace, encoded
Spans = Iterable[tuple[Span, bytes]]  # some spans, decoded and encoded


@dataclass(frozen=True)
class Refused:
    """How many spans of a request could not be kept, and why. OTLP specification, "Partial Success"."""

    count: int = 0
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Summary:
    """What a list shows of one trace. Times are nanoseconds since 1970, as in OTLP."""

    trace_id: str  # 32 hexadecimal digits
    root_service: str  # of the root span; without one, of the earliest span whose parent has not come
    root_name: str
    start_ns: int  # earliest start and latest end; a time of 0 is one that was not set, and does not count
    end_ns: int
    span_count: int
    error_count: int
    services: tuple[tuple[str, int, int], ...]  # (name, spans, spans in error), by name
    operations: frozenset[tuple[str, str]]  # (service, span name)
    has_root: bool
    orphan_count: int  # spans whose parent has not come
    missing_count: int  # parents that have not come: several spans may wait for the same one
    refused_count: int  # spans past the bounds of one trace
    arrived: float  # when something came last, in seconds on the clock of time.monotonic()

    @property
    def complete(self) -> bool:
        """Whether the root is there and no parent is missing."""
        return self.has_root and not self.orphan_count


class Store:
    """The newest traces. Safe to use from several threads.

    When a bound is reached whole traces leave, first the one that has been quiet for longest. One that still
    grows stays, however old: if it left, its late spans would come back as a trace without a beginning.

    max_traces, max_spans: how many to keep in all, the spans in 650 bytes each on average.
    max_spans_per_trace: further spans of that trace are refused, and counted; so are those past a quarter of all bytes.
    """

    def __init__(self, max_traces: int = 1_000, max_spans: int = 200_000, max_spans_per_trace: int = 50_000):
        self.max_traces = max_traces
        self.max_spans = max_spans
        self.max_spans_per_trace = min(max_spans_per_trace, max_spans)
        self.max_bytes = max(650 * max_spans, 64_000_000)
        self.revision = 0  # grows with every change
        self.dropped = 0  # whole traces that left for room
        self.refused = Refused()  # all so far, with the latest reason
        self._lock = threading.Lock()
        self._traces: OrderedDict[bytes, _Trace] = OrderedDict()  # the quietest first
        self._taken = self._spans = self._bytes = 0  # traces that ever came; spans and bytes that are here

    def add(self, request: bytes) -> Refused:
        """Keep the spans of one ExportTraceServiceRequest, and say which could not be kept.

        The same span in the same resource and scope is neither kept again nor refused: its batch was sent twice.
        What else has the id of a span that is here is kept beside it: its newer version, or the other half of a call.
        Raises DecodeError, and keeps nothing, when the request cannot be read.
        """
        reasons: Counter[str] = Counter()
        with self._lock:  # around decoding too: a request takes several times its size then
            decoded, sliced = ExportTraceServiceRequest.FromString(request), Sliced.FromString(request)
            for of_resource, raw_of_resource in zip(decoded.resource_spans, sliced.resource_spans, strict=True):
                service = service_name(of_resource.resource)
                for of_scope, raw in zip(of_resource.scope_spans, raw_of_resource.scope_spans, strict=True):
                    group = Group(raw_of_resource.resource, raw_of_resource.schema_url, raw.scope, raw.schema_url)
                    # Mostly the spans of a trace come one after the other: what they share is looked up once.
                    spans = zip(of_scope.spans, raw.spans, strict=True)
                    for trace_id, run in groupby(spans, lambda span: span[0].trace_id):
                        self._add(trace_id, run, group, service, reasons)
            self.revision += 1
            refused = Refused(reasons.total(), "; ".join(f"{why} ({n})" for why, n in reasons.items()))
            if refused.count:
                self.refused = Refused(self.refused.count + refused.count, refused.reason)
        return refused

    def kept(self) -> int:
        """How many traces are here."""
        return len(self._traces)

    def services(self) -> list[str]:
        """The names of all services that have a span here, sorted."""
        with self._lock:
            return sorted({name for trace in self._traces.values() for name in trace.services})

    def summaries(self) -> list[Summary]:
        """A summary of each trace, newest first: by the first span to arrive, so that none moves."""
        with self._lock:
            newest_first = sorted(self._traces.values(), key=lambda trace: trace.number, reverse=True)
            return [trace.summary() for trace in newest_first]

    def trace(self, trace_id: str) -> Trace | None:
        """One whole trace, by its id in hexadecimal digits; None when it is not here.

        Spans, resources and scopes are encoded: decoded all at once they would take many times as much.
        Spans that share a resource and a scope stand together, in order of arrival.
        """
        with self._lock:
            trace = self._traces.get(bytes.fromhex(trace_id))
            return trace and [(group, list(spans)) for group, spans in trace.groups.items() if spans]

    def _add(self, trace_id: bytes, spans: Spans, group: Group, service: str, reasons: Counter[str]) -> None:
        """Keep spans of one trace, and make room. The caller holds the lock."""
        if len(trace_id) != 16 or trace_id == NO_TRACE_ID:
            reasons["trace_id is not 16 bytes, or all of them are zero"] += sum(1 for _ in spans)
            return
        trace = self._traces.get(trace_id) or _Trace(
            trace_id, self._taken, self.max_spans_per_trace, self.max_bytes // 4
        )
        before = trace.span_count, trace.bytes
        trace.add(spans, group, service, reasons)
        if not trace.span_count:
            return
        if trace_id not in self._traces:
            self._traces[trace_id] = trace
            self._taken += 1
        self._traces.move_to_end(trace_id)
        self._spans += trace.span_count - before[0]
        self._bytes += trace.bytes - before[1]
        while self._spans > self.max_spans or self._bytes > self.max_bytes or len(self._traces) > self.max_traces:
            _, quietest = self._traces.popitem(last=False)
            self._spans -= quietest.span_count
            self._bytes -= quietest.bytes
            self.dropped += 1


class _Trace:
    """The spans of one trace, and what its summary needs of them, kept up to date span by span."""

    def __init__(self, trace_id: bytes, number: int, max_spans: int, max_bytes: int):
        self.trace_id, self.max_spans, self.max_bytes = trace_id, max_spans, max_bytes
        self.number = number  # traces are numbered as they come
        self.groups: dict[Group, dict[bytes, None]] = {}  # the spans in order, each looked up by all its bytes
        self.span_ids: set[bytes] = set()  # fewer than spans where several have the same
        self.services: dict[str, list] = {}  # name -> [spans, spans in error, names of spans]
        self.span_count = self.error_count = self.refused_count = self.bytes = 0
        self.start = self.end = 0
        self.first: tuple | None = None  # (start, service, name) of the span that came first
        self.root: tuple | None = None  # the same of the root span
        self.waiting: dict[bytes, list[tuple]] = {}  # parent that has not come -> the same of its children

    def add(self, spans: Spans, group: Group, service: str, reasons: Counter[str]) -> None:
        """Keep spans of one group that are not here yet, up to the bounds, and count in `reasons` why not all."""
        kept = self.groups.setdefault(group, {})
        of_service = self.services.setdefault(service, [0, 0, set()])
        span_ids, names, waiting, size = self.span_ids, of_service[2], self.waiting, self.bytes
        first, root, start, end, errors = self.first, self.root, self.start, self.end, 0
        before = self.span_count, self.refused_count
        count, room = 0, self.max_spans - self.span_count
        for span, raw in spans:
            span_id, parent_id = span.span_id, span.parent_span_id
            if len(span_id) != 8 or span_id == NO_SPAN_ID:
                reasons["span_id is not 8 bytes, or all of them are zero"] += 1
                continue
            if span_id in span_ids and raw in kept:
                continue
            if count == room or size > self.max_bytes:
                most = f"{self.max_spans:,} spans" if count == room else f"{self.max_bytes:,} bytes"
                reasons[f"one trace holds at most {most}"] += 1
                self.refused_count += 1
                continue
            kept[raw] = None
            span_ids.add(span_id)
            count += 1
            size += len(raw) + SPAN_BYTES
            name = span.name[:MAX_NAME_LENGTH]
            names.add(name)
            begin, finish = span.start_time_unix_nano, span.end_time_unix_nano
            if begin and (begin < start or not start):
                start = begin
            if finish > end or begin > end:
                end = max(begin, finish)
            if span.HasField("status") and span.status.code == Status.STATUS_CODE_ERROR:
                errors += 1
            if first is None:
                first = (begin, service, name)
            if not parent_id or parent_id == NO_SPAN_ID:  # some senders write a root's parent as zeros
                if root is None or begin < root[0]:
                    root = (begin, service, name)
            elif parent_id not in span_ids:
                waiting.setdefault(parent_id, []).append((begin, service, name))
            if waiting:
                waiting.pop(span_id, None)
        of_service[0] += count
        of_service[1] += errors
        self.span_count += count
        self.error_count += errors
        self.first, self.root = first, root
        self.start, self.end, self.bytes = start, end, size
        if (self.span_count, self.refused_count) != before:
            self.arrived, self.cached = time.monotonic(), None

    def summary(self) -> Summary:
        """The summary, made anew only when something came since the last one."""
        if self.cached is None:
            orphans = [orphan for children in self.waiting.values() for orphan in children]
            _, root_service, root_name = self.root or min(orphans, default=self.first)
            self.cached = Summary(
                trace_id=self.trace_id.hex(),
                root_service=root_service,
                root_name=root_name,
                start_ns=self.start,
                end_ns=self.end,
                span_count=self.span_count,
                error_count=self.error_count,
                services=tuple((name, n, errors) for name, (n, errors, _) in sorted(self.services.items()) if n),
                operations=frozenset((name, one) for name, (_, _, names) in self.services.items() for one in names),
                has_root=self.root is not None,
                orphan_count=len(orphans),
                missing_count=len(self.waiting),
                refused_count=self.refused_count,
                arrived=self.arrived,
            )
        return self.cached


def service_name(resource: Resource) -> str:
    """The resource's `service.name`, cut as in lists; `unknown_service`, as the SDKs say, where there is none."""
    for attribute in resource.attributes:
        if attribute.key == "service.name" and attribute.value.string_value:
            return attribute.value.string_value[:MAX_NAME_LENGTH]
    return "unknown_service"
