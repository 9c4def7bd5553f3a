"""What a trace has to know of its neighbours, the other traces that are kept: where its lost parts may be."""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import accumulate, chain
from typing import NamedTuple

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from viewer.seen import CLIENT, INSIDE, SERVER, Call, Node, read_call, texts
from viewer.store import Trace

MS, S = 10**6, 10**9  # in nanoseconds


class Fact(NamedTuple):
    """A span that answers, that calls over HTTP, or that has no parent: what other traces need to know of it."""

    trace_id: str
    span_id: bytes
    name: str
    kind: int
    service: str
    resource: bytes
    scope: str
    start: int  # nanoseconds since 1970
    end: int
    is_root: bool
    is_alone: bool  # in its own trace nobody else has anything to do with it
    call: Call


def find_facts(trace: Trace) -> list[Fact]:
    """Return what other traces need to know of this one. It reads only the few attributes that this takes."""
    found, ids, below = [], Counter(), defaultdict(set)
    for group, spans in trace:
        resource, scope = texts(Resource.FromString(group.resource).attributes), None
        service = resource.get("service.name") or "unknown_service"
        for raw in spans:
            span = Span.FromString(raw)
            kind, parent = span.kind, span.parent_span_id
            is_root = not any(parent)
            ids[span.span_id] += 1
            below[parent].add((service, kind in INSIDE))
            if kind in (SERVER, CLIENT) or (is_root and kind in INSIDE):
                scope = scope or InstrumentationScope.FromString(group.scope).name
                found.append((span, service, group.resource, scope, is_root))
    facts = []
    for span, service, resource, scope, is_root in found:
        call = read_call(texts(span.attributes), span.kind)
        is_alone = ids[span.span_id] == 1 and below[span.span_id] <= {(service, True)}
        if 0 < span.start_time_unix_nano <= span.end_time_unix_nano and (is_root or span.kind == SERVER or call.method):
            identity = span.trace_id.hex(), span.span_id, span.name, span.kind, service, resource, scope
            times = span.start_time_unix_nano, span.end_time_unix_nano
            facts.append(Fact(*identity, *times, is_root, is_alone, call))
    return facts


def runs_in(one: Node | Fact, other: Node | Fact, margin: int = 0) -> bool:
    """Return whether a span begins and ends within the time of another, give or take a margin in nanoseconds."""
    return other.start - margin <= one.start and one.end <= other.end + margin


def is_half(fact: Fact) -> bool:
    """Return whether this is a call over HTTP without an answer in its trace, or an answer without a call."""
    is_lost = fact.is_alone if fact.kind == CLIENT else fact.kind == SERVER and fact.is_root
    return is_lost and all(fact.call[:3])


def other_half(fact: Fact, halves: dict[int, list[Fact]]) -> Fact | None:
    """Return the other side of a call, if there is only one that it can be, of its `halves` by their kind.

    It runs in the client's time; or up to a second away, if nothing like it runs for five seconds. Of two that
    different scopes have made, one in the other's time, it is the outer one.
    """
    for margin in (MS, S):
        found = [each for each in halves[SERVER if fact.kind == CLIENT else CLIENT] if fit(fact, each, margin)]
        if found:
            outer = [each for each in found if not any(is_within(each, other) for other in found)]
            near = [each for each in chain(*halves.values()) if runs_in(each, fact, 5 * S)]
            is_clear = margin == MS or len(near) == 1 + len(found)
            return outer[0] if is_clear and len(outer) == 1 else None
    return None


def is_within(one: Fact, other: Fact) -> bool:
    """Return whether a span of the same resource, but another scope, runs within the time of another."""
    return runs_in(one, other) and one.scope != other.scope and one.resource == other.resource


def fit(one: Fact, other: Fact, margin: int) -> bool:
    """Return whether two spans may be the sides of one call. A client that is redirected has the last answer's code."""
    if one.trace_id == other.trace_id:
        return False
    client, server = (one, other) if one.kind == CLIENT else (other, one)
    has_its_code = client.call.code == server.call.code or server.call.code.startswith("3")
    is_longer = server.end - server.start > client.end - client.start + MS
    return has_its_code and not is_longer and runs_in(server, client, margin)


class Servers:
    """SERVER spans of one resource."""

    AFTER = 20 * MS  # so long after its end a request may still begin something

    def __init__(self, facts: Iterable[Fact]):
        self.facts = sorted(facts, key=lambda fact: fact.start)
        self.starts = [fact.start for fact in self.facts]
        self.last = list(accumulate(self.facts, lambda a, b: max(a, b, key=lambda fact: fact.end)))  # to end, so far

    def beside(self, root: Fact) -> Fact | None:
        """Return the one in which a root begins, or after which; else one that lies in it."""
        n = bisect_right(self.starts, root.start)
        if n and root.start <= self.last[n - 1].end + self.AFTER:
            return self.last[n - 1]
        if root.kind == CLIENT:  # what lies in it may be the answer to it
            return None
        return next((each for each in self.facts[n : bisect_left(self.starts, root.end)] if runs_in(each, root)), None)

    def are_beside(self, roots: list[Fact]) -> bool:
        """Return whether all roots are beside one in another trace, and would be so by chance in less than 2 %."""
        found = [self.beside(root) for root in roots]
        if not all(found) or {root.trace_id for root in roots} & {fact.trace_id for fact in self.facts}:
            return False
        before = max(
            0 if root.start >= at.start else root.end - root.start for root, at in zip(roots, found, strict=True)
        )
        busy = until = 0
        for fact in self.facts:
            begin, end = max(fact.start - before, until), fact.end + self.AFTER
            busy, until = busy + max(0, end - begin), max(until, end)
        return (busy / max(60 * S, until - self.starts[0])) ** len(roots) < 0.02


def pairs_with_others(facts: list[Fact], all_facts: list[Fact]) -> Iterator[tuple[Fact, Fact]]:
    """Yield pairs of a SERVER span of these, and the only one that runs in the same time in another trace.

    They are of one resource, one of the two has no parent, each is the only one for the other, and neither says that
    it answered another request.
    """
    own = [fact for fact in facts if fact.kind == SERVER]
    servers = [fact for fact in all_facts if fact.kind == SERVER]
    begin, end = min((fact.start for fact in own), default=0), max((fact.end for fact in own), default=0)
    near = [each for each in servers if each.start <= end and begin <= each.end]
    for fact in own if len(near) > len(own) else ():
        other = the_only_other(fact, near)
        if other is None or not (fact.is_root or other.is_root) or the_only_other(other, servers) is not fact:
            continue
        if all(a == b for a, b in zip(fact.call[:2], other.call[:2], strict=True) if a and b):
            yield from ((fact, other), (other, fact))


def the_only_other(fact: Fact, servers: list[Fact]) -> Fact | None:
    """Return the span of the same resource that runs in the same time in another trace, if it is one."""
    found = [
        each
        for each in servers
        if each.start <= fact.end
        and fact.start <= each.end
        and each.trace_id != fact.trace_id
        and each.resource == fact.resource
    ]
    return found[0] if len(found) == 1 else None
