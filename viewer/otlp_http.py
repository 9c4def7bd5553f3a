"""Takes spans over OTLP/HTTP and puts them into the store. OTLP specification, "OTLP/HTTP"."""

import re
import zlib
from collections.abc import Callable, Collection

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from waitress.task import ErrorTask
from werkzeug.http import parse_options_header
from werkzeug.wrappers import Request, Response

from viewer import otlp_json, serving, wire
from viewer.receiver import COME_AGAIN, MAX_REQUEST, TRACES_ONLY, answer, decoding, refuse_taken_localhost
from viewer.store import Store

PROTOBUF, JSON = "application/x-protobuf", "application/json"
OTHER_SIGNALS = ("/v1/metrics", "/v1/logs", "/v1development/profiles")
THREADS = 16  # requests that wait for their turn to be decoded, and are not in memory yet


def start(store: Store, host: str, port: int, origins: Collection[str] = ()) -> int:
    """Listen for OTLP/HTTP for as long as the process lives; returns its port (a free one when `port` is 0).

    Pages of `origins` may send from a browser. Raises OSError, with a line fit for a reader, when it cannot listen.
    """
    refuse_taken_localhost(host, port)
    app = create_app(store, origins)
    return serving.start(app, host, port, "otlp", _Channel, threads=THREADS, max_request_body_size=2**63)  # see Body


def read_origins(text: str) -> frozenset[str]:
    """Return the origins in a text that separates them by commas. Raises ValueError for what is none."""
    origins = frozenset(filter(None, map(str.strip, text.split(","))))
    for origin in origins:
        if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/?#@*]+", origin):
            raise ValueError(f"not an origin like http://localhost:3000: {origin[:80]!r}")
    return origins


def create_app(store: Store, origins: Collection[str] = ()) -> Callable:
    """Return the WSGI application that takes spans, from programs and from pages of `origins`."""

    @Request.application
    def app(request: Request) -> Response:
        origin = request.headers.get("Origin")
        if origin is None:
            return respond(store, request)
        if origin not in origins:
            return refusal(request, 403, f"VIEWER_CORS_ORIGINS does not name {origin[:80]}: its pages may not send")
        if request.method == "OPTIONS":
            response = Response(status=204)
            response.headers["Access-Control-Allow-Methods"] = "POST"
            wanted = request.headers.get("Access-Control-Request-Headers", "Content-Type")
            response.headers["Access-Control-Allow-Headers"] = wanted
        else:
            response = respond(store, request)
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Vary"] = "Origin"
        return response

    return app


def respond(store: Store, request: Request) -> Response:
    """Answer a request, and keep the spans that are in it."""
    if request.path in OTHER_SIGNALS:
        return refusal(request, 404, TRACES_ONLY)
    if request.path != "/v1/traces":
        return refusal(request, 404, "traces are taken by POST /v1/traces, and nothing else is here")
    if request.method != "POST":
        return refusal(request, 405, "traces are taken by POST", Allow="POST")
    if request.mimetype not in (PROTOBUF, JSON):
        return refusal(request, 415, f"the Content-Type must be {PROTOBUF} or {JSON}")
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("gzip", "identity"):
        return refusal(request, 415, "the Content-Encoding must be gzip, or none", accept_encoding="gzip")

    def read() -> bytes:
        body = request.environ["wsgi.input"].read()
        return unpacked(body) if encoding == "gzip" else body

    try:
        if request.mimetype == JSON:
            with otlp_json.in_turn:
                groups = list(otlp_json.groups(read()))
            with decoding:
                refused = store.add(groups)
        else:
            with decoding:
                refused = store.add(wire.groups(read()))
    except OverflowError:
        return refusal(request, 413, serving.TOO_LARGE)
    except DecodeError as error:
        return refusal(request, 400, f"this is no ExportTraceServiceRequest: {error}")
    return Response(encoded(answer(refused), request.mimetype), mimetype=request.mimetype)


def refusal(request: Request, code: int, message: str, **headers: str) -> Response:
    """Return an answer that says why nothing was taken."""
    body, mimetype = status(request.mimetype, code, message)
    response = Response(body, code, mimetype=mimetype)
    for name, value in headers.items():
        response.headers[name.replace("_", "-")] = value
    return response


def status(mimetype: str, code: int, message: str) -> tuple[bytes, str]:
    """Return the Status that the specification wants of each refusal, encoded as the request was, and that encoding."""
    status = Status(message=message)
    if code == 400:
        status.details.add().Pack(BadRequest(field_violations=[BadRequest.FieldViolation(description=message)]))
    mimetype = PROTOBUF if mimetype == PROTOBUF else JSON
    return encoded(status, mimetype), mimetype


def encoded(message: Message, mimetype: str) -> bytes:
    """Return a message in one of the two encodings."""
    return message.SerializeToString() if mimetype == PROTOBUF else MessageToJson(message, indent=None).encode()


def unpacked(body: bytes) -> bytes:
    """Return what is packed by gzip. Raises DecodeError if it is not, OverflowError if it is too large."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        unpacked = unpacker.decompress(body, MAX_REQUEST + 1)
    except zlib.error as error:
        raise DecodeError(f"gzip: {error}") from None
    if len(unpacked) > MAX_REQUEST:
        raise OverflowError(serving.TOO_LARGE)
    if not unpacker.eof or unpacker.unused_data:
        raise DecodeError("gzip: cut off, or more than one file")
    return unpacked


class _Refusal(ErrorTask):
    """What is refused before the application sees it, in OTLP's words."""

    def execute(self) -> None:
        error = self.request.error
        mimetype, _ = parse_options_header(self.request.headers.get("CONTENT_TYPE"))
        body, mimetype = status(mimetype, error.code, error.body)
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", mimetype))
        if isinstance(error, serving.Full):
            self.response_headers.append(("Retry-After", str(COME_AGAIN)))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(serving.Channel):
    """A sender's connection."""

    error_task_class = _Refusal
