"""OTLP/HTTP to the letter, over a real socket. OTLP specification, "OTLP/HTTP"."""

import gzip
import socket
import ssl

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

from tests.viewer.otlp import request, span
from tests.viewer.test_otlp_json import as_json
from viewer import otlp_http
from viewer.store import Store

PROTOBUF, JSON = "application/x-protobuf", "application/json"
ENCODED = {PROTOBUF: lambda request: request.SerializeToString(), JSON: as_json}
PAGE = "http://localhost:3000"


@pytest.fixture(scope="module")
def served():
    """A store, and the port on which it takes spans."""
    store = Store()
    return store, otlp_http.start(store, "127.0.0.1", 0, [PAGE])


@pytest.fixture
def store(served):
    served[0].__init__()
    return served[0]


@pytest.fixture
def port(served, store):
    return served[1]


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


@pytest.mark.parametrize("junk", [b"junk", gzip.compress(b"")[:-4]], ids=["no gzip", "cut off"])
def test_what_gzip_cannot_unpack_is_a_400(post, junk):
    answer = post(junk, Content_Encoding="gzip")
    assert answer.status_code == 400
    assert "gzip" in answered(answer, PROTOBUF, Status).message


@pytest.mark.parametrize("mimetype", [PROTOBUF, JSON])
def test_a_request_of_nearly_16_mb_is_taken(store, post, mimetype):
    name = "x" * 1_000_000
    assert post(ENCODED[mimetype](request(*(span(name, trace=number) for number in range(1, 17)))), mimetype).ok
    assert store.kept() == 16


def test_a_bigger_one_is_a_413_even_when_it_is_small_on_the_wire(post, port):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        # Without the body: it may be refused, and the connection reset, while that is on its way.
        connection.sendall(b"POST /v1/traces HTTP/1.0\r\nContent-Length: 20000000\r\n\r\n")
        assert connection.makefile("rb").readline().startswith(b"HTTP/1.0 413 ")
    answer = post(gzip.compress(bytes(20_000_000)), Content_Encoding="gzip")
    assert answer.status_code == 413
    assert "16,777,216 bytes" in answered(answer, PROTOBUF, Status).message


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


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_traces_are_posted_and_nothing_can_be_read(post, method):
    answer = post(b"", method=method)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


def test_tls_is_answered_with_a_400_and_closed_at_once(port):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        greeting = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # the first bytes of one: no end of a line
        connection.sendall(greeting)
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert b"begin the address with http://" in answer
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as connection,
        pytest.raises(ssl.SSLError, match="WRONG_VERSION_NUMBER"),
    ):
        ssl.create_default_context().wrap_socket(connection, server_hostname="localhost")


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
    assert {answer.headers["Access-Control-Allow-Credentials"] for answer in (asked, sent)} == {"true"}
    assert store.kept() == 1


@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:3001", "null", f"{PAGE}.evil.example"])
def test_a_page_of_any_other_origin_may_not(store, post, origin, method):
    answer = post(request(span()).SerializeToString(), method=method, Origin=origin)
    assert answer.status_code == 403
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "VIEWER_CORS_ORIGINS" in answered(answer, PROTOBUF, Status).message
    assert store.kept() == 0


def test_a_page_without_an_origin_is_told_of_too():
    assert otlp_http.who_may_not_send("null", [PAGE]).endswith(
        "an origin like http://localhost:3000, and a file has none"
    )


def test_origins_are_separated_by_commas():
    assert otlp_http.read_origins(" http://a, https://b.example:8443 ,") == {"http://a", "https://b.example:8443"}
    assert otlp_http.read_origins(" ") == frozenset()


@pytest.mark.parametrize("text", ["*", "localhost:3000", "http://a/", "http://*.example", "null", "http://a http://b"])
def test_what_is_no_origin_is_refused(text):
    with pytest.raises(ValueError, match="origin"):
        otlp_http.read_origins(text)


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
