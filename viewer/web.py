"""The viewer's web page, and the read API that it shares with scripts.

The API has the paths and JSON shapes of Jaeger 2.21's HTTP api_v3, so that the same script reads Jaeger:

    GET /api/v3/services
    GET /api/v3/operations
    GET /api/v3/traces/{trace_id}
    GET /api/v3/traces
    GET /api/v3/trace-summaries

What is ours is called `viewer`: the parameters `viewer.search` and `viewer.errors`, and the field `viewer`,
which a script for Jaeger does not look at. Looser than Jaeger: no parameter is required. Stricter: a search
parameter that has no effect here is refused, not passed over. A trace's start is that of its first span.
"""

import re
import secrets
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, nullcontext
from functools import lru_cache
from ipaddress import ip_address
from itertools import chain, islice
from pathlib import Path
from urllib.parse import quote, urlsplit

from flask import Flask, Response, abort, render_template, request
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from werkzeug.exceptions import BadRequest, HTTPException

from viewer import docs, files, search, serving, span_json
from viewer.advice import Advisor
from viewer.receiver import MAX_REQUEST
from viewer.span_json import encode
from viewer.store import Store, Summary
from viewer.wire import Trace

# Spans are hostile. The page loads only what is in static/, and no text can become markup or script.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
        "trusted-types 'none'; require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
THREADS = 16  # answers that are made at a time
FILES = "/viewer/files"  # where the page sends what is dropped on it
CHUNK = 64_000  # characters of a trace that go out at once
MOST = 8_000_000  # characters of a list: 1,000 traces take 400,000, but over 100 million with the longest names


def start(store: Store, host: str, port: int, otlp_port: int, http_port: int = 4318) -> int:
    """Serve the page in the background for as long as the process lives; returns its port (a free one for 0).

    Raises OSError, with a line fit for a reader, when it cannot listen there.
    """
    app = _lists_in_turn(create_app(store, host, otlp_port, http_port))
    return serving.start(app, host, port, "web", threads=THREADS, max_request_body_size=MAX_REQUEST + 1)


def _lists_in_turn(app: Callable) -> Callable:
    """Have one list at a time made by a WSGI application: it may take 24 MB until it has gone to its buffer."""
    turn = threading.Lock()

    def one_at_a_time(environ, start_response):
        with turn, closing(app(environ, start_response)) as response:
            yield from response

    def in_turn(environ, start_response):
        path = environ["PATH_INFO"]
        if path.startswith("/api/") and not path.startswith("/api/v3/traces"):
            return one_at_a_time(environ, start_response)
        return app(environ, start_response)

    return in_turn


def create_app(store: Store, host: str = "127.0.0.1", otlp_port: int = 4317, http_port: int = 4318) -> Flask:
    """Return the WSGI application that shows `store` to browsers that call it `host`."""
    app = Flask("viewer", root_path=str(Path(__file__).parent))
    app.json.sort_keys = False
    app.url_map.merge_slashes = False  # its redirects are HTML
    this_run = secrets.token_hex(4)  # the next run counts its revisions from 0 again

    @app.before_request
    def refuse_strangers():
        # A site can point its own name at our address (DNS rebinding), but the browser still sends that name.
        if not is_our_name(request.environ.get("HTTP_HOST", ""), host):
            abort(403, "The viewer does not go by this name: see the Host header")
        if request.path != FILES and request.method not in ("GET", "HEAD"):
            abort(405)

    @app.after_request
    def protect(response):
        response.headers.update(HEADERS)
        return response

    @app.errorhandler(search.BadParameter)
    def refuse(problem):
        return error(BadRequest(str(problem)))

    @app.errorhandler(HTTPException)
    def error(problem):
        body = {"error": {"httpCode": problem.code, "message": problem.description}}
        return body, problem.code, {"Allow": "GET, HEAD"} if problem.code == 405 else {}

    app.register_blueprint(docs.pages)

    @app.get("/")
    def list_page():
        return render_template("list.html", otlp_port=otlp_port, http_port=http_port)

    @app.get("/trace/<trace_id>")
    def trace_page(trace_id):
        return render_template("trace.html")

    @app.get("/trace/<trace_id>/")
    def trace_page_with_a_slash(trace_id):
        return "", 308, {"Location": f"/trace/{quote(trace_id, safe='')}"}

    @app.get("/search")
    def jaegers_list_page():
        return "", 307, {"Location": "/"}

    @app.post(FILES)
    def take_file():
        """Show a file that was dropped on the page: what `python -m viewer FILE` does."""
        origin = request.headers.get("Origin")  # browsers name it whenever a page sends
        if origin is not None and urlsplit(origin).netloc != request.environ["HTTP_HOST"]:
            abort(403, "Only the viewer's own page may send a file")
        try:
            files.read(store, request.environ["wsgi.input"])
        except ValueError as problem:
            abort(400, str(problem))
        return {}

    @app.get("/api/v3/services")
    def services():
        return json_response(f'{{"services":{_list(store.services())}}}')

    @app.get("/api/v3/traces/<trace_id>")
    def trace(trace_id):
        if not re.fullmatch("[0-9A-Fa-f]{1,32}", trace_id):
            abort(400, "malformed parameter trace_id: not up to 32 hexadecimal digits")
        # They are to help Jaeger find it, and change nothing here.
        parameters = search.camel_case(request.args)
        search.nanoseconds(parameters, "startTime")
        search.nanoseconds(parameters, "endTime")
        search.boolean(parameters, "rawTraces")
        found = store.trace(trace_id.lower().zfill(32))
        if found is None:
            abort(404, "No traces found")
        return json_response(trace_json([found]))

    @lru_cache(maxsize=16)  # a page asks the same again and again
    def asked(query_string):
        return search.Search(request.args)

    @app.get("/api/v3/traces")
    def traces():
        wanted = asked(request.query_string)
        found = [summary.trace_id for summary in islice(wanted.find(store), wanted.depth)]
        if not found:
            abort(404, "No traces found")
        return json_response(trace_json(filter(None, map(store.trace, found))))

    @app.get("/api/v3/operations")
    def operations():
        parameters = search.camel_case(request.args)
        found = search.operations(store, parameters.get("service", ""), parameters.get("spanKind", ""))
        names = _list({"name": name, "spanKind": kind} for name, kind in found)
        return json_response(f'{{"operations":{names}}}')

    advisor = Advisor(store)

    @app.get("/viewer/advice/<trace_id>")
    def advice(trace_id):
        """What a reviewer would say of a trace: ours, and not of Jaeger's API."""
        is_id = re.fullmatch("[0-9A-Fa-f]{1,32}", trace_id)
        pieces = advisor.review(trace_id.lower().zfill(32)) if is_id else None
        if pieces is None:
            abort(404, "No such trace is here")
        return {"advice": [{"rule": rule, "spanId": id, "text": text, "see": see} for rule, id, text, see in pieces]}

    @app.get("/api/v3/trace-summaries")
    def trace_summaries():
        wanted = asked(request.query_string)
        tag = f"{this_run}-{store.revision}"  # read first: it may be older than what follows, never newer
        etag = {"ETag": f'"{tag}"'}
        if tag in request.if_none_match:
            return "", 304, etag
        found = list(wanted.find(store))
        viewer = present(
            found=len(found),
            kept=store.kept(),
            dropped=store.dropped,
            refused=store.refused.count,
            refusedReason=store.refused.reason,
        )
        summaries = _list(map(summary_json, found[: wanted.depth]))
        return json_response(f'{{"summaries":{summaries},"viewer":{encode(viewer)}}}'), etag

    return app


def is_our_name(header: str, host: str) -> bool:
    """Return whether a Host header names this machine, or the `host` that we listen on."""
    try:
        name = urlsplit(f"//{header}").hostname
        if name in ("localhost", host):
            return True
        # Listening on every interface we do not know our names; but an address has no DNS to be rebound.
        return ip_address(name).is_loopback or ip_address(host).is_unspecified
    except ValueError:
        return False


def summary_json(summary: Summary) -> dict:
    """Return Jaeger's TraceSummary. Where the root has not come, ours names the span that stands for it."""
    names = present(rootServiceName=summary.root_service, rootOperationName=summary.root_name)
    viewer = present(refused=summary.refused_count)
    if not summary.has_root:
        viewer["insteadOfRoot"], names = names, {}
    return present(
        traceId=summary.trace_id,
        **names,
        minStartTimeUnixNano=summary.start_ns and str(summary.start_ns),
        maxEndTimeUnixNano=summary.end_ns and str(summary.end_ns),
        spanCount=summary.span_count,
        errorSpanCount=summary.error_count,
        orphanSpanCount=summary.orphan_count,
        services=[
            present(name=name, spanCount=spans, errorSpanCount=errors) for name, spans, errors in summary.services
        ],
        viewer=viewer,
    )


def trace_json(traces: Iterable[Trace]) -> Iterator[str]:
    """Yield `{"result": …}` with the traces as OTLP JSON, in pieces: a big one would be hundreds of MB."""
    pieces, size = [], 0
    for piece in _trace_pieces(traces):
        pieces.append(piece)
        size += len(piece)
        if size > CHUNK:
            yield "".join(pieces)
            pieces, size = [], 0
    yield "".join(pieces)


def _trace_pieces(traces: Iterable[Trace]) -> Iterator[str]:
    yield '{"result":{"resourceSpans":['
    for r, (resource, groups) in enumerate(chain.from_iterable(map(_by_resource, traces))):
        yield "," * (r > 0) + '{"resource":'
        yield from _shared(Resource, *resource)
        yield ',"scopeSpans":['
        for s, (group, spans) in enumerate(groups):
            yield "," * (s > 0) + '{"scope":'
            yield from _shared(InstrumentationScope, group.scope, group.scope_schema)
            yield ',"spans":['
            for n, raw in enumerate(spans):
                yield "," * (n > 0)
                if len(raw) < CHUNK:
                    yield span_json.as_text(Span.FromString(raw))
                else:
                    with _big:
                        yield from _encoded(span_json.as_dict(Span.FromString(raw)))
            yield "]}"
        yield "]}"
    yield "]}}"


def _by_resource(trace: Trace) -> Iterable[tuple[tuple[bytes, bytes], Trace]]:
    """The groups of a trace by their resource and its schema's URL."""
    by_resource = defaultdict(list)
    for group, spans in trace:
        by_resource[group.resource, group.resource_schema].append((group, spans))
    return by_resource.items()


def present(**fields) -> dict:
    """Return the fields that are neither empty nor 0: all of a summary that Jaeger's JSON shows."""
    return {name: value for name, value in fields.items() if value}


def json_response(body: str | Iterator[str]) -> Response:
    """Return an answer with this JSON."""
    return Response(body, mimetype="application/json")


def _list(items: Iterable[object]) -> str:
    """Return items as a JSON array, up to a length that several readers at once may have."""
    pieces, size = [], 0
    for item in items:
        pieces.append(encode(item))
        size += len(pieces[-1])
        if size > MOST:
            break
    return f"[{','.join(pieces)}]"


_big = threading.Lock()  # one big span or resource at a time: its text may take 60 MB, and no slow reader is waited for


def _encoded(value: object) -> Iterator[str]:
    """Yield a value as JSON in small pieces: a text of control characters grows to six times its size."""
    if isinstance(value, dict):
        yield "{"
        for n, (key, item) in enumerate(value.items()):
            yield "," * (n > 0) + encode(key) + ":"
            yield from _encoded(item)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for n, item in enumerate(value):
            yield "," * (n > 0)
            yield from _encoded(item)
        yield "]"
    elif isinstance(value, str):
        yield '"'
        for start in range(0, len(value), CHUNK):
            yield encode(value[start : start + CHUNK])[1:-1]
        yield '"'
    else:
        yield encode(value)


def _shared(kind: type[Message], message: bytes, schema_url: bytes) -> Iterator[str]:
    """Yield what many spans share as JSON, and behind it, where there is one, the member `schemaUrl`."""
    with _big if len(message) + len(schema_url) >= CHUNK else nullcontext():
        fields = MessageToDict(kind.FromString(message))
        span_json.complete(fields)
        yield from _encoded(fields)
        if schema_url:
            yield ',"schemaUrl":'
            yield from _encoded(schema_url.decode(errors="replace"))
