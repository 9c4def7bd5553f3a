"""The viewer's web page, and the read API that it shares with scripts.

The API has the paths and JSON shapes of Jaeger's HTTP api_v3 (2.21), so that the same script reads Jaeger:

    GET /api/v3/services
    GET /api/v3/trace-summaries
    GET /api/v3/traces/{trace_id}

What is ours is called `viewer`: the parameters `viewer.search` and `viewer.errors`, and the field `viewer`, which a
script for Jaeger does not look at. Looser than Jaeger: no parameter is required. Stricter: a parameter of a search that
has no effect here is refused, not passed over. A trace's start is that of its first span.
"""

import re
import secrets
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask, Response, abort, render_template, request
from werkzeug.exceptions import HTTPException

from viewer import docs, otlp_json, serving
from viewer.advice import Advisor
from viewer.picture import notices
from viewer.search import BadParameter, Search
from viewer.store import Store, Summary
from viewer.trace_json import encode, trace_json

# The page loads only what is in static/, and no text of a span can become markup or script.
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


def start(store: Store, host: str, port: int, otlp_port: int, http_port: int = 4318, hint: str = "") -> int:
    """Serve the page in the background for as long as the process lives; returns its port (a free one for 0).

    Raises OSError when it cannot listen there.
    """
    return serving.start(create_app(store, host, otlp_port, http_port, hint), host, port)


def create_app(
    store: Store, host: str = "127.0.0.1", otlp_port: int = 4317, http_port: int = 4318, hint: str = ""
) -> Flask:
    """Return the WSGI application that shows `store` to browsers that call it `host`.

    hint: what an empty list says, in place of how to start the two programs.
    """
    app = Flask("viewer", root_path=str(Path(__file__).parent))
    this_run = secrets.token_hex(4)  # the next run counts its revisions from 0 again

    @app.before_request
    def refuse_strangers():
        # A site can point its own name at our address (DNS rebinding), but the browser still sends that name.
        called = request.environ.get("HTTP_HOST", "")
        if not is_our_name(called, host):
            abort(403, say_our_names(called, host, request.environ["SERVER_PORT"]))
        origin = request.headers.get("Origin")  # browsers name it whenever a page sends
        if origin is not None and urlsplit(origin).netloc != called:
            abort(403, "Only the viewer's own page may ask")

    @app.after_request
    def protect(response):
        response.headers.update(HEADERS)
        return response

    @app.errorhandler(HTTPException)
    def refuse(problem):
        response = problem.get_response()
        response.data = encode({"error": {"httpCode": problem.code, "message": problem.description}})
        response.mimetype = "application/json"
        return response

    app.register_blueprint(docs.pages)

    @app.get("/")
    def list_page():
        return render_template("list.html", otlp_port=otlp_port, http_port=http_port, hint=hint)

    @app.get("/trace/<trace_id>", strict_slashes=False)
    def trace_page(trace_id):
        return render_template("trace.html")

    @app.post("/viewer/files")
    def take_file():
        """Show a file that was dropped on the page: what `python -m viewer FILE` does."""
        try:
            otlp_json.add_file(store, request.get_data())
        except ValueError as problem:
            abort(400, str(problem))
        return {}

    @app.get("/api/v3/services")
    def services():
        return {"services": store.services()}

    @app.get("/api/v3/traces/<trace_id>")
    def trace(trace_id):
        if not re.fullmatch("[0-9A-Fa-f]{1,32}", trace_id):
            abort(400, "malformed parameter trace_id: not up to 32 hexadecimal digits")
        found = store.trace(trace_id.zfill(32))
        if found is None:
            abort(404, "No traces found")
        return Response(trace_json(found), mimetype="application/json")

    @lru_cache(maxsize=16)  # a page asks the same again and again
    def asked(query_string):
        return Search(request.args)

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
        tag = f"{this_run}-{store.revision}"  # read first: it may be older than what follows, never newer
        etag = {"ETag": f'"{tag}"'}
        if tag in request.if_none_match:
            return "", 304, etag
        try:
            wanted = asked(request.query_string)
        except BadParameter as problem:
            abort(400, str(problem))
        found = list(wanted.find(store))
        viewer = present(
            found=len(found),
            kept=store.kept(),
            dropped=store.dropped,
            refused=store.refused.count,
            refusedReason=store.refused.reason,
        )
        body = encode({"summaries": [summary_json(each) for each in found[: wanted.depth]], "viewer": viewer})
        return Response(body, mimetype="application/json", headers=etag)

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


def say_our_names(header: str, host: str, port: str) -> str:
    """Return what to do for who called us by a Host header that is not ours."""
    name = re.sub(r":\d+$", "", header)  # a forwarded port is not ours
    is_everywhere = host in ("0.0.0.0", "::")
    ours = "its IP address" if is_everywhere else f"http://localhost:{port} on its own machine"
    return f"The viewer does not go by the name {name!r}: open {ours}, or start it with VIEWER_HOST={name or host}"


def summary_json(summary: Summary) -> dict:
    """Return Jaeger's TraceSummary. Ours says what is not here, and which span stands for a missing root."""
    names = present(rootServiceName=summary.root_service, rootOperationName=summary.root_name)
    viewer = present(notices=notices(summary))
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


def present(**fields) -> dict:
    """Return the fields that are neither empty nor 0: all of a summary that Jaeger's JSON shows."""
    return {name: value for name, value in fields.items() if value}
