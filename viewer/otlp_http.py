"""Takes spans over OTLP/HTTP and puts them into the store. OTLP specification, "OTLP/HTTP"."""

import gzip
import io
import re
import zlib
from collections.abc import Callable, Collection

from flask import Flask, Response, abort, request
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from werkzeug.exceptions import HTTPException

from viewer import otlp_json, serving
from viewer.receiver import TRACES_ONLY, answer
from viewer.store import Store

PROTOBUF, JSON = "application/x-protobuf", "application/json"
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@*]+")
TRACES, OTHER_SIGNALS = "/v1/traces", ("/v1/metrics", "/v1/logs", "/v1development/profiles")


def start(store: Store, host: str, port: int, origins: Collection[str] = (), say: Callable = lambda line: None) -> int:
    """Listen for OTLP/HTTP for as long as the process lives; returns its port (a free one when `port` is 0).

    Pages of `origins` may send from a browser; of any other, `say` gets a line. Raises OSError when it cannot listen.
    """
    return serving.start(create_app(store, origins, say), host, port)


def read_origins(text: str) -> frozenset[str]:
    """Return the origins in a text that separates them by commas. Raises ValueError for what is none."""
    origins = frozenset(filter(None, map(str.strip, text.split(","))))
    for origin in origins:
        if not ORIGIN.fullmatch(origin):
            raise ValueError(f"not an origin like http://localhost:3000: {origin[:80]!r}")
    return origins


def who_may_not_send(origin: str, origins: Collection[str]) -> str:
    """Return a line that says whose pages wanted to send, and what would let them."""
    if ORIGIN.fullmatch(origin):
        let = f"to let them, start the viewer with VIEWER_CORS_ORIGINS={','.join([*sorted(origins), origin])}"
    else:
        let = "a page that may has an origin like http://localhost:3000, and a file has none"
    return f"Pages of {origin} wanted to send spans: {let}"


def create_app(store: Store, origins: Collection[str] = (), say: Callable = lambda line: None) -> Flask:
    """Return the WSGI application that takes spans, from programs and from pages of `origins`."""
    app = Flask("viewer.otlp_http", static_folder=None)

    @app.before_request
    def refuse_strangers():
        origin = request.headers.get("Origin")
        if origin is not None and origin not in origins:
            say(who_may_not_send(origin[:80], origins))  # their browser says nothing of it to them
            abort(403, f"VIEWER_CORS_ORIGINS does not name {origin[:80]}: its pages may not send")
        if origin is not None and request.method == "OPTIONS":
            wanted = request.headers.get("Access-Control-Request-Headers", "Content-Type")
            return "", 204, {"Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": wanted}
        return None

    @app.after_request
    def allow_reading(response):
        origin = request.headers.get("Origin")
        if origin in origins:
            # Beacons, and so the web exporters of old, send with credentials.
            response.headers.update(
                {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}
            )
        return response

    @app.post(TRACES)
    def take():
        if request.mimetype not in (PROTOBUF, JSON):
            abort(415, f"the Content-Type must be {PROTOBUF} or {JSON}")
        body = read_body()
        try:
            refused = otlp_json.add(store, body) if request.mimetype == JSON else store.add(body)
        except (DecodeError, ValueError) as error:
            abort(400, f"this is no ExportTraceServiceRequest: {error}")
        return in_senders_encoding(answer(refused))

    @app.errorhandler(HTTPException)
    def refuse(error):
        """Say why nothing was taken, in the Status that the specification wants of each refusal."""
        message = error.description
        if error.code in (404, 405):
            elsewhere = f"traces are taken by POST {TRACES}, and nothing else is here"
            message = TRACES_ONLY if request.path in OTHER_SIGNALS else elsewhere
        status = Status(message=message)
        if error.code == 400:
            status.details.add().Pack(BadRequest(field_violations=[BadRequest.FieldViolation(description=message)]))
        response = in_senders_encoding(status, error.get_response())
        if error.code == 415:
            response.headers["Accept-Encoding"] = "gzip"
        return response

    return app


def read_body() -> bytes:
    """Return the body of the request, unpacked."""
    body = request.get_data()
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding == "gzip":
        try:
            body = gzip.GzipFile(fileobj=io.BytesIO(body)).read(serving.MAX_REQUEST + 1)
        except (OSError, EOFError, zlib.error) as error:
            abort(400, f"gzip: {error}")
        if len(body) > serving.MAX_REQUEST:
            abort(413, f"more than {serving.MAX_REQUEST:,} bytes")
    elif encoding != "identity":
        abort(415, "the Content-Encoding must be gzip, or none")
    return body


def in_senders_encoding(message: Message, response: Response | None = None) -> Response:
    """Return an answer with a message in the encoding of its request: protobuf, or else JSON."""
    response = response or Response()
    is_protobuf = request.mimetype == PROTOBUF
    response.data = message.SerializeToString() if is_protobuf else MessageToJson(message, indent=None)
    response.mimetype = PROTOBUF if is_protobuf else JSON
    return response
