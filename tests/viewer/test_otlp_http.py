"""OTLP/HTTP to the letter, over a real socket. OTLP specification, "OTLP/HTTP"."""

import gzip
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from google.protobuf.json_format import Parse
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tests.support import wait_until
from tests.viewer.otlp import request, span, trace_id
from tests.viewer.test_otlp_json import as_json
from viewer import otlp_http, otlp_json, serving
from viewer.store import Store

PROTOBUF, JSON = "application/x-protobuf", "application/json"
ENCODED = {PROTOBUF: lambda request: request.SerializeToString(), JSON: as_json}
PAGE = "http://localhost:3000"


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def port(store):
    return otlp_http.start(store, "127.0.0.1", 0, [PAGE])


@pytest.fixture
def post(port):
    """Send a body and return the answer: `post(body, mimetype, path, **headers)`."""
    with requests.Session() as session:

        def post(body, mimetype=PROTOBUF, path="/v1/traces", method="POST", **headers):
            headers = {name.replace("_", "-"): value for name, value in headers.items()} | {"Content-Type": mimetype}
            url = f"http://127.0.0.1:{port}{path}"
            return session.request(method, url, data=body, headers=headers, timeout=30)

        yield post


def answered(answer, mimetype, kind):
    """Return the message of an answer, which must be encoded as the request was."""
    assert answer.headers["Content-Type"] == mimetype
    return kind.FromString(answer.content) if mimetype == PROTOBUF else Parse(answer.content, kind())


@pytest.mark.parametrize("mimetype", [PROTOBUF, JSON])
def test_spans_that_are_taken_are_answered_with_an_empty_response(store, post, mimetype):
    answer = post(ENCODED[mimetype](request(span())), mimetype)
    assert answer.status_code == 200
    assert answer.content == {PROTOBUF: b"", JSON: b"{}"}[mimetype]
    assert answer.headers["Content-Type"] == mimetype
    assert store.summaries()[0].span_count == 1


@pytest.mark.parametrize("mimetype", [PROTOBUF, JSON])
def test_refused_spans_are_answered_with_partial_success(store, post, mimetype):
    answer = post(ENCODED[mimetype](request(span(), span(trace_id=b"short"), span(span_id=b""))), mimetype)
    assert answer.status_code == 200
    response = answered(answer, mimetype, ExportTraceServiceResponse)
    assert response.partial_success.rejected_spans == 2
    assert "trace_id" in response.partial_success.error_message
    assert store.summaries()[0].span_count == 1


@pytest.mark.parametrize(("mimetype", "empty"), [(PROTOBUF, b""), (JSON, b"{}")])
def test_an_empty_request_is_a_good_one(store, post, mimetype, empty):
    assert post(empty, mimetype).status_code == 200
    assert store.kept() == 0


@pytest.mark.parametrize(("mimetype", "junk"), [(PROTOBUF, b"\xff"), (JSON, b"\xff"), (JSON, b"[]"), (JSON, b"")])
def test_what_cannot_be_read_is_a_400_with_a_status(store, post, mimetype, junk):
    answer = post(junk, mimetype)
    assert answer.status_code == 400
    status = answered(answer, mimetype, Status)
    assert "ExportTraceServiceRequest" in status.message
    assert status.details[0].type_url == "type.googleapis.com/google.rpc.BadRequest"
    assert store.kept() == 0


def test_a_charset_beside_the_content_type_changes_nothing(store, post):
    assert post(as_json(request(span())), "application/json; charset=utf-8").status_code == 200
    assert store.kept() == 1


@pytest.mark.parametrize("mimetype", ["text/plain", "application/x-www-form-urlencoded", "application/grpc"])
def test_another_content_type_is_a_415(store, post, mimetype):
    answer = post(request(span()).SerializeToString(), mimetype)
    assert answer.status_code == 415
    assert PROTOBUF in answered(answer, JSON, Status).message
    assert store.kept() == 0


@pytest.mark.parametrize("mimetype", [PROTOBUF, JSON])
def test_gzip_is_understood(store, post, mimetype):
    assert post(gzip.compress(ENCODED[mimetype](request(span()))), mimetype, Content_Encoding="gzip").ok
    assert store.kept() == 1


@pytest.mark.parametrize("encoding", ["zstd", "snappy", "deflate", "gzip, gzip"])
def test_another_compression_is_refused_in_words_that_name_gzip(store, post, encoding):
    answer = post(request(span()).SerializeToString(), Content_Encoding=encoding)
    assert answer.status_code == 415
    assert "gzip" in answered(answer, PROTOBUF, Status).message
    assert answer.headers["Accept-Encoding"] == "gzip"
    assert store.kept() == 0


@pytest.mark.parametrize(
    "junk", [b"junk", gzip.compress(b"")[:-4], gzip.compress(b"") * 2], ids=["no gzip", "cut off", "two in one"]
)
def test_what_gzip_cannot_unpack_is_a_400(post, junk):
    answer = post(junk, Content_Encoding="gzip")
    assert answer.status_code == 400
    assert "gzip" in answered(answer, PROTOBUF, Status).message


@pytest.mark.parametrize("mimetype", [PROTOBUF, JSON])
def test_a_request_of_nearly_16_mb_is_taken(store, post, mimetype):
    name = "x" * 1_000_000
    assert post(ENCODED[mimetype](request(*(span(name, trace=number) for number in range(1, 17)))), mimetype).ok
    assert store.kept() == 16


def pieces(body):
    """Yield a body in pieces: it is sent without its length."""
    for start in range(0, len(body), 100_000):
        yield body[start : start + 100_000]


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (lambda: bytes(20_000_000), "identity"),
        (lambda: pieces(bytes(20_000_000)), "identity"),
        (lambda: gzip.compress(bytes(20_000_000)), "gzip"),
        (lambda: gzip.compress(bytes(200_000_000), compresslevel=1), "gzip"),
    ],
    ids=["plain", "chunked", "packed", "a bomb"],
)
def test_a_bigger_one_is_a_413_even_when_it_is_small_on_the_wire(store, post, body, encoding):
    answer = post(body(), Content_Encoding=encoding)
    assert answer.status_code == 413
    assert "16,777,216 bytes" in answered(answer, PROTOBUF, Status).message
    assert post(request(span()).SerializeToString()).ok
    assert store.kept() == 1


@pytest.mark.parametrize("path", ["/v1/metrics", "/v1/logs"])
@pytest.mark.parametrize("mimetype", [PROTOBUF, JSON])
def test_other_signals_are_told_in_one_line_that_this_takes_traces_only(post, path, mimetype):
    answer = post(b"", mimetype, path)
    assert answer.status_code == 404
    message = answered(answer, mimetype, Status).message
    assert "traces only" in message
    assert "\n" not in message


def test_another_path_is_a_404_that_says_where_traces_go(post):
    answer = post(b"", path="/")
    assert answer.status_code == 404
    assert "/v1/traces" in answered(answer, PROTOBUF, Status).message


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_traces_are_posted_and_nothing_can_be_read(post, method):
    answer = post(b"", method=method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"


def test_a_page_whose_origin_is_named_may_send(store, post):
    asked = post(None, method="OPTIONS", Origin=PAGE, Access_Control_Request_Headers="content-type,x-key")
    assert asked.status_code == 204
    assert asked.headers["Access-Control-Allow-Origin"] == PAGE
    assert asked.headers["Access-Control-Allow-Methods"] == "POST"
    assert asked.headers["Access-Control-Allow-Headers"] == "content-type,x-key"
    sent = post(as_json(request(span())), JSON, Origin=PAGE)
    assert sent.status_code == 200
    assert sent.headers["Access-Control-Allow-Origin"] == PAGE
    assert sent.headers["Vary"] == "Origin"
    assert store.kept() == 1


@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:3001", "null", f"{PAGE}.evil.example"])
def test_a_page_of_any_other_origin_may_not(store, post, origin, method):
    answer = post(request(span()).SerializeToString(), method=method, Origin=origin)
    assert answer.status_code == 403
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "VIEWER_CORS_ORIGINS" in answered(answer, PROTOBUF, Status).message
    assert store.kept() == 0


def test_origins_are_separated_by_commas():
    assert otlp_http.read_origins(" http://a, https://b.example:8443 ,") == {"http://a", "https://b.example:8443"}
    assert otlp_http.read_origins(" ") == frozenset()


@pytest.mark.parametrize("text", ["*", "localhost:3000", "http://a/", "http://*.example", "null", "http://a http://b"])
def test_what_is_no_origin_is_refused(text):
    with pytest.raises(ValueError, match="origin"):
        otlp_http.read_origins(text)


@pytest.fixture
def connect(port):
    """Open connections that say what is put into them, and no more."""
    opened = []

    def connect(text):
        opened.append(socket.create_connection(("127.0.0.1", port), timeout=20))
        opened[-1].sendall(text)
        return opened[-1]

    yield connect
    for each in opened:
        each.close()


def begun(length):
    """The first bytes of a request whose body has this length."""
    return (f"POST /v1/traces HTTP/1.1\r\nContent-Type: {PROTOBUF}\r\nContent-Length: {length}\r\n\r\n").encode()


def test_when_it_is_full_senders_are_told_to_come_again(store, connect, post, monkeypatch):
    monkeypatch.setattr(serving, "MAX_WAITING", 200_000)
    stalled = connect(begun(200_000) + bytes(199_000))
    wait_until(lambda: 199_000 in map(len, list(serving.Body.bodies)), "what it sends")
    body = request(span("x" * 50_000)).SerializeToString()
    answer = post(body)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert "come again" in answered(answer, PROTOBUF, Status).message
    stalled.close()
    wait_until(lambda: post(body).ok, "room again")


def test_where_no_file_can_be_made_big_requests_are_told_to_come_again(store, post, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    answer = post(request(span("x" * 200_000)).SerializeToString())
    assert answer.status_code == 503
    assert "temporary file" in answered(answer, PROTOBUF, Status).message
    assert post(request(span()).SerializeToString()).ok


def test_a_sender_that_stalls_or_drips_is_cut_off(connect, monkeypatch):
    monkeypatch.setattr("viewer.serving.SENDING", 0.5)
    stalled, dripping = connect(begun(100)), connect(begun(1_000_000))
    assert stalled.recv(1) == b""
    with pytest.raises(OSError):
        wait_until(lambda: dripping.sendall(b"x"), "its end")


def test_senders_that_stall_keep_nobody_waiting(store, connect, post):
    for _ in range(100):
        connect(begun(1_000_000))
    began = time.monotonic()
    assert post(request(span()).SerializeToString()).ok
    assert time.monotonic() - began < 5  # they have 10 s


def test_json_which_takes_longer_keeps_the_others_from_nothing(store, port, post):
    with ThreadPoolExecutor(1) as sender, otlp_json.in_turn:
        json = sender.submit(requests.post, f"http://127.0.0.1:{port}/v1/traces", "{}", headers={"Content-Type": JSON})
        assert post(request(span()).SerializeToString()).ok
        assert not json.done()
    assert json.result(20).ok


def test_what_is_no_http_is_answered_in_the_same_words(connect):
    opened = connect(b"POST /v1/traces HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: -1\r\n\r\n")
    answer = opened.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["message"] == "Content-Length is invalid"


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_pythons_own_exporter_is_understood(store, port, compression):
    exporter = OTLPSpanExporter(endpoint=f"http://localhost:{port}/v1/traces", compression=compression)
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("tests")
    with pytest.raises(ValueError), tracer.start_as_current_span("order"), tracer.start_as_current_span("pay"):
        raise ValueError("no money")
    provider.shutdown()
    (summary,) = store.summaries()
    assert (summary.root_name, summary.services, summary.complete) == ("order", (("shop", 2, 2),), True)


def test_both_encodings_are_kept_alike(store, post):
    stores = []
    for mimetype, encode in ENCODED.items():
        post(encode(request(span(id=1))), mimetype)
        stores.append(store.trace(trace_id(1)))
    assert stores[0] == stores[1]


def test_a_taken_port_is_noticed(store, port):
    with pytest.raises(OSError, match=f"127.0.0.1, port {port}: Address already in use"):
        otlp_http.start(store, "127.0.0.1", port)


def test_a_port_that_is_taken_where_localhost_may_lead_is_noticed(store):
    with socket.socket(socket.AF_INET6) as other:
        try:
            other.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        other.listen()
        with pytest.raises(OSError, match="::1"):
            otlp_http.start(store, "127.0.0.1", other.getsockname()[1])
