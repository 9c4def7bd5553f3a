"""Finds the traces that a request of the read API asks for, by the parameters and the rules of Jaeger's api_v3."""

import base64
import binascii
import contextlib
import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from fractions import Fraction
from itertools import chain

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from viewer import values
from viewer.store import MAX_NAME_LENGTH, MAX_NAMES, Store, Summary, service_name
from viewer.wire import Group, Trace

KINDS = {
    Span.SPAN_KIND_INTERNAL: "internal",
    Span.SPAN_KIND_SERVER: "server",
    Span.SPAN_KIND_CLIENT: "client",
    Span.SPAN_KIND_PRODUCER: "producer",
    Span.SPAN_KIND_CONSUMER: "consumer",
}
STATUS = {Status.STATUS_CODE_OK: "ok", Status.STATUS_CODE_ERROR: "error"}
TRUE, FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")
UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3_600 * 10**9}
OFFERED = {
    *("serviceName", "operationName", "attributes", "startTimeMin", "startTimeMax", "durationMin", "durationMax"),
    *("searchDepth", "numTraces", "rawTraces"),
}
MAX_OPERATIONS = 40_000  # that are listed: with the longest names 8 million characters
PART = r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)"  # of a duration

_reading = threading.Lock()  # one trace at a time: a big resource or span takes several times its size


class BadParameter(ValueError):
    """What a request asks for cannot be had; the message names the parameter."""


class Search:
    """What a request for traces asks for. Raises BadParameter when it cannot be had.

    A trace fits when one of its spans has all that is asked: service, operation, durations and attributes. What the
    summaries do not tell is read from the bytes of the spans, and remembered until the trace changes.
    """

    def __init__(self, parameters: Mapping[str, str]):
        parameters = camel_case(parameters)
        for name in parameters:
            if name.startswith("query.") and name.removeprefix("query.") not in OFFERED:
                raise BadParameter(f"unsupported parameter {name}")
        self.service = parameters.get("query.serviceName", "")
        self.operation = parameters.get("query.operationName", "")
        self.attributes = [_Wanted(*pair) for pair in _attributes(parameters).items()]
        self.earliest = nanoseconds(parameters, "query.startTimeMin")
        self.latest = nanoseconds(parameters, "query.startTimeMax")
        if None not in (self.earliest, self.latest) and self.earliest >= self.latest:
            raise BadParameter("query.startTimeMin must be before query.startTimeMax")
        self.shortest = _duration(parameters, "query.durationMin")
        self.longest = _duration(parameters, "query.durationMax")
        boolean(parameters, "query.rawTraces")  # which has no effect: here they are never anything else
        depth = parameters.get("query.searchDepth") or parameters.get("query.numTraces") or "100"
        if not re.fullmatch("[0-9]{1,9}", depth) or int(depth) == 0:
            raise BadParameter("malformed parameter query.searchDepth: not a number from 1 to 999,999,999")
        self.depth = int(depth)
        self.text = parameters.get("viewer.search", "").strip().casefold()
        self.errors = parameters.get("viewer.errors") == "true"
        self._known: dict[str, tuple[Summary, bool]] = {}  # trace id -> as it was when it was read, and whether it fits

    def find(self, store: Store) -> Iterator[Summary]:
        """Yield the traces asked for, the newest first, however many there are."""
        summaries = store.summaries()
        here = {summary.trace_id for summary in summaries}
        self._known = {trace_id: known for trace_id, known in self._known.copy().items() if trace_id in here}
        for summary in summaries:
            fits = self._fits(summary)
            if fits is None:
                known, fits = self._known.get(summary.trace_id, (None, False))
                if known is not summary:
                    with _reading:
                        trace = store.trace(summary.trace_id) or []
                        fits = self._has_the_span(trace) and self._has_the_text(summary, trace)
                    self._known[summary.trace_id] = summary, fits
            if fits:
                yield summary

    def _fits(self, summary: Summary) -> bool | None:
        """Whether the trace is one of those asked for; None when only its spans tell."""
        if (
            (self.earliest is not None and summary.start_ns < self.earliest)
            or (self.latest is not None and summary.start_ns > self.latest)
            or (self.errors and not summary.error_count)
            or (self.shortest and summary.end_ns - summary.start_ns < self.shortest)
        ):
            return False
        is_named = self._is_named(summary) and self._is_worded(summary)
        if not is_named and _has_all_names(summary):
            return False
        asks_more = self.attributes or self.shortest or self.longest or len(self.operation) > MAX_NAME_LENGTH
        return True if is_named and not asks_more else None

    def _is_named(self, summary: Summary) -> bool:
        """Whether service and operation are in a summary."""
        service, operation = self.service[:MAX_NAME_LENGTH], self.operation[:MAX_NAME_LENGTH]
        if not operation:
            return not service or any(name == service for name, _, _ in summary.services)
        return any(name == operation and service in ("", of) for of, name in summary.operations)

    def _is_worded(self, summary: Summary) -> bool:
        """Whether our own text is in a summary."""
        if self.text in summary.trace_id:  # as nothing is
            return True
        names = chain((name for name, _, _ in summary.services), *summary.operations)
        return any(self.text in name.casefold() for name in names)

    def _has_the_text(self, summary: Summary, trace: Trace) -> bool:
        """Whether our own text is in the trace."""
        if self._is_worded(summary):
            return True
        for group, spans in trace:
            if self.text in service_name(Resource.FromString(group.resource)).casefold():
                return True
            if any(self.text in Span.FromString(raw).name.casefold() for raw in spans):
                return True
        return False

    def _has_the_span(self, trace: Trace) -> bool:
        """Whether one span has all that is asked for."""
        for group, spans in trace:
            attributes = self._left_for_a_span(group)
            if attributes is None:
                continue
            for wanted in attributes:
                spans = wanted.sift(spans)
            for raw in spans:
                span = Span.FromString(raw)
                if self._is_asked_for(span) and all(wanted.is_in_span(span) for wanted in attributes):
                    return True
        return False

    def _left_for_a_span(self, group: Group) -> list["_Wanted"] | None:
        """The attributes that its resource and scope leave to a span; None when no span of the group can fit."""
        resource = Resource.FromString(group.resource)
        if self.service and service_name(resource) != self.service[:MAX_NAME_LENGTH]:
            return None
        scope = InstrumentationScope.FromString(group.scope)
        left = []
        for wanted in self.attributes:
            fits = wanted.is_in_group(resource, scope)
            if fits is False:
                return None
            if fits is None:
                left.append(wanted)
        return left

    def _is_asked_for(self, span: Span) -> bool:
        """Whether name and duration of a span are those asked for. Without both times it has no duration."""
        if self.operation and span.name != self.operation:
            return False
        if not self.shortest and not self.longest:
            return True
        start, end = span.start_time_unix_nano, span.end_time_unix_nano
        if not start or not end:
            return False
        is_too_short = self.shortest and end - start < self.shortest
        is_too_long = self.longest and end - start > self.longest
        return not is_too_short and not is_too_long


class _Wanted:
    """An attribute that a request asks for, or what Jaeger calls one: `error`, `span.kind` and the like."""

    def __init__(self, key: str, value: str):
        self.key, self.value = key, value
        self.key_bytes = key.encode(errors="replace")
        self.value_bytes = _bytes_of(value)
        self.is_special = key in ("error", "span.status", "span.kind")

    def sift(self, spans: list[bytes]) -> list[bytes]:
        """Return the spans that may have it, by their bytes: to decode one takes 30 times as long."""
        if self.is_special:
            return spans
        if self.value_bytes:
            spans = [raw for raw in spans if any(map(raw.__contains__, self.value_bytes))]
        return [raw for raw in spans if self.key_bytes in raw]

    def is_in_group(self, resource: Resource, scope: InstrumentationScope) -> bool | None:
        """Whether all spans of a resource and scope have it, or none; None when that is up to each."""
        if self.key == "scope.name":
            return scope.name == self.value
        if self.key == "scope.version":
            return scope.version == self.value
        if self.key.startswith("resource."):
            return self._is_in(resource.attributes, self.key.removeprefix("resource."))
        if self.is_special:
            return None
        return self._is_in(resource.attributes) or self._is_in(scope.attributes) or None

    def is_in_span(self, span: Span) -> bool:
        """Whether a span has it, or one of its events or links."""
        if self.key == "error":
            wanted = TRUE if span.status.code == Status.STATUS_CODE_ERROR else FALSE
            return self.value in wanted
        if self.key == "span.status":
            return STATUS.get(span.status.code) == _known(self.value, STATUS)
        if self.key == "span.kind":
            return KINDS.get(span.kind) == _known(self.value, KINDS)
        return any(self._is_in(owner.attributes) for owner in chain((span,), span.events, span.links))

    def _is_in(self, attributes: Iterable[KeyValue], key: str = "") -> bool:
        key = key or self.key
        return any(pair.key == key and values.text(pair.value) == self.value for pair in attributes)


def operations(store: Store, service: str = "", kind: str = "") -> list[tuple[str, str]]:
    """Return name, cut as in lists, and kind of each operation, sorted: of one service, of one kind, or of all."""
    found = set()
    for summary in store.summaries():
        if service and _has_all_names(summary) and all(name != service for name, _, _ in summary.services):
            continue
        with _reading:
            for group, spans in store.trace(summary.trace_id) or []:
                if not service or service_name(Resource.FromString(group.resource)) == service[:MAX_NAME_LENGTH]:
                    for raw in spans:
                        span = Span.FromString(raw)
                        its_kind = KINDS.get(span.kind, "")
                        if kind in ("", its_kind) and len(found) < MAX_OPERATIONS:
                            found.add((span.name[:MAX_NAME_LENGTH], its_kind or "internal"))
    return sorted(found)


def camel_case(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters that are set, by their names. Jaeger takes the older snake_case ones too."""
    older_first = sorted(parameters.items(), key=lambda item: "_" not in item[0])
    return {re.sub("_(.)", lambda _: _[1].upper(), name): value for name, value in older_first if value}


def boolean(parameters: Mapping[str, str], name: str) -> None:
    """Refuse what Jaeger cannot read as a boolean."""
    if parameters.get(name, "true") not in TRUE + FALSE:
        raise BadParameter(f"malformed parameter {name}: neither true nor false")


def nanoseconds(parameters: Mapping[str, str], name: str) -> int | None:
    """Return a time in RFC 3339 as nanoseconds since 1970. Python's own stop at microseconds."""
    value = parameters.get(name)
    if not value:
        return None
    try:
        seconds, fraction, zone = re.fullmatch(
            r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", value, re.ASCII
        ).groups("0")
        return int(datetime.fromisoformat(seconds + zone).timestamp()) * 10**9 + int(fraction.ljust(9, "0"))
    except (AttributeError, ValueError):
        raise BadParameter(f"malformed parameter {name}: not a time like 2026-11-22T12:00:00Z") from None


def _duration(parameters: Mapping[str, str], name: str) -> int:
    """Return a duration as Go writes it in nanoseconds; 0, which asks for nothing, when there is none."""
    value = parameters.get(name, "0")
    if value.lstrip("+-") == "0":
        return 0
    if len(value) > 100 or not re.fullmatch(f"[+-]?({PART})+", value, re.ASCII):
        raise BadParameter(f"malformed parameter {name}: not a duration like 1.5s, 100ms or 1h30m")
    total = sum(Fraction(number) * UNITS[unit] for number, unit in re.findall(PART, value))
    return -int(total) if value.startswith("-") else int(total)


def _attributes(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes that are asked for."""
    name = "query.attributes"
    try:
        found = json.loads(parameters.get(name, "null"))
        if found is None:
            return {}
        if all(isinstance(value, str | None) for value in found.values()):
            return {key: value or "" for key, value in found.items()}
    except (ValueError, AttributeError, RecursionError):
        pass
    raise BadParameter(f'malformed parameter {name}: not JSON like {{"http.route":"/ping"}}, whose values are texts')


def _bytes_of(value: str) -> list[bytes]:
    """The bytes of which some are in each span that has this value, of any type; none where that cannot be said."""
    found = [value.encode(errors="replace")]
    if re.fullmatch("0|-?[1-9][0-9]{0,17}", value):
        numbers = AnyValue(int_value=int(value)), AnyValue(double_value=int(value))
        found += [number.SerializeToString() for number in numbers]
    elif re.fullmatch(r"(true|false|NaN|-?Infinity|-?[0-9].*|[\[{].*)?", value, re.DOTALL):
        return []
    with contextlib.suppress(binascii.Error, ValueError):
        found.append(base64.b64decode(value, validate=True))
    return found


def _known(value: str, names: Mapping[int, str]) -> str | None:
    """A status or kind as we write it; None, as for one that is not set, where Jaeger knows no such name."""
    return value.lower() if value.lower() in names.values() else None


def _has_all_names(summary: Summary) -> bool:
    """Whether a summary lists all services and operations of its trace, and none of them cut."""
    names = chain.from_iterable(summary.operations)
    is_full = len(summary.operations) >= MAX_NAMES or len(summary.services) > MAX_NAMES
    return not is_full and all(len(name) < MAX_NAME_LENGTH for name in names)
