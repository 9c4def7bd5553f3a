"""Says of a trace what a reviewer would say: what is wrong, what to do, and where that is explained.

Each rule is a function, which names its source. It speaks only where it is right: a rule that is wrong once is not
believed again. "Trace API" and the like are parts of the specification, https://opentelemetry.io/docs/specs/.
"""

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from viewer.names import NEW_NAMES, new_names, old_names
from viewer.neighbours import Fact, Servers, find_facts, is_half, other_half, pairs_with_others, runs_in
from viewer.seen import CLIENT, CODE, DATABASE, INSIDE, METHOD, SERVER, Node, read, texts
from viewer.store import Store, Summary, Trace

MOST = 10  # pieces of advice for one trace
PATIENCE = 10  # seconds that a parent may come after its child
US, MS = 10**3, 10**6  # in nanoseconds, as all times of spans
INTERNAL, PRODUCER, CONSUMER = Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_PRODUCER, Span.SPAN_KIND_CONSUMER
UNSET, ERROR = Status.STATUS_CODE_UNSET, Status.STATUS_CODE_ERROR


class Advice(NamedTuple):
    """A piece of advice: the rule's name, the span's id in hexadecimal digits, a sentence, and where to read on."""

    rule: str
    span_id: str
    text: str
    see: str  # a section of docs/


class Finding(NamedTuple):
    """What a rule says of one span. Those with the same remedy make one piece of advice."""

    of: Node | Fact
    problem: str
    remedy: str
    see: str = "docs/viewer.md#advice"


class Scene(NamedTuple):
    """All that the rules look at."""

    nodes: list[Node]  # of the trace, by their start
    facts: list[Fact]  # of the trace
    all_facts: list[Fact]  # of the trace and its neighbours
    is_quiet: bool  # what has not come will not come any more


class Advisor:
    """Reviews the traces of a store. What neighbours need to know of a trace is remembered until it changes."""

    def __init__(self, store: Store):
        self._store = store
        self._known: dict[str, tuple[Summary, list[Fact]]] = {}

    def review(self, trace_id: str) -> list[Advice] | None:
        """Return the advice for a trace, by its id in hexadecimal digits; None when it is not here."""
        trace = self._store.trace(trace_id)
        if trace is None:
            return None
        known, is_quiet = {}, False
        for summary in self._store.summaries():
            before, facts = self._known.get(summary.trace_id, (None, []))
            if before is not summary:
                facts = find_facts(self._store.trace(summary.trace_id) or [])
            known[summary.trace_id] = summary, facts
            if summary.trace_id == trace_id:
                is_quiet = time.monotonic() - summary.arrived > PATIENCE
        self._known = known
        return review(trace, (facts for id, (_, facts) in known.items() if id != trace_id), is_quiet)


def review(trace: Trace, neighbours: Iterable[list[Fact]] = (), is_quiet: bool = True) -> list[Advice]:
    """Return the advice for a trace, the most telling first, at most MOST pieces.

    neighbours: what `find_facts` gives of each other trace. is_quiet: whether a missing parent will not come any more.
    """
    facts = find_facts(trace)
    scene = Scene(read(trace), facts, [*facts, *chain.from_iterable(neighbours)], is_quiet)
    advice = []
    for rule in RULES:
        pieces = defaultdict(list)
        for finding in rule(scene):
            pieces[finding.remedy].append(finding)
        for remedy, (first, *_) in pieces.items():
            more = len({finding.of.span_id for finding in pieces[remedy]}) - 1
            also = f" (and the like on {more:,} more span{'s' * (more > 1)})" if more else ""
            text = f"{first.problem}{also}: {remedy}."
            advice.append(Advice(rule.__name__.replace("_", "-"), first.of.span_id.hex(), text, first.see))
    return advice[:MOST]


def short(text: str) -> str:
    """Return a text as it stands in a sentence."""
    return text if len(text) <= 60 else f"{text[:60]}…"


def called(of: Node | Fact) -> str:
    """Return a span's name as it stands in a sentence."""
    return f"“{short(of.name)}”"


def service_name(scene: Scene) -> Iterator[Finding]:
    """Semantic conventions, "Service": `service.name` is required; `unknown_service` stands in where nobody set it."""
    for node in {node.resource: node for node in reversed(scene.nodes)}.values():
        name = node.resource_attributes.get("service.name", "")
        if not name or name.startswith("unknown_service"):
            problem = f"The service.name of {called(node)} is {short(name) or 'missing'}"
            yield Finding(node, problem, "say which program it is, by OTEL_SERVICE_NAME", "docs/reading-guide.md#traps")


def lost_context(scene: Scene) -> Iterator[Finding]:
    """Propagators API: a caller injects its context into what it sends, and who answers extracts it."""
    halves = defaultdict(lambda: {CLIENT: [], SERVER: []})  # the same call -> what may be the sides of it
    for fact in filter(is_half, scene.all_facts):
        halves[fact.call[:3]][fact.kind].append(fact)
    for fact in filter(is_half, scene.facts):
        other = other_half(fact, halves[fact.call[:3]])
        if other and other_half(other, halves[fact.call[:3]]) is fact:
            verb = "was answered by" if fact.kind == CLIENT else "answers"
            where = f"of {short(other.service)}, which is in trace {other.trace_id}"
            problem = f"{called(fact)} {verb} {called(other)} {where}"
            remedy = "inject the context into the headers of the request, and extract it from them on the other side"
            yield Finding(fact, problem, remedy, "docs/experiments.md#6-a-plain-dictionary-of-the-headers")


def lost_parent(scene: Scene) -> Iterator[Finding]:
    """Context API: a context is handed on explicitly where a thread or a callback does not inherit it.

    Speaks when all roots of one name run beside SERVER spans of their resource, and that is no chance.
    """
    for root in scene.facts:
        if not root.is_root or root.kind == SERVER:
            continue
        here = [fact for fact in scene.all_facts if fact.resource == root.resource]
        servers = Servers(fact for fact in here if fact.kind == SERVER)
        if not servers.are_beside([fact for fact in here if fact.is_root and fact[2:4] == root[2:4]]):
            continue
        server = servers.beside(root)
        if root.start < server.start:
            when, remedy, see = "around", "start it inside of that one", "7-a-decorator-on-a-view"
        elif root.start <= server.end:
            when, see = "beside", "9-a-pool-of-threads-loses-the-parent"
            remedy = "hand the context to the thread or callback that it runs in"
        else:
            when, see = "right after", "12-a-streamed-answer"
            remedy = "hand it the context, which is gone when a span has ended"
        problem = f"{called(root)} has no parent, and ran {when} {called(server)}, which is in trace {server.trace_id}"
        yield Finding(root, problem, remedy, f"docs/experiments.md#{see}")


def no_client(scene: Scene) -> Iterator[Finding]:
    """Trace API, "SpanKind": the parent of a SERVER span is a remote CLIENT span, and INTERNAL has no remote child."""
    for node in scene.nodes:
        parent = node.parent
        is_remote = parent is not None and parent.service != node.service and not (node.shares_id or parent.shares_id)
        if node.kind != SERVER or not is_remote or parent.kind not in (INTERNAL, SERVER):
            continue
        beside = [each for each in parent.children if each.kind == CLIENT and not each.children]
        call = next((each for each in beside if each.call[:2] == node.call[:2] and runs_in(node, each, MS)), None)
        if call:
            problem = f"{called(call)} is not the parent of {called(node)} of {short(node.service)}, which answers it"
            yield Finding(call, problem, "inject the context inside of its block", "docs/build.md#5-one-trace")
        elif parent.kind == INTERNAL:
            problem = f"{called(parent)} is INTERNAL, and {called(node)} of {short(node.service)} answers it"
            remedy = "make a CLIENT span around the call, and inject the context while it is the current one"
            yield Finding(parent, problem, remedy, "docs/your-own.md#2-a-second-service")


def two_servers(scene: Scene) -> Iterator[Finding]:
    """Semantic conventions, "HTTP server span": it stands for one request, which has no other."""
    pairs = []  # the inner and the outer
    beside = defaultdict(lambda: defaultdict(list))  # parent and call -> scope -> spans
    for node in scene.nodes:
        if node.kind == SERVER and node.has_times:
            pairs += [(node, each) for each in above(node)]
            if all(node.call[:2]) and not node.is_root:
                scopes = beside[node.span.parent_span_id, node.call[:2]]
                others = (each for scope in scopes if scope != node.scope for each in scopes[scope])
                pairs += [pair for each in others for pair in ((node, each), (each, node))]
                scopes[node.scope].append(node)
    pairs += pairs_with_others(scene.facts, scene.all_facts)
    for inner, outer in pairs:
        is_pair = outer.kind == SERVER and outer.resource == inner.resource and outer.scope != inner.scope
        if is_pair and runs_in(inner, outer):
            of = outer if outer.trace_id == scene.nodes[0].trace_id else inner
            problem = f"{called(outer)} and {called(inner)} of {short(of.service)} are two SERVER spans for one request"
            makers = f"{short(outer.scope)} or {short(inner.scope)}"
            remedy = f"let only {makers} make it, since a backend counts each request twice"
            yield Finding(of, problem, remedy, "docs/experiments.md#26-both-at-once")


def above(node: Node) -> list[Node]:
    """Return the nearest ancestor that is not INTERNAL, as a list; an empty one when there is none."""
    passed = set()
    while node.parent and node.parent not in passed:
        node = node.parent
        passed.add(node)
        if node.kind not in INSIDE:
            return [node]
    return []


URL_SECRETS = (  # semantic conventions, `url.query`, and two more
    r"AWSAccessKeyId|Signature|sig|X-Goog-Signature|X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token"
    r"|access_token|password"
)
IN_URL = re.compile(rf"\w://[^\s/:@\"']*:([^\s/@\"']+)@|[?&](?:{URL_SECRETS})=([^&\s#\"']+)")
SECRET_KEY = re.compile(
    r"(?i)(?:^|[._-])(?<!page.)(?<!next.)(?<!csrf.)"
    r"(password|passwd|pwd|secret|token|cookie|authorization|api[_-]?key|credentials?)$"
)
NUMERIC = re.compile(r"[-+.,e\d\s\[\]]+")  # a price or a count, or an array of them
MASKED = re.compile(
    r"(?i).*(\*\*|redacted|filtered|masked|hidden|removed)|\W*(|xx+|true|false|none|null|undefined)\W*$"
)


@lru_cache(maxsize=1_000)
def names_a_secret(key: str) -> bool:
    """Return whether an attribute of this name holds a secret, written_so or writtenSo."""
    return SECRET_KEY.search(re.sub("(?<=[a-z])(?=[A-Z])", "_", key)) is not None


def secret(scene: Scene) -> Iterator[Finding]:
    """Semantic conventions, `url.full` and "HTTP": no credentials in attributes; those of a URL are REDACTED."""
    for node in scene.nodes:
        events = (texts(event.attributes) for event in node.span.events)
        for key, value in chain.from_iterable(map(dict.items, (node.attributes, node.resource_attributes, *events))):
            found = [value] if names_a_secret(key) and not NUMERIC.fullmatch(value) else []
            for password, query in IN_URL.findall(f"?{value}" if key == "url.query" else value):
                found.append(password or query)
            if any(not MASKED.match(each) for each in found):
                problem = f"{called(node)} has in {short(key)} what looks like a secret"
                remedy = "leave it out or write REDACTED, and change what has been sent"
                yield Finding(node, problem, remedy, "docs/your-own.md#what-not-to-record")
                break


FAMILIES = {  # what makes a call: two attributes, each by any of its names
    "http.": (METHOD, ("url.full", "http.url", "url.path", "http.target")),
    "db.": (DATABASE, ("db.query.text", "db.statement", "db.operation.name", "db.operation")),
    "messaging.": (("messaging.system",), ("messaging.destination.name", "messaging.destination")),
    "rpc.": (("rpc.system.name", "rpc.system"), ("rpc.method",)),
}
IN_PROCESS = {"sqlite", "h2", "hsqldb", "derby"}  # databases that are called over no network


def kind(scene: Scene) -> Iterator[Finding]:
    """Trace API, "SpanKind": what crosses the border of a process is not INTERNAL."""
    for node in scene.nodes:
        if node.kind not in INSIDE or node.get(*DATABASE) in IN_PROCESS:
            continue
        relatives = [each for each in [node.parent, *node.children] if each and each.service == node.service]
        outside = [key for each in relatives if each.kind not in INSIDE for key in each.attributes]
        for family, required in FAMILIES.items():
            if all(node.get(*names) for names in required) and not any(key.startswith(family) for key in outside):
                is_what = "INTERNAL" if node.kind else "of no kind"
                problem = f"{called(node)} has the attributes of a call, {family}*, and is {is_what}"
                kinds = {"db.": "CLIENT", "messaging.": "PRODUCER or CONSUMER"}.get(family, "CLIENT or SERVER")
                see = "docs/reading-guide.md#where-ours-differs-and-why"
                yield Finding(node, problem, f"give it the kind {kinds}", see)
                break


def status(scene: Scene) -> Iterator[Finding]:
    """Semantic conventions, "HTTP spans", "Status", and "Recording errors": an error, whose it is, and its type."""
    for node in scene.nodes:
        code, error_type, see = node.get(*CODE), node.get("error.type"), "16-a-status-of-your-own"
        number = int(code) if re.fullmatch(r"[1-5]\d\d", code) else 0
        if node.kind not in (CLIENT, SERVER):
            continue
        if node.status == UNSET and number >= (400 if node.kind == CLIENT else 500):
            problem, remedy = f"{called(node)} ends with {code}, and is not in error", "set the status ERROR"
        elif node.status == ERROR and node.kind == SERVER and 400 <= number < 500 and error_type in ("", code):
            if any(event.name == "exception" for event in node.span.events):
                continue
            problem = f"{called(node)} answers {code}, and is in error"
            remedy = "leave its status unset, since that is the caller's mistake"
        elif node.status == ERROR and not error_type and number < 400 and node.get(METHOD[0], CODE[0], DATABASE[0]):
            problem = f"{called(node)} is in error, and does not say what kind of error"
            remedy, see = "set error.type, to the class of the exception for example", "25-what-each-of-them-knows"
        else:
            continue
        yield Finding(node, problem, remedy, f"docs/experiments.md#{see}")


def missing_attribute(scene: Scene) -> Iterator[Finding]:
    """Semantic conventions, "HTTP client", "HTTP server", "Database client": what is required of such a span."""
    for node in scene.nodes:
        if node.kind not in (CLIENT, SERVER) or not node.end:
            continue
        required = []
        if node.get("db.query.text", "db.operation.name", "db.namespace", "db.collection.name"):
            required = ["db.system.name"]
        elif node.get(METHOD[0], CODE[0]) and not node.get(*DATABASE):
            required = [METHOD[0]] + [CODE[0]] * (node.status != ERROR)
            required += ["url.full", "server.address"] if node.kind == CLIENT else ["url.path", "url.scheme"]
            port = re.match(r"(https?)://[^/]*:(\d+)(/|$)", node.get("url.full"))
            if node.kind == CLIENT and port and port.groups()[:2] not in (("http", "80"), ("https", "443")):
                required.append("server.port")
        old = node.attributes.keys() & NEW_NAMES.keys()
        held = {name for each in old for name in new_names(each, node.kind == SERVER)}
        missing = [name for name in required if not node.get(name) and name not in held]
        if missing:
            problem = f"{called(node)} has no {' and no '.join(missing)}"
            is_code_alone = missing == [CODE[0]]  # which a call that was given up has not
            remedy = "set it, if there was an answer" if is_code_alone else "set what the conventions require of it"
            yield Finding(node, problem, remedy)


def is_library(scope: str) -> bool:
    """Return whether this is the scope of an instrumentation that others wrote."""
    return re.search(r"(?i)instrumentation|opentelemetry\.io/contrib|io\.opentelemetry\.", scope) is not None


def old_name(scene: Scene) -> Iterator[Finding]:
    """Semantic conventions, "Deprecated attributes"; and of HTTP and databases, how an instrumentation moves on."""
    found, nodes, resources, is_of_library = {}, [], set(), False
    for node in scene.nodes:
        owners = [node.attributes] if node.resource in resources else [node.attributes, node.resource_attributes]
        resources.add(node.resource)
        for attributes in owners:
            old = old_names(attributes, node.kind == SERVER)
            found |= old
            nodes += [node] * bool(old)
            is_of_library |= any(key.startswith(("http.", "net.", "db.")) for key in old) and is_library(node.scope)
    some = ", ".join(f"{old} (today {' and '.join(news)})" for old, news in list(found.items())[:3])
    rest = f" and {len(found) - 3} more" if len(found) > 3 else ""
    remedy = "update the instrumentation, or set OTEL_SEMCONV_STABILITY_OPT_IN=http,database"
    for node in nodes:
        problem = f"{called(node)} has attributes under old names, {some}{rest}"
        yield Finding(node, problem, remedy if is_of_library else "rename them")


VALUE = re.compile(  # a URL, a query, a UUID, or digits of a hash
    r"https?://\S+|\?\w+=\S*|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b(?=\d*[a-f])(?=[a-f]*\d)[0-9a-f]{16,}\b",
    re.I,
)
LITERAL = re.compile(r"(?is)(?:select|insert|update|delete|merge|with)\s.*?('[^'?%:$]+'|[=<>(,]\s*\d+\b)")
NUMBER = re.compile(r"(?<!\S)(?!(?:19|20)\d\d[01]\d[0-3]\d(?!\S))\d{6,}(?!\S)")
IN_PATH = re.compile(  # a number (no year, not the first, no version of an API), digits of a hash, a ULID
    r"(?<=[^/]/)(?<!\bapi/)(?!(?:19|20)\d\d(?:/|$))\d+(?=/|$)"
    r"|(?<=/)(?=[a-f]*\d)(?:[0-9a-f]{12,}|[0-7][0-9a-hjkmnp-tv-z]{25})(?=/|$)",
    re.I,
)


def name(scene: Scene) -> Iterator[Finding]:
    """Trace API, "Span": a name is for a kind of operation, and has few values; what varies is an attribute."""
    for node in scene.nodes:
        path = re.search(r"(?:^|\s)(/\S*)", node.name)
        found = VALUE.search(node.name) or LITERAL.match(node.name)
        if not found and node.kind not in INSIDE:
            found = NUMBER.search(node.name)
        if not found and path and node.kind in (CLIENT, SERVER) and path[1] != node.get("http.route"):
            found = IN_PATH.search(path[1])
        if found:
            value = short(found[1] if found.re is LITERAL else found[0])
            problem = f"{called(node)} has a value in its name, {value}"
            remedy = "name it after the kind of operation, and make an attribute of what varies"
            yield Finding(node, problem, remedy, "docs/your-own.md#cardinality")


def outlives(scene: Scene) -> Iterator[Finding]:
    """Trace API, "Span": a child is part of the work of its parent, and mostly begins while that runs."""
    for node in filter(can_be_compared, scene.nodes):
        parent = node.parent
        is_coarse = node.resource_attributes.get("telemetry.sdk.language") in ("nodejs", "webjs")
        late = node.start - parent.end
        is_queued = {node.kind, parent.kind} & {PRODUCER, CONSUMER}
        if late > (MS if is_coarse else US) and node.resource == parent.resource and not is_queued:
            problem = f"{called(node)} begins {late / MS:,.3f} ms after its parent {called(parent)} has ended"
            remedy = "right for a streamed answer or work that is put off; else end the parent later, or link to it"
            yield Finding(node, problem, remedy, "docs/experiments.md#12-a-streamed-answer")


def clock(scene: Scene) -> Iterator[Finding]:
    """Trace API, "Timestamp": each process reads its own clock, and two machines may have two times."""
    for node in filter(can_be_compared, scene.nodes):
        early = node.parent.start - node.start
        if early > 2 * MS and node.resource != node.parent.resource:
            problem = f"{called(node)} begins {early / MS:,.3f} ms before its parent {called(node.parent)}"
            yield Finding(node, problem, "synchronise the clocks of the two, and do not compare their times until then")


def can_be_compared(node: Node) -> bool:
    """Return whether a span has a parent, both have their times, and neither shares its id."""
    both = (node, node.parent)
    return node.parent is not None and all(each.has_times and not each.shares_id for each in both)


def missing_parent(scene: Scene) -> Iterator[Finding]:
    """OTLP, `Span.flags`: bit 8 says that bit 9 is known, and bit 9 that the parent is in another process."""
    ids = {node.span_id for node in scene.nodes}
    for node in scene.nodes if scene.is_quiet else ():
        parent_id = node.span.parent_span_id
        if node.is_root or parent_id in ids:
            continue
        where, see = "", "5-make-up-a-traceparent-and-find-your-id"
        remedy = "it still runs, was lost, or went elsewhere"
        if node.span.flags & 0x300 == 0x300:
            where, remedy = " of another process", "have that send its spans here too"
        elif node.span.flags & 0x100:
            where, remedy = " of the same process", "it still runs, or was lost when its program ended"
            see = "14-kill--9-kill--term-and-what-arrived"
        problem = f"The parent of {called(node)}, the span {parent_id.hex()}{where}, has not come"
        yield Finding(node, problem, remedy, f"docs/experiments.md#{see}")


RULES = (  # the most telling first
    *(service_name, lost_context, lost_parent, no_client, two_servers, secret, kind, status),
    *(missing_attribute, old_name, name, outlives, clock, missing_parent),
)
