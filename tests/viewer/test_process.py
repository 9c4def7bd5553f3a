"""`python -m viewer` as a process: how it starts, shows traces of real senders, and leaves."""

import contextlib
import fcntl
import gzip
import os
import pty
import re
import resource
import signal
import socket
import struct
import sys
import termios
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
import requests
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tests.support import ROOT, Process, clean_environment, free_port, wait_until
from tests.viewer.otlp import attribute, field, request, span, trace_id
from tests.viewer.test_otlp_json import of_a_span
from viewer.__main__ import is_loopback

READY = r"takes OTLP/gRPC on http://127.0.0.1:\d+"


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def viewer(port):
    """Start viewers on `port`: `viewer(**settings)`; `stdout` may be a file."""
    processes = []

    def viewer(stdout=None, **settings):
        settings = {"VIEWER_OTLP_PORT": port, "VIEWER_WEB_PORT": free_port(), "COLUMNS": ""} | settings
        options = {"stdout": stdout} if stdout is not None else {}
        processes.append(Process.python("-m", "viewer", env=clean_environment(**settings), **options))
        return processes[-1]

    yield viewer
    for process in processes:
        process.__exit__()


@pytest.fixture
def send(port):
    """Send spans to `port` by hand."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        export = trace_service_pb2_grpc.TraceServiceStub(channel).Export
        yield lambda *spans, **names: export(request(*spans, **names), wait_for_ready=True, timeout=20)


def test_it_says_where_it_listens_as_in_the_readme(viewer, port):
    http_port, web_port = free_port(), free_port()
    process = viewer(VIEWER_HTTP_PORT=http_port, VIEWER_WEB_PORT=web_port)
    start, _, _ = (ROOT / "README.md").read_text().partition("$ python -m viewer\n")[2].partition("```")
    for default, ours in ((4317, port), (4318, http_port), (16686, web_port)):
        start = start.replace(f":{default}\n", f":{ours}\n")
    process.wait_for(re.escape(start))


def test_both_ports_take_spans_for_the_same_trace(viewer, send):
    http_port = free_port()
    process = viewer(VIEWER_HTTP_PORT=http_port)
    send(span("by gRPC", id=1))
    body = request(span("by HTTP", id=2, parent=1)).SerializeToString()
    headers = {"Content-Type": "application/x-protobuf"}
    assert requests.post(f"http://127.0.0.1:{http_port}/v1/traces", body, headers=headers, timeout=20).ok
    process.wait_for(r"trace \S+  2 spans")


@pytest.mark.parametrize(("named", "expected"), [(None, 403), ("http://localhost:3000, http://other", 200)])
def test_pages_may_send_when_their_origin_is_named(viewer, named, expected):
    http_port = free_port()
    viewer(VIEWER_HTTP_PORT=http_port, VIEWER_CORS_ORIGINS=named).wait_for(READY)
    headers = {"Content-Type": "application/json", "Origin": "http://localhost:3000"}
    answer = requests.post(f"http://127.0.0.1:{http_port}/v1/traces", "{}", headers=headers, timeout=20)
    assert answer.status_code == expected


def test_pages_that_may_send_may_not_read(viewer):
    web_port = free_port()
    viewer(VIEWER_WEB_PORT=web_port, VIEWER_CORS_ORIGINS="http://localhost:3000").wait_for(READY)
    headers = {"Origin": "http://localhost:3000"}
    answer = requests.get(f"http://127.0.0.1:{web_port}/api/v3/services", headers=headers, timeout=20)
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_it_shows_a_trace_of_the_sdk(viewer, port):
    process = viewer()
    process.wait_for(READY)
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"http://localhost:{port}")))
    tracer = provider.get_tracer("tests")
    with pytest.raises(ValueError), tracer.start_as_current_span("order"), tracer.start_as_current_span("pay"):
        raise ValueError("no money")
    provider.shutdown()
    process.wait_for(r"trace [0-9a-f]{32}  2 spans, 1 service, .*, 2 errors")
    process.wait_for(r"✗ order +shop +INTERNAL")
    process.wait_for(r"✗ └ pay +shop +INTERNAL .*\n +ValueError: no money\n")
    assert "\x1b" not in process.out


def test_it_shows_two_services_as_one_trace(viewer, port):
    """The contract's client and server, as two providers whose batches arrive one after the other."""
    process = viewer()
    process.wait_for(READY)
    for service, spans in (("server", [span("/ping", id=2, parent=1)]), ("client", [span("client operation", id=1)])):
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            trace_service_pb2_grpc.TraceServiceStub(channel).Export(request(*spans, service=service))
    process.wait_for(r"2 spans, 2 services")
    process.wait_for(r"client operation +client .*\n  └ /ping +server ")
    assert "incomplete" not in process.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order_with_the_last_trace_shown(viewer, send, number):
    process = viewer()
    process.wait_for(READY)
    send(span("the last one"), span("part of another", trace=2, parent=9))
    assert process.stop(number) == 0
    assert "the last one" in process.out
    assert "part of another" in process.out
    assert process.err == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_starts_is_quiet(viewer, number):
    process = viewer()
    wait_until(lambda: _catches(process.pid, signal.SIGTERM), "it has the signals in hand")
    assert process.stop(number) == 0
    assert process.err == ""


def _catches(pid, number):
    """Whether the process has a handler for a signal."""
    with open(f"/proc/{pid}/status") as file:
        caught = next(line.split()[1] for line in file if line.startswith("SigCgt"))
    return int(caught, 16) >> (number - 1) & 1


def test_senders_that_are_still_connected_do_not_keep_it(viewer, port, send):
    process = viewer()
    process.wait_for(READY)
    stalled = threading.Event()

    def stall():
        stalled.wait()
        yield b""

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        method = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
        call = channel.stream_unary(method).future(stall())
        send(span("shown"))
        assert process.stop() == 0
        stalled.set()
        call.exception()
    assert "shown" in process.out
    assert process.err == ""


def read_start(reader):
    """Read from a pipe what a viewer says at its start, up to the empty line."""
    start = bytearray()
    wait_until(lambda: start.extend(os.read(reader, 1)) or start.endswith(b"\n\n"), "its start lines")


def waiting_bytes(reader):
    """How much there is to read in a pipe."""
    return struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, bytes(4)))[0]


@pytest.fixture
def stuck(viewer, send):
    """A viewer in the middle of a write that nobody reads."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    process = viewer(stdout=writer)
    os.close(writer)
    read_start(reader)
    send(*(span(id=id, parent=id - 1) for id in range(1, 60)))
    wait_until(lambda: waiting_bytes(reader) == 4096, "a full pipe")
    yield process
    os.close(reader)


def test_a_terminal_that_takes_no_more_does_not_keep_it(stuck):
    assert stuck.stop() == 0
    assert stuck.err == ""


def test_a_second_signal_ends_it_at_once(stuck):
    deadline = time.monotonic() + 20
    while stuck.returncode is None and time.monotonic() < deadline:
        stuck.send(signal.SIGINT)
        time.sleep(0.05)
    assert stuck.returncode == -signal.SIGINT
    assert stuck.err == ""


def test_it_ends_quietly_when_nobody_reads_any_more(viewer, send):
    reader, writer = os.pipe()
    process = viewer(stdout=writer)
    os.close(writer)
    read_start(reader)
    os.close(reader)
    send(span())
    assert process.wait() == 0
    assert process.err == ""


def test_it_runs_without_any_stdout(port, send):
    command = f"exec {sys.executable} -m viewer >&-"
    settings = clean_environment(VIEWER_OTLP_PORT=port, VIEWER_WEB_PORT=free_port())
    with Process("sh", "-c", command, env=settings) as process:
        send(span())
        assert process.stop() == 0
        assert process.err == ""


@pytest.mark.parametrize("name", ["VIEWER_OTLP_PORT", "VIEWER_HTTP_PORT", "VIEWER_WEB_PORT"])
def test_a_taken_port_is_one_line_that_names_the_variable(viewer, name):
    taken = free_port()
    first = viewer(**{name: taken})
    first.wait_for(READY)
    second = viewer(**{"VIEWER_OTLP_PORT": free_port(), name: taken})
    assert second.wait() == 1
    assert second.out == ""
    (line,) = second.err.splitlines()
    assert f"port {taken}" in line
    assert name in line
    assert first.returncode is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VIEWER_OTLP_PORT", "abc"),
        ("VIEWER_HTTP_PORT", "abc"),
        ("VIEWER_CORS_ORIGINS", "*"),
        ("VIEWER_CORS_ORIGINS", "http://localhost:3000/"),
        ("VIEWER_OTLP_PORT", "65536"),
        ("VIEWER_OTLP_PORT", "-1"),
        ("VIEWER_OTLP_PORT", "9" * 10_000),
        ("VIEWER_MAX_TRACES", "0"),
        ("VIEWER_MAX_TRACES", "many"),
        ("VIEWER_MAX_SPANS", "1.5"),
        ("VIEWER_HOST", "no such host"),
    ],
)
def test_a_bad_setting_is_one_line_that_names_it(viewer, name, value):
    process = viewer(**{name: value})
    assert process.wait() == 1
    (line,) = process.output.splitlines()
    assert name in line
    assert len(line) < 200


@pytest.mark.parametrize("name", ["VIEWER_HOST", "VIEWER_MAX_TRACES", "VIEWER_MAX_SPANS", "VIEWER_CORS_ORIGINS"])
def test_a_blank_setting_is_none(viewer, name):
    viewer(**{name: " "}).wait_for(READY)


def test_the_bounds_can_be_set(viewer, send):
    process = viewer(VIEWER_MAX_TRACES=3, VIEWER_MAX_SPANS=2)
    process.wait_for(READY)
    response = send(*(span() for _ in range(5)))
    assert response.partial_success.rejected_spans == 3
    process.wait_for("cut: 3 spans")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.2", False),
        ("example.org", False),
    ],
)
def test_it_knows_what_stays_on_this_machine(host, expected):
    assert is_loopback(host) == expected


def on_a_terminal(viewer, send, width, **settings):
    """Return what a viewer writes to a terminal for one trace in error."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    process = viewer(stdout=slave, **settings)
    os.close(slave)
    send(span("root", id=1, failed=True, status={"code": 2, "message": "broken"}), span("child", parent=1))
    output = bytearray()
    wait_until(lambda: output.extend(os.read(master, 10_000)) or b"child" in output, "the picture")
    process.stop()
    os.close(master)
    return output.decode()


def test_a_terminal_gets_colours_and_its_own_width(viewer, send):
    text = on_a_terminal(viewer, send, 66, TERM="xterm-256color")
    assert "\x1b[31m✗" in text
    (root,) = (line for line in text.splitlines() if "root" in line)
    assert len(re.sub(r"\x1b\[[\d;]*m", "", root)) == 66


def test_no_color_is_respected(viewer, send):
    text = on_a_terminal(viewer, send, 66, TERM="xterm-256color", NO_COLOR=1)
    assert "✗ root" in text
    assert "\x1b[31m" not in text


def test_a_stdout_without_utf8_gets_ascii(viewer, send):
    process = viewer(PYTHONIOENCODING="ascii")
    process.wait_for(READY)
    send(span("größe", id=1, failed=True), span("child", parent=1))
    process.wait_for(r"x gr\?\?e")
    process.wait_for(r"` child")
    assert process.err == ""


def bloated(megabytes):
    """A span as bytes that holds nothing but empty events: 2 bytes each, and 66 once they are decoded."""
    return span().SerializeToString() + field(11, b"") * int(megabytes * 500_000)


def one(*spans):
    """A request as bytes with these spans in one scope."""
    return field(1, field(2, field(2, *spans)))


@pytest.mark.parametrize(
    "hostile",
    [
        field(1, field(2, b"") * 12) * 590_000,
        one(bloated(15)),
        one(*(bloated(0.19) for _ in range(75))),
        one(span(attributes=[attribute("key", "\x01" * 15_000_000 + "😀")]).SerializeToString()),
    ],
    ids=["empty scopes", "a span of empty events", "75 spans of empty events", "a text to be escaped"],
)
def test_whatever_a_request_holds_the_memory_is_bounded(viewer, port, hostile):
    web_port = free_port()
    process = viewer(VIEWER_WEB_PORT=web_port)
    process.wait_for(READY)
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.max_send_message_length", -1)]) as channel:
        export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        with contextlib.suppress(grpc.RpcError):  # it may be refused
            export(hostile, wait_for_ready=True, timeout=60)
        export(request(span("later", trace=2)).SerializeToString())
    with requests.get(f"http://127.0.0.1:{web_port}/api/v3/traces/{trace_id(1)}", stream=True, timeout=60) as answer:
        answer.raw.read(1_000_000)
    process.wait_for("later")
    assert most_memory(process) < 500_000_000


def most_memory(process):
    """The most memory that a process ever had, in bytes."""
    return 1000 * int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())[1])


IDS = b'{"traceId":"%032x","spanId":"%016x","name":"' % (1, 1)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (lambda: of_a_span(b'{"x":[' + b'{"":0},' * 2_300_000 + b"0]}"), 400),
        (lambda: b'{"resourceSpans":[' + b"{}," * 5_400_000 + b"{}]}", 400),
        (lambda: of_a_span((IDS + b"x" * 400 + b'"},') * 30_000 + b"{}"), 200),
        (lambda: of_a_span(IDS + b"x" * 15_000_000 + "😀".encode() + b'"}'), 200),
        (lambda: bytes(200_000_000), 413),
    ],
    ids=["a span", "around spans", "many spans", "a long name", "a bomb"],
)
def test_whatever_eight_requests_in_json_hold_at_once_the_memory_is_bounded(viewer, body, code):
    http_port = free_port()
    process = viewer(VIEWER_HTTP_PORT=http_port)
    process.wait_for(READY)
    url, packed = f"http://127.0.0.1:{http_port}/v1/traces", gzip.compress(body(), compresslevel=1)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    with ThreadPoolExecutor(8) as senders:
        answers = senders.map(lambda _: requests.post(url, packed, headers=headers, timeout=100), range(8))
        assert {answer.status_code for answer in answers} == {code}
    assert most_memory(process) < 500_000_000


@pytest.mark.parametrize(
    "body",
    [
        lambda: of_a_span(b'{"x":[' + b'{"":0},' * 2_300_000 + b"0]}"),
        lambda: of_a_span((IDS + b"x" * 400 + b'"},') * 30_000 + b"{}"),
        lambda: b'{"result":' + of_a_span(IDS + b"x" * 15_000_000 + "😀".encode() + b'"}') + b"}",
        lambda: b"{}\n" * 100_000,
        lambda: b"[\n" * 8_000_000,
    ],
    ids=["a span", "many spans", "a long name", "many lines", "no lines after all"],
)
def test_whatever_eight_files_hold_at_once_the_memory_is_bounded(viewer, body):
    web_port = free_port()
    process = viewer(VIEWER_WEB_PORT=web_port)
    process.wait_for(READY)
    url, file = f"http://127.0.0.1:{web_port}/viewer/files", body()
    with ThreadPoolExecutor(8) as senders:
        answers = senders.map(lambda _: requests.post(url, file, timeout=100), range(8))
        assert {answer.status_code for answer in answers} <= {200, 400, 503}
    assert most_memory(process) < 500_000_000


@pytest.mark.parametrize("place", ["resource", "scope"])
def test_big_resources_and_scopes_are_read_one_at_a_time(viewer, port, place):
    web_port = free_port()
    process = viewer(VIEWER_WEB_PORT=web_port)
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.max_send_message_length", -1)]) as channel:
        export = trace_service_pb2_grpc.TraceServiceStub(channel).Export
        for number in range(1, 9):
            big = request(span(trace=number))
            resource_spans = big.resource_spans[0]
            owner = resource_spans.resource if place == "resource" else resource_spans.scope_spans[0].scope
            owner.attributes.append(attribute("text", "\x01" * 15_000_000 + "😀"))
            export(big, wait_for_ready=True, timeout=60)

    def read(number):
        url = f"http://127.0.0.1:{web_port}/api/v3/traces/{trace_id(number)}"
        with requests.get(url, stream=True, timeout=60) as answer:
            assert len(answer.raw.read(40_000_000)) == 40_000_000

    with ThreadPoolExecutor(8) as readers:
        list(readers.map(read, range(1, 9)))
    assert most_memory(process) < 500_000_000


def rests(process):
    """Whether a process does nothing for a moment."""

    def seconds():
        return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]

    before = seconds()
    time.sleep(0.2)
    return seconds() == before


def test_a_slow_reader_gets_an_end_when_there_is_no_room_for_its_answer(port, send):
    """A limit on the size of files stands for a full folder."""
    web_port = free_port()
    settings = clean_environment(VIEWER_OTLP_PORT=port, VIEWER_WEB_PORT=web_port)
    with Process("sh", "-c", f"ulimit -f 8000; exec {sys.executable} -m viewer", env=settings) as process:
        for id in range(1, 5):
            send(span(id=id, attributes=[attribute("text", "\x01" * 1_000_000)]))
        with connections(web_port, 1) as (reader,):
            reader.settimeout(10)
            reader.sendall(f"GET /api/v3/traces/{trace_id(1)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            reader.recv(1)
            wait_until(lambda: rests(process), "the viewer has come to the limit")
            with contextlib.suppress(ConnectionError):
                while reader.recv(1_000_000):
                    pass
        assert requests.get(f"http://127.0.0.1:{web_port}/api/v3/services", timeout=20).ok
        assert process.stop() == 0
        assert process.err == ""


def test_a_flood_does_not_take_it_down(viewer, send):
    process = viewer(VIEWER_MAX_TRACES=100, VIEWER_MAX_SPANS=1000)
    process.wait_for(READY)
    for first in range(1, 2001, 100):
        send(*(span(trace=number) for number in range(first, first + 100)))
    process.wait_for(trace_id(2000))
    process.wait_for("traces not drawn")
    assert process.stop() == 0


@contextlib.contextmanager
def connections(port, count):
    """Open sockets to a port that take next to nothing of what is sent to them."""
    with contextlib.ExitStack() as opened:
        yield [opened.enter_context(slow_socket(port)) for _ in range(count)]


def slow_socket(port):
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    opened.connect(("127.0.0.1", port))
    return opened


def test_readers_that_do_not_read_keep_nobody_out(viewer, send):
    web_port = free_port()
    viewer(VIEWER_WEB_PORT=web_port)
    for id in range(1, 5):
        send(span(id=id, attributes=[attribute("text", "\x01" * 1_000_000)]))  # six times as long in JSON
    question = f"GET /api/v3/traces/{trace_id(1)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with connections(web_port, 8) as readers:
        for reader in readers:
            reader.sendall(question)
        for _ in range(5):
            assert requests.get(f"http://127.0.0.1:{web_port}/api/v3/services", timeout=20).ok


def test_connections_that_ask_nothing_keep_nobody_out(viewer):
    web_port = free_port()
    viewer(VIEWER_WEB_PORT=web_port).wait_for(READY)
    with connections(web_port, 200):
        assert requests.get(f"http://127.0.0.1:{web_port}/api/v3/services", timeout=5).ok


def test_what_is_sent_to_the_page_is_not_taken(viewer):
    web_port = free_port()
    viewer(VIEWER_WEB_PORT=web_port).wait_for(READY)
    with connections(web_port, 1) as (sender,):
        sender.sendall(b"POST / HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 1000000000\r\n\r\n")
        sender.settimeout(5)
        assert sender.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_thousand_connections_do_not_end_it(viewer, port):
    before = _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 4096:
        pytest.skip("needs 4,096 open files: `ulimit -Hn`")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, most))
    try:
        web_port = free_port()
        process = viewer(VIEWER_WEB_PORT=web_port)
        process.wait_for(READY)
        with connections(port, 1_100):
            files = Path(f"/proc/{process.pid}/fd")
            wait_until(lambda: len(list(files.iterdir())) > 1_100, "the connections")
            assert requests.get(f"http://127.0.0.1:{web_port}/api/v3/services", timeout=20).ok
        assert process.stop() == 0
        assert process.err == ""
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
