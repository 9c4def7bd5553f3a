"""`python -m viewer` as a process: how it starts, shows traces of real senders, and leaves."""

import fcntl
import os
import pty
import re
import signal
import struct
import termios
import threading
import time

import grpc
import pytest
import requests
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tests.support import ROOT, Process, clean_environment, free_port, wait_until
from tests.viewer.otlp import request, span, trace_id
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


def test_a_flood_does_not_take_it_down(viewer, send):
    process = viewer(VIEWER_MAX_TRACES=100, VIEWER_MAX_SPANS=1000)
    process.wait_for(READY)
    for first in range(1, 2001, 100):
        send(*(span(trace=number) for number in range(first, first + 100)))
    process.wait_for(trace_id(2000))
    process.wait_for("traces not drawn")
    assert process.stop() == 0
