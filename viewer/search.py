"""Finds the traces that a request of the read API asks for, by the parameters of Jaeger's api_v3."""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import chain
from weakref import WeakKeyDictionary

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from viewer.store import Store, Summary, Trace, service_name

UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3_600 * 10**9}
PARAMETERS = {
    *("query.serviceName", "query.attributes", "query.startTimeMin", "query.startTimeMax"),
    *("query.durationMin", "query.durationMax", "query.searchDepth"),
    *("viewer.search", "viewer.errors"),  # ours: a text in a name or the trace id; only traces with errors
}


class BadParameter(ValueError):
    """What a request asks for cannot be had; the message names the parameter."""


class Search:
    """What a request for traces asks for. Raises BadParameter when it cannot be had.

    A trace fits when one of its spans has all that is asked: service, durations and attributes. What the summaries
    do not tell is read from the spans, and remembered until the trace changes.
    """

    def __init__(self, parameters: Mapping[str, str]):
        parameters = {name: value for name, value in parameters.items() if value}
        unknown = parameters.keys() - PARAMETERS
        if unknown:
            raise BadParameter(f"unsupported parameter {min(unknown)}")
        self.service = parameters.get("query.serviceName", "")
        self.attributes = [Wanted(*pair) for pair in _attributes(parameters.get("query.attributes", "{}")).items()]
        self.earliest = _nanoseconds(parameters, "query.startTimeMin", 0)
        self.latest = _nanoseconds(parameters, "query.startTimeMax", 2**64)
        self.shortest = _duration(parameters, "query.durationMin", 0)
        self.longest = _duration(parameters, "query.durationMax", 2**64)
        depth = parameters.get("query.searchDepth", "100")
        if not re.fullmatch("[1-9][0-9]{0,8}", depth):
            raise BadParameter("malformed parameter query.searchDepth: not a number from 1 to 999,999,999")
        self.depth = int(depth)
        self.text = parameters.get("viewer.search", "").strip().casefold()
        self.errors = parameters.get("viewer.errors") == "true"
        self._known: WeakKeyDictionary[Summary, bool] = WeakKeyDictionary()  # whether its spans have what is asked

    def find(self, store: Store) -> Iterator[Summary]:
        """Yield the traces asked for, the newest first, however many there are."""
        asks_spans = self.attributes or self.shortest or self.longest < 2**64
        for summary in filter(self._fits, store.summaries()):
            if asks_spans and (fits := self._known.get(summary)) is None:
                fits = self._known[summary] = self._is_in(store.trace(summary.trace_id) or [])
            if not asks_spans or fits:
                yield summary

    def _fits(self, summary: Summary) -> bool:
        """Whether a trace may be one of those asked for, by its summary."""
        return (
            self.earliest <= summary.start_ns <= self.latest
            and self.shortest <= summary.end_ns - summary.start_ns
            and (not self.errors or summary.error_count > 0)
            and (not self.service or any(name == self.service for name, _, _ in summary.services))
            and (not self.text or self._has_the_text(summary))
        )

    def _has_the_text(self, summary: Summary) -> bool:
        """Whether our own text is in the id of a trace, or in a name."""
        names = chain([summary.trace_id], chain.from_iterable(summary.operations))
        return any(self.text in name.casefold() for name in names)

    def _is_in(self, trace: Trace) -> bool:
        """Whether one span of a trace has all that is asked for."""
        for group, spans in trace:
            resource = Resource.FromString(group.resource)
            if self.service and service_name(resource) != self.service:
                continue
            shared = [*resource.attributes, *InstrumentationScope.FromString(group.scope).attributes]
            left = [wanted for wanted in self.attributes if not wanted.is_among(shared)]
            for wanted in left:
                spans = wanted.sift(spans)
            for span in map(Span.FromString, spans):
                if self._has_its_duration(span) and all(wanted.is_in_span(span) for wanted in left):
                    return True
        return False

    def _has_its_duration(self, span: Span) -> bool:
        """Whether a span took as long as asked. Without both times it has no duration."""
        start, end = span.start_time_unix_nano, span.end_time_unix_nano
        if start and end:
            return self.shortest <= end - start <= self.longest
        return not self.shortest and self.longest == 2**64


class Wanted:
    """An attribute of a span that a request asks for, or of its resource, its scope, its events or links."""

    def __init__(self, key: str, text: str):
        self.key = key
        self.values = values_written_as(text)
        self.key_bytes = key.encode(errors="replace")
        self.values_bytes = [value.SerializeToString() for value in self.values]

    def sift(self, spans: list[bytes]) -> list[bytes]:
        """Return the spans that may have it, by their bytes: to decode one takes 30 times as long."""
        spans = [raw for raw in spans if any(map(raw.__contains__, self.values_bytes))]
        return [raw for raw in spans if self.key_bytes in raw]

    def is_in_span(self, span: Span) -> bool:
        """Whether a span has it, or one of its events or links."""
        return any(self.is_among(owner.attributes) for owner in chain((span,), span.events, span.links))

    def is_among(self, attributes: list[KeyValue]) -> bool:
        """Whether it is one of these attributes."""
        return any(pair.key == self.key and pair.value in self.values for pair in attributes)


def values_written_as(text: str) -> list[AnyValue]:
    """Return the values that the page shows as this text: itself, or a number, a boolean, an array or a map."""
    values = [AnyValue(string_value=text.encode(errors="replace").decode())]
    if not text:
        values.append(AnyValue())  # none at all
    with contextlib.suppress(ValueError, OverflowError, RecursionError):
        plain = json.loads(text)
        if type(plain) is int:
            values.append(AnyValue(double_value=plain))
        values.append(_any_value(plain))
    return values


def _any_value(plain: object) -> AnyValue:
    """Return what JSON is made of as an AnyValue. Raises ValueError for a number that is too big."""
    match plain:
        case bool():
            return AnyValue(bool_value=plain)
        case int():
            return AnyValue(int_value=plain)
        case float():
            return AnyValue(double_value=plain)
        case str():
            return AnyValue(string_value=plain)
        case list():
            return AnyValue(array_value={"values": map(_any_value, plain)})
        case dict():
            pairs = [KeyValue(key=key, value=_any_value(value)) for key, value in plain.items()]
            return AnyValue(kvlist_value={"values": pairs})
    return AnyValue()


def _attributes(text: str) -> dict[str, str]:
    """Return the attributes that are asked for."""
    with contextlib.suppress(ValueError, AttributeError, RecursionError):
        found = json.loads(text)
        if all(isinstance(value, str) for value in found.values()):
            return found
    example = '{"http.route":"/ping"}'
    raise BadParameter(f"malformed parameter query.attributes: not JSON like {example}, whose values are texts")


def _nanoseconds(parameters: Mapping[str, str], name: str, default: int) -> int:
    """Return a time in RFC 3339 as nanoseconds since 1970."""
    if not (text := parameters.get(name)):
        return default
    try:
        return round(datetime.fromisoformat(text).timestamp() * 10**6) * 10**3
    except (ValueError, OverflowError):
        raise BadParameter(f"malformed parameter {name}: not a time like 2026-11-22T12:00:00Z") from None


def _duration(parameters: Mapping[str, str], name: str, default: int) -> int:
    """Return a duration in nanoseconds."""
    if not (text := parameters.get(name)):
        return default
    found = re.fullmatch(rf"(\d+\.?\d*)({'|'.join(UNITS)})", text, re.ASCII)
    if not found:
        raise BadParameter(f"malformed parameter {name}: not a duration like 1.5s or 100ms")
    return round(float(found[1]) * UNITS[found[2]])
