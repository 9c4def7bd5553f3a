"""Keeps the newest traces within fixed bounds, and answers what their readers ask.

Spans arrive by the hundred thousand and are read by the hundred, so a span is kept as the bytes it came in.
Only what a list of traces shows is read out on arrival; the rest is decoded, span by span, when someone looks at it.
"""

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from viewer import values, wire
from viewer.wire import Group, Groups, Trace

MAX_NAMES = 100  # services, and distinct span names in them, that one summary lists
MAX_NAME_LENGTH = 200  # characters of a name in a summary; the trace itself has it in full
NO_TRACE_ID, NO_SPAN_ID = bytes(16), bytes(8)
OTHER_SERVICES = "(other services)"  # those past MAX_NAMES

# What Python needs on top of the bytes of a span, an orphan, a group of spans, a name, a trace: measured, rounded up.
SPAN_BYTES, ORPHAN_BYTES, GROUP_BYTES, NAME_BYTES, TRACE_BYTES = 200, 300, 600, 200, 3_000

Decoded = tuple[bytes, bytes, bytes, Span, bytes]  # trace id, span id, parent id, the span and its bytes


@dataclass(frozen=True)
class Refused:
    """How many spans of a request could not be kept, and why. OTLP specification, "Partial Success"."""

    count: int = 0
    reason: str = ""


@dataclass(frozen=True)
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
    operations: frozenset[tuple[str, str]]  # (service, span name), at most MAX_NAMES of them
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

    max_traces, max_spans: how many to keep in all.
    max_spans_per_trace: further spans of that trace are refused, and counted.
    max_bytes: memory for all of it, Python's own included, and a quarter of it for one trace. By default
        650 for each of max_spans, but at least 64 million.
    """

    def __init__(
        self,
        max_traces: int = 1_000,
        max_spans: int = 200_000,
        max_spans_per_trace: int = 50_000,
        max_bytes: int | None = None,
    ):
        self.max_traces = max_traces
        self.max_spans = max_spans
        self.max_spans_per_trace = min(max_spans_per_trace, max_spans)
        self.max_bytes = max_bytes or max(650 * max_spans, 64_000_000)
        self.revision = 0  # grows with every change
        self.dropped = 0  # whole traces that left for room
        self.refused = Refused()  # all so far, with the latest reason
        self._lock = threading.Lock()
        self._traces: OrderedDict[bytes, _Trace] = OrderedDict()  # the quietest first
        self._taken = self._spans = self._bytes = 0  # traces that ever came; spans and bytes that are here

    def add(self, request: bytes | Iterable[Groups]) -> Refused:
        """Keep the spans of one ExportTraceServiceRequest, or of its groups, and say which could not be kept.

        The same bytes in the same resource and scope are neither kept again nor refused: their batch was sent twice.
        What else has the id of a span that is here is kept beside it: its newer version, or the other half of a call.
        Raises DecodeError, and keeps nothing, when the request cannot be read.
        """
        groups, services = [], {}
        for group, spans in wire.groups(request) if isinstance(request, bytes) else request:
            if group.resource not in services:  # many scopes may share it
                services[group.resource] = service_name(wire.decode(Resource, group.resource))
            wire.decode(InstrumentationScope, group.scope)
            groups.append((group, services[group.resource], spans))
        reasons: Counter[str] = Counter()
        with self._lock:
            for group, service, spans in groups:
                # Mostly the spans of a trace come one after the other: what they share is looked up once.
                for trace_id, run in groupby(_decoded(spans, reasons), key=itemgetter(0)):
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

        Spans, resources and scopes are the bytes that were sent: decoded all at once they would take many times
        as much. Spans that share a resource and a scope stand together, in order of arrival.
        """
        with self._lock:
            trace = self._traces.get(_bytes(trace_id))
            return trace and [(group, list(spans)) for group, spans in trace.groups.items()]

    def _add(self, trace_id: bytes, run: Iterable[Decoded], group: Group, service: str, reasons: Counter) -> None:
        """Keep spans of one trace, and make room. The caller holds the lock."""
        trace = self._traces.get(trace_id)
        if trace is None:
            trace = _Trace(trace_id, self._taken, self.max_spans_per_trace, self.max_bytes // 4)
        spans, size = trace.spans, trace.bytes
        trace.add(run, group, service, reasons)
        if trace.spans == spans:
            return
        if trace_id not in self._traces:
            self._traces[trace_id] = trace
            self._taken += 1
            size = 0
        self._traces.move_to_end(trace_id)
        self._spans += trace.spans - spans
        self._bytes += trace.bytes - size
        while self._spans > self.max_spans or self._bytes > self.max_bytes or len(self._traces) > self.max_traces:
            _, oldest = self._traces.popitem(last=False)
            self._spans -= oldest.spans
            self._bytes -= oldest.bytes
            self.dropped += 1


class _Trace:
    """The spans of one trace, and what its summary needs of them, kept up to date span by span."""

    def __init__(self, trace_id: bytes, number: int, max_spans: int, max_bytes: int):
        self.trace_id, self.max_spans, self.max_bytes = trace_id, max_spans, max_bytes
        self.number = number  # traces are numbered as they come
        self.bytes = TRACE_BYTES
        self.spans = 0
        self.span_ids: set[bytes] = set()  # fewer than spans where several have the same
        self.groups: dict[Group, dict[bytes, None]] = {}  # the spans in order, each looked up by all its bytes
        self.services: dict[str, list[int]] = {}  # name -> [spans, spans in error]
        self.operations: set[tuple[str, str]] = set()  # (service, span name)
        self.start = self.end = self.errors = self.orphans = self.refused = 0
        self.first: tuple | None = None  # (start, service, name) of the span that came first
        self.root: tuple | None = None  # the same of the root span
        self.waiting: dict[bytes, list] = {}  # missing parent -> [children, start, service and bytes of one]

    def add(self, run: Iterable[Decoded], group: Group, service: str, reasons: Counter) -> None:
        """Keep spans of one group that are not here yet, up to the bounds, and count in `reasons` why not all."""
        span_ids, operations, waiting = self.span_ids, self.operations, self.waiting
        before = self.spans, self.refused
        spans = self.groups.get(group)
        if service not in self.services and len(self.services) >= MAX_NAMES:
            service = OTHER_SERVICES
        counts = self.services.get(service)
        for _, span_id, parent_id, span, raw in run:
            if span_id in span_ids and spans is not None and raw in spans:
                continue
            size = self.bytes + len(raw) + SPAN_BYTES
            if spans is None:
                size += sum(map(len, group)) + GROUP_BYTES
            if self.spans >= self.max_spans or size > self.max_bytes:
                most = f"{self.max_bytes:,} bytes" if self.spans < self.max_spans else f"{self.max_spans:,} spans"
                reasons[f"one trace holds at most {most}"] += 1
                self.refused += 1
                continue

            if spans is None:
                spans = self.groups[group] = {}
            if counts is None:
                counts = self.services[service] = [0, 0]
                size += 4 * len(service) + NAME_BYTES
            spans[raw] = None
            span_ids.add(span_id)
            self.spans += 1
            counts[0] += 1
            if span.HasField("status") and span.status.code == Status.STATUS_CODE_ERROR:
                counts[1] += 1
                self.errors += 1
            name = span.name[:MAX_NAME_LENGTH]
            if len(operations) < MAX_NAMES and (service, name) not in operations:
                operations.add((service, name))
                size += 4 * len(name) + NAME_BYTES

            start, end = span.start_time_unix_nano, span.end_time_unix_nano
            if start and (not self.start or start < self.start):
                self.start = start
            if self.end < start or self.end < end:
                self.end = max(start, end)
            if self.first is None:
                self.first = (start, service, name)
            if not parent_id or parent_id == NO_SPAN_ID:  # some senders write a root's parent as zeros
                if self.root is None or start < self.root[0]:
                    self.root = (start, service, name)
            elif parent_id not in span_ids:
                self.orphans += 1
                size += ORPHAN_BYTES
                parent = waiting.setdefault(parent_id, [0, start, service, raw])
                parent[0] += 1
                if start < parent[1]:
                    parent[1:] = start, service, raw
            if waiting and (found := waiting.pop(span_id, None)):
                self.orphans -= found[0]
                size -= ORPHAN_BYTES * found[0]
            self.bytes = size
        if (self.spans, self.refused) != before:
            self.arrived, self.cached = time.monotonic(), None

    def summary(self) -> Summary:
        """The summary, made anew only when something came since the last one."""
        if self.cached is None:
            if self.root is None and self.waiting:
                _, _, service, raw = min(self.waiting.values(), key=lambda waiting: waiting[1])
                name = Span.FromString(raw).name[:MAX_NAME_LENGTH]
            else:
                _, service, name = self.root or self.first
            self.cached = Summary(
                trace_id=self.trace_id.hex(),
                root_service=service,
                root_name=name,
                start_ns=self.start,
                end_ns=self.end,
                span_count=self.spans,
                error_count=self.errors,
                services=tuple((name, *counts) for name, counts in sorted(self.services.items())),
                operations=frozenset(self.operations),
                has_root=self.root is not None,
                orphan_count=self.orphans,
                missing_count=len(self.waiting),
                refused_count=self.refused,
                arrived=self.arrived,
            )
        return self.cached


def _decoded(spans: Iterable[bytes], reasons: Counter) -> Iterator[Decoded]:
    """Yield the spans one by one, and count in `reasons` why some cannot be kept anywhere."""
    for raw in spans:
        try:
            span = Span.FromString(raw) if len(raw) <= wire.SMALL else wire.decode(Span, raw)
        except DecodeError as error:
            reasons[f"a span cannot be read: {error}"] += 1
            continue
        trace_id, span_id, parent_id = span.trace_id, span.span_id, span.parent_span_id
        if len(trace_id) != 16 or trace_id == NO_TRACE_ID:
            reasons["trace_id is not 16 bytes, or all of them are zero"] += 1
        elif len(span_id) != 8 or span_id == NO_SPAN_ID:
            reasons["span_id is not 8 bytes, or all of them are zero"] += 1
        elif len(parent_id) not in (0, 8):
            reasons["parent_span_id is neither empty nor 8 bytes"] += 1
        else:
            yield trace_id, span_id, parent_id, span, raw


def service_name(resource: Resource) -> str:
    """The resource's `service.name`, as text if it is none; `unknown_service`, as the SDKs say, where there is none."""
    for attribute in resource.attributes:
        if attribute.key == "service.name":
            return values.text(attribute.value)[:MAX_NAME_LENGTH] or "unknown_service"
    return "unknown_service"


def _bytes(trace_id: str) -> bytes:
    """The id as bytes; an id that is none stays one that no trace has."""
    try:
        return bytes.fromhex(trace_id)
    except ValueError:
        return b""
