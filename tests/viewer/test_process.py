"""`python -m viewer` as a process: how it starts, takes spans on its ports, and leaves."""

import fcntl
import itertools
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
import requests
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc

from tests.support import ROOT, Process, answers, clean_environment, free_port, wait_until
from tests.viewer.otlp import EXPORT, attribute, request, span, trace_id
from viewer.__main__ import is_loopback, setting

READY = r"takes OTLP/gRPC on http://127.0.0.1:\d+"
PAGE = "http://localhost:3000"
numbers = itertools.count(1)


class Viewer(Process):
    """A viewer on ports of its own, `stdout` for its file."""

    def __init__(self, *arguments, stdout=None, **settings):
        self.otlp, self.http, self.web = free_port(), free_port(), free_port()
        ports = {"VIEWER_OTLP_PORT": self.otlp, "VIEWER_HTTP_PORT": self.http, "VIEWER_WEB_PORT": self.web}
        options = {"stdout": stdout} if stdout is not None else {}
        environment = clean_environment(**ports | {"COLUMNS": ""} | settings)
        super().__init__(sys.executable, "-m", "viewer", *arguments, env=environment, **options)

    def add(self, *spans, **names):
        """Send spans by hand, once it listens, and return the response."""
        with grpc.insecure_channel(f"127.0.0.1:{self.otlp}") as channel:
            export = trace_service_pb2_grpc.TraceServiceStub(channel).Export
            return export(request(*spans, **names), wait_for_ready=True, timeout=20)


@pytest.fixture
def viewer():
    """Start viewers: `viewer(*arguments, **settings)`."""
    processes = []

    def viewer(*arguments, **options):
        processes.append(Viewer(*arguments, **options))
        return processes[-1]

    yield viewer
    for process in processes:
        process.__exit__()


@pytest.fixture(scope="module")
def running():
    """A viewer that runs for all tests that leave it as it is."""
    with Viewer(VIEWER_CORS_ORIGINS=f"{PAGE}, http://other") as process:
        process.wait_for(READY)
        yield process


def test_it_says_where_it_listens_as_in_the_readme(running):
    start, _, _ = (ROOT / "README.md").read_text().partition("$ python -m viewer\n")[2].partition("```")
    for default, ours in ((4317, running.otlp), (4318, running.http), (16686, running.web)):
        start = start.replace(f":{default}\n", f":{ours}\n")
    running.wait_for(re.escape(start))


def test_both_ports_take_spans_for_the_same_trace(running):
    number = next(numbers)
    running.add(span("by gRPC", trace=number, id=1))
    body = request(span("by HTTP", trace=number, id=2, parent=1)).SerializeToString()
    headers = {"Content-Type": "application/x-protobuf"}
    assert requests.post(f"http://127.0.0.1:{running.http}/v1/traces", body, headers=headers, timeout=20).ok
    running.wait_for(rf"trace {trace_id(number)}  2 spans")


@pytest.mark.parametrize(("origin", "expected"), [(PAGE, 200), ("http://localhost:3001", 403)])
def test_pages_may_send_when_their_origin_is_named(running, origin, expected):
    headers = {"Content-Type": "application/json", "Origin": origin}
    answer = requests.post(f"http://127.0.0.1:{running.http}/v1/traces", "{}", headers=headers, timeout=20)
    assert answer.status_code == expected
    if expected == 403:
        running.wait_for(rf"Pages of {origin} wanted to send spans: .* VIEWER_CORS_ORIGINS=.*,{origin}\n")


def test_pages_that_may_send_may_not_read(running):
    answer = requests.get(f"http://127.0.0.1:{running.web}/api/v3/services", headers={"Origin": PAGE}, timeout=20)
    assert answer.status_code == 403
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_it_shows_the_files_it_is_given_at_once_whole_or_not(viewer, tmp_path):
    for number, name in enumerate(("one", "two"), 1):
        ids = {"traceId": trace_id(number), "spanId": "1" * 16, "parentSpanId": "2" * 16}
        saved = {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": f"trace {name}"} | ids]}]}]}
        (tmp_path / name).write_text(json.dumps(saved))
    process = viewer(tmp_path / "one", tmp_path / "two")
    process.add(span("whole", trace=3))  # is shown a second after it came, and what was sent and is not whole after ten
    process.wait_for("(?s)trace one.*trace two.*whole")


def test_of_a_file_whose_last_line_is_cut_the_rest_is_shown_and_one_line_names_that_one(viewer):
    file = ROOT / "tests" / "viewer" / "cases" / "cut-last-line.jsonl"
    process = viewer(file)
    process.wait_for(rf"{file}: line 2: .*\. The rest is shown\n\n(?s:.)*  whole ")


@pytest.mark.parametrize("name", ["bad.json", "missing.json", "."])
def test_a_file_that_cannot_be_shown_ends_the_start(viewer, tmp_path, name):
    (tmp_path / "bad.json").write_text("once upon a time")
    process = viewer(tmp_path / name)
    assert process.wait() == 1
    (line,) = process.output.splitlines()
    assert line.startswith(f"viewer: cannot show {tmp_path / name}: ")


def test_the_help_says_what_a_file_is(viewer):
    process = viewer("--help")
    assert process.wait() == 0
    assert "python -m viewer [-h] [FILE ...]" in process.out
    assert "OTLP JSON" in process.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order_with_the_last_trace_shown(viewer, number):
    process = viewer()
    process.wait_for(READY)
    process.add(span("the last one"), span("part of another", trace=2, parent=9))
    with requests.Session() as session:  # an open page keeps its connection
        assert session.get(f"http://127.0.0.1:{process.web}/api/v3/services", timeout=20).ok
        assert process.stop(number) == 0
    assert "the last one" in process.out
    assert "part of another" in process.out
    assert process.err == ""


def test_senders_that_are_still_connected_do_not_keep_it(viewer):
    process = viewer()
    process.wait_for(READY)
    stalled = threading.Event()

    def stall():
        stalled.wait()
        yield b""

    with grpc.insecure_channel(f"127.0.0.1:{process.otlp}") as channel:
        call = channel.stream_unary(EXPORT).future(stall())
        process.add(span("shown"))
        assert process.stop() == 0
        stalled.set()
        call.exception()
    assert "shown" in process.out
    assert process.err == ""


@pytest.mark.parametrize("name", ["VIEWER_OTLP_PORT", "VIEWER_HTTP_PORT", "VIEWER_WEB_PORT"])
def test_a_taken_port_is_one_line_that_names_the_variable(running, viewer, name):
    taken = {"VIEWER_OTLP_PORT": running.otlp, "VIEWER_HTTP_PORT": running.http, "VIEWER_WEB_PORT": running.web}[name]
    second = viewer(**{name: taken})
    assert second.wait() == 1
    assert second.out == ""
    (line,) = second.err.splitlines()
    assert "Address already in use" in line
    assert str(taken) in line
    assert name in line
    assert running.returncode is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VIEWER_HTTP_PORT", "abc"),
        ("VIEWER_CORS_ORIGINS", "http://localhost:3000/"),
        ("VIEWER_MAX_TRACES", "0"),
        ("VIEWER_HOST", "no such host"),
    ],
)
def test_a_bad_setting_is_one_line_that_names_it(viewer, name, value):
    process = viewer(**{name: value})
    assert process.wait() == 1
    (line,) = process.output.splitlines()
    assert name in line


@pytest.mark.parametrize(
    ("text", "value"),
    [("", 4317), (" ", 4317), ("0", 0), ("65535", 65535), ("65536", None), ("-1", None), ("1.5", None)],
)
def test_a_setting_is_a_number_in_its_range_or_the_default(monkeypatch, text, value):
    monkeypatch.setenv("VIEWER_OTLP_PORT", text)
    if value is None:
        with pytest.raises(SystemExit, match=r"VIEWER_OTLP_PORT must be a whole number from 0 to 65,535, not "):
            setting("VIEWER_OTLP_PORT", 4317, 0, 65_535)
    else:
        assert setting("VIEWER_OTLP_PORT", 4317, 0, 65_535) == value


def test_the_bounds_can_be_set(viewer):
    process = viewer(VIEWER_MAX_TRACES=3, VIEWER_MAX_SPANS=2)
    process.wait_for(READY)
    assert process.add(*(span() for _ in range(5))).partial_success.rejected_spans == 3
    process.wait_for("cut: 3 spans")


def test_it_listens_where_localhost_is_an_address_of_ipv6_alone(tmp_path):
    own_names = ("unshare", "--map-root-user", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"')
    (tmp_path / "hosts").write_text("::1 localhost\n")
    names = (*own_names, tmp_path / "hosts")
    probe = "import socket; {each[4][0] for each in socket.getaddrinfo('localhost', 0)} == {'::1'} or exit(1)"
    try:
        subprocess.run([*names, sys.executable, "-c", probe], check=True, capture_output=True)
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("names of its own, or IPv6, cannot be had here")
    ports = {"VIEWER_OTLP_PORT": free_port(), "VIEWER_HTTP_PORT": free_port(), "VIEWER_WEB_PORT": free_port()}
    settings = clean_environment(VIEWER_HOST="localhost", **ports)
    with Process(*names, sys.executable, "-m", "viewer", env=settings) as process:
        process.wait_for("shows the traces on http://localhost:")
        wait_until(lambda: all(answers(port, "::1") for port in ports.values()), "all three listen")
        assert process.err == ""


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("example.org", False),
    ],
)
def test_it_knows_what_stays_on_this_machine(host, expected):
    assert is_loopback(host) == expected


def test_a_terminal_gets_colours_and_its_own_width(viewer):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 66, 0, 0))
    process = viewer(stdout=slave, TERM="xterm-256color")
    os.close(slave)
    process.add(span("root", id=1, failed=True, status={"code": 2, "message": "broken"}), span("child", parent=1))
    output = bytearray()
    wait_until(lambda: output.extend(os.read(master, 10_000)) or b"child" in output, "the picture")
    process.stop()
    os.close(master)
    text = output.decode(errors="replace")
    assert "\x1b[31m✗" in text
    (root,) = (line for line in text.splitlines() if "root" in line)
    assert len(re.sub(r"\x1b\[[\d;]*m", "", root)) == 66


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the most memory it ever had")
def test_full_batches_of_eight_senders_at_once_take_less_than_500_mb(viewer):
    process = viewer()
    process.wait_for(READY)
    spans = (span(attributes=[attribute("text", "x" * 250)]) for _ in range(10_000))
    batch, of_trace = request(*spans).SerializeToString(), bytes.fromhex(trace_id(1))

    def sender(number):
        with grpc.insecure_channel(f"127.0.0.1:{process.otlp}") as channel:
            for trace in range(100 * number, 100 * number + 4):  # in all more than it keeps
                channel.unary_unary(EXPORT)(batch.replace(of_trace, bytes.fromhex(trace_id(trace))), timeout=60)

    with ThreadPoolExecutor(8) as senders:
        list(senders.map(sender, range(1, 9)))
    most = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())[1]
    assert int(most) < 500_000
    process.wait_for("traces? not drawn|10,000 spans")
    assert process.stop() == 0
