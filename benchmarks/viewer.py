"""What the viewer takes, keeps and costs: `python benchmarks/viewer.py`, in about two minutes.

With `--soak MINUTES --rate SPANS` it sends that many spans a second for so long, and prints the memory over time.
Linux only, for the memory figures.
"""

import argparse
import base64
import contextlib
import http.client
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent import futures
from pathlib import Path

import grpc
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from viewer.store import Store  # noqa: E402
from viewer.web import trace_json  # noqa: E402

BATCH = 512
ATTRIBUTES = {
    "http.request.method": "GET",
    "http.route": "/ping",
    "url.path": "/ping",
    "server.address": "localhost",
    "user_agent.original": "python-requests/2.34.2",
    "network.protocol.version": "1.1",
}
LIST = "/api/v3/trace-summaries?query.searchDepth=100"  # what an open page asks for
SEARCH = LIST + "&query.attributes=%7B%22http.route%22:%22/nothing%22%7D"  # every span has it, none with this value
Request = trace_service_pb2.ExportTraceServiceRequest


def batches(count, spans_per_trace, text="", size=BATCH):
    """Return `count` requests as bytes, each of `size` spans with ids of their own; `text` goes into every span."""
    made, trace_id = [], b""
    for batch in range(count):
        request = Request()
        resource_spans = request.resource_spans.add()
        resource_spans.resource.attributes.add(key="service.name").value.string_value = f"service-{batch % 5}"
        spans = resource_spans.scope_spans.add().spans
        for number in range(batch * size, (batch + 1) * size):
            if number % spans_per_trace == 0:
                trace_id, parent = random.randbytes(16), b""
            span = spans.add(
                trace_id=trace_id,
                span_id=random.randbytes(8),
                parent_span_id=parent,
                name=f"operation {number % 20}",
                kind=2,
                start_time_unix_nano=time.time_ns(),
                end_time_unix_nano=time.time_ns() + 1_000_000,
            )
            for key, value in ATTRIBUTES.items():
                span.attributes.add(key=key).value.string_value = value
            if text:
                span.attributes.add(key="text").value.string_value = text
            parent = span.span_id
        made.append(request.SerializeToString())
    return made


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def process(*command, port, **settings):
    """Start a program, wait until it listens on `port`, and yield its pid and the seconds that took."""
    began = time.monotonic()
    running = subprocess.Popen(command, cwd=ROOT, env=os.environ | settings, stdout=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.002)
        yield running.pid, time.monotonic() - began
    finally:
        running.terminate()
        running.wait()


@contextlib.contextmanager
def viewer(http_port=0):
    """Start a viewer, and yield its pid, its seconds to start, and two of its ports."""
    otlp_port, web_port = free_port(), free_port()
    settings = {"VIEWER_OTLP_PORT": otlp_port, "VIEWER_HTTP_PORT": http_port, "VIEWER_WEB_PORT": web_port}
    settings = {name: str(port) for name, port in settings.items()}
    with process(sys.executable, "-m", "viewer", port=web_port, **settings) as (pid, seconds):
        yield pid, seconds, otlp_port, web_port


def sink(port):
    """Take spans and forget them: as fast as a receiver in Python can be."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    servicer = trace_service_pb2_grpc.TraceServiceServicer()
    servicer.Export = lambda request, context: trace_service_pb2.ExportTraceServiceResponse()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(servicer, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


@contextlib.contextmanager
def sender(port):
    """Yield a function that sends a request's bytes over one connection and returns a future."""
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.max_send_message_length", -1)]) as channel:
        yield channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export").future


def speed(port, requests):
    """Send requests over one connection, two under way at a time; return spans a second."""
    with sender(port) as send:
        send(b"", wait_for_ready=True).result()
        began = time.monotonic()
        under_way = []
        for request in requests:
            under_way.append(send(request))
            if len(under_way) == 2:
                under_way.pop(0).result()
        for each in under_way:
            each.result()
        return len(requests) * BATCH / (time.monotonic() - began)


def speed_over_http(port, requests, mimetype):
    """Send requests by OTLP/HTTP over one connection, one after the other; return spans a second."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        began = time.monotonic()
        for request in requests:
            connection.request("POST", "/v1/traces", request, {"Content-Type": mimetype})
            answer = connection.getresponse()
            if answer.read() not in (b"", b"{}"):
                raise ValueError(answer.status)
        return len(requests) * BATCH / (time.monotonic() - began)


def in_json(request):
    """Return a request as OTLP JSON."""
    fields = MessageToDict(Request.FromString(request), use_integers_for_enums=True)
    for span in fields["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for name in {"traceId", "spanId", "parentSpanId"} & span.keys():
            span[name] = base64.b64decode(span[name]).hex()
    return json.dumps(fields).encode()


def memory(pid, what="VmRSS"):
    """Return a process's memory in MB; "VmHWM" is the most that it ever had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) / 1000
    raise ValueError(what)


def fetch(port, path):
    """Read a page of the viewer; return the milliseconds that took."""
    began = time.monotonic()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as response:
        response.read()
    return (time.monotonic() - began) * 1000


@contextlib.contextmanager
def polling(port):
    """Ask for the list twice a second, as an open page does; yield the milliseconds of each answer."""
    done, answers = threading.Event(), []

    def poll():
        while not done.wait(0.5):
            answers.append(fetch(port, LIST))

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        yield answers
    finally:
        done.set()
        thread.join()


def best_of(times, function, *arguments):
    """Return the shortest time that a call took, in milliseconds."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        function(*arguments)
        taken.append((time.perf_counter() - began) * 1000)
    return min(taken)


def show(what, figure, wanted=""):
    print(f"{what:<60}{figure:>16}   {wanted}", flush=True)


def measure():
    """Print every figure."""
    port = free_port()
    made = batches(200, spans_per_trace=8)
    sink = process(sys.executable, __file__, "--sink", str(port), port=port)
    with sink, viewer() as (pid, seconds, otlp_port, web_port):
        show("start-up", f"{seconds:.2f} s", "under 1 s")
        time.sleep(2)
        show("memory, idle", f"{memory(pid):.0f} MB", "under 80 MB")
        with polling(web_port) as answers:  # in turn: the machine is not always as fast
            rounds = [(speed(otlp_port, made), speed(port, made)) for _ in range(9)]
        taken, bare = (statistics.median(speeds) for speeds in zip(*rounds, strict=True))
        show("spans taken, while a page polls, median of 9", f"{taken:,.0f} /s", "at least 100,000 /s")
        show("a bare sink, which only parses them", f"{bare:,.0f} /s", "390,000 /s when that was asked for")
        show("ratio", f"{statistics.median(ours / its for ours, its in rounds):.2f}")
        show("the page's list meanwhile, slowest answer", f"{max(answers, default=0):.0f} ms")

    http_port = free_port()
    with viewer(http_port):
        taken = speed_over_http(http_port, made, "application/x-protobuf")
        show("spans taken over HTTP, one batch after the other", f"{taken:,.0f} /s")
        taken = speed_over_http(http_port, [in_json(each) for each in made[:20]], "application/json")
        show("the same in JSON", f"{taken:,.0f} /s")

    full = batches(400, spans_per_trace=200)
    with viewer() as (pid, _, otlp_port, web_port):
        speed(otlp_port, full)
        show("memory, 1,000 traces with 200,000 spans", f"{memory(pid):.0f} MB", "under 500 MB")
        show("list of 100 traces over HTTP then", f"{min(fetch(web_port, LIST) for _ in range(5)):.0f} ms", "50 ms")
        searched = [fetch(web_port, SEARCH) for _ in range(2)]
        show(
            "search of 200,000 spans for an attribute; and again", " ms; ".join(f"{ms:.0f}" for ms in searched) + " ms"
        )
        speed(otlp_port, batches(400, spans_per_trace=200))
        show("memory, once as many have left again", f"{memory(pid):.0f} MB", "under 500 MB")
        for size in (1_000, 8_000, 30_000):
            for _ in range(600_000_000 // size // BATCH // 20):
                speed(otlp_port, batches(20, spans_per_trace=20, text="x" * size))
            show(f"memory, after 600 MB in spans of {size:,} bytes", f"{memory(pid):.0f} MB", "under 500 MB")
        with futures.ThreadPoolExecutor(8) as senders:
            list(senders.map(lambda _: speed(otlp_port, batches(5, 1, "x" * 15_000_000, size=1)), range(8)))
        show("memory, after spans of 15 MB from eight senders at once", f"{memory(pid):.0f} MB", "under 500 MB")
        hostile = batches(1, 1, "😀" + "\1" * 15_000_000, size=1)  # four times its size in Python, six in JSON
        speed(otlp_port, hostile)
        path = f"/api/v3/traces/{Request.FromString(*hostile).resource_spans[0].scope_spans[0].spans[0].trace_id.hex()}"
        with futures.ThreadPoolExecutor(6) as readers:
            list(readers.map(lambda _: fetch(web_port, path), range(6)))
        show("memory, after six read 15 MB of control characters at once", f"{memory(pid):.0f} MB", "under 500 MB")
        show("the most it ever had", f"{memory(pid, 'VmHWM'):.0f} MB", "under 500 MB")

    taken = []
    for _ in range(3):
        store = Store()
        for each in full:
            store.add(each)
        taken.append(best_of(1, store.summaries))
    show("summaries() at the bound, every trace changed", f"{min(taken):.1f} ms", "under 50 ms")
    show("summaries() at the bound, nothing changed", f"{best_of(5, store.summaries):.2f} ms")
    store, long = Store(), batches(20, spans_per_trace=10**9)
    for each in long:
        store.add(each)
    trace_id = store.summaries()[0].trace_id
    trace = store.trace(trace_id)
    show("a trace of 10,240 spans as JSON", f"{best_of(3, lambda: ''.join(trace_json([trace]))):.0f} ms")
    with viewer() as (_, _, otlp_port, web_port):
        speed(otlp_port, long)
        answers = [fetch(web_port, f"/api/v3/traces/{trace_id}") for _ in range(5)]
        show("a trace of 10,240 spans over HTTP", f"{min(answers):.0f} ms", "100 ms")


def soak(minutes, rate):
    """Send `rate` spans a second for `minutes`, while a page polls, and print the memory ten times."""
    with viewer() as (pid, _, otlp_port, web_port), sender(otlp_port) as send, polling(web_port) as answers:
        began = time.monotonic()
        sent = printed = 0
        while (passed := time.monotonic() - began) < minutes * 60:
            for each in batches(1, spans_per_trace=8):
                send(each, wait_for_ready=True).result()
            sent += BATCH
            if passed >= printed * minutes * 6:
                printed += 1
                show(f"{passed / 60:5.1f} min, {sent:,} spans", f"{memory(pid):.0f} MB")
            time.sleep(max(0, began + sent / rate - time.monotonic()))
        show(f"{minutes:5.1f} min, {sent:,} spans", f"{memory(pid):.0f} MB")
        show("the most it ever had", f"{memory(pid, 'VmHWM'):.0f} MB")
        show("the page's list meanwhile, slowest answer", f"{max(answers):.0f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--soak", type=float, metavar="MINUTES")
    parser.add_argument("--rate", type=float, default=5_000, metavar="SPANS", help="a second, with --soak (5,000)")
    parser.add_argument("--sink", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.sink:
        sink(arguments.sink)
    elif arguments.soak:
        soak(arguments.soak, arguments.rate)
    else:
        measure()


if __name__ == "__main__":
    main()
