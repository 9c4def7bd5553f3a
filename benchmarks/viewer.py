"""What the viewer takes, keeps and costs: `python benchmarks/viewer.py [OTHER] [--rounds N]`, half a minute a round.

With the folder of another clone, its viewer is measured in turn with this one. Each figure is the median of the rounds.
Linux only, for the memory figures; needs what the tests need, with a Chromium for the page.
"""

import argparse
import base64
import contextlib
import http.client
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.parse
from collections import defaultdict
from concurrent import futures
from pathlib import Path

import grpc
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
BATCH = 512  # spans, as SDKs send them
FULL = 7_500  # spans of a batch of nearly 4 MB, which is all that gRPC takes
ATTRIBUTES = {
    "http.request.method": "GET",
    "http.route": "/ping",
    "url.path": "/ping",
    "server.address": "localhost",
    "user_agent.original": "python-requests/2.34.2",
    "network.protocol.version": "1.1",
}
LIST = "/api/v3/trace-summaries?query.searchDepth={}"  # what an open page asks for
NOTHING = urllib.parse.quote('{"http.route":"/nothing"}')  # every span has the attribute, none with this value
SEARCH = f"{LIST.format(100)}&query.attributes={NOTHING}"
Request = trace_service_pb2.ExportTraceServiceRequest


def batches(count, spans_per_trace, size=BATCH, text=""):
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
            for key, value in (ATTRIBUTES | ({"text": text} if text else {})).items():
                span.attributes.add(key=key).value.string_value = value
            parent = span.span_id
        made.append(request.SerializeToString())
    return made


def in_json(request):
    """Return a request as OTLP JSON."""
    fields = MessageToDict(Request.FromString(request), use_integers_for_enums=True)
    for span in fields["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for name in {"traceId", "spanId", "parentSpanId"} & span.keys():
            span[name] = base64.b64decode(span[name]).hex()
    return json.dumps(fields).encode()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Viewer:
    """The viewer of a folder as a process, its picture in the terminal thrown away."""

    def __init__(self, folder):
        self.otlp, self.http, self.web = free_port(), free_port(), free_port()
        ports = {"VIEWER_OTLP_PORT": self.otlp, "VIEWER_HTTP_PORT": self.http, "VIEWER_WEB_PORT": self.web}
        env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"} | {name: str(port) for name, port in ports.items()}
        began = time.monotonic()
        self.process = subprocess.Popen(
            (sys.executable, "-m", "viewer"), cwd=folder, env=env, stdout=subprocess.DEVNULL
        )
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.web)).close()
                break
            time.sleep(0.002)
        self.seconds = time.monotonic() - began

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def memory(self, what="VmRSS"):
        """Return its memory in MB; "VmHWM" is the most that it ever had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition(f"{what}:")[2].split()[0]) / 1000

    def send(self, requests, at_once=2):
        """Send requests by gRPC over one connection, some under way at a time, and return the seconds."""
        with grpc.insecure_channel(f"127.0.0.1:{self.otlp}") as channel:
            export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export").future
            export(b"", wait_for_ready=True).result()
            began = time.monotonic()
            under_way = []
            for request in requests:
                under_way.append(export(request))
                if len(under_way) == at_once:
                    under_way.pop(0).result()
            for each in under_way:
                each.result()
            return time.monotonic() - began

    def post(self, requests, mimetype):
        """Send requests by OTLP/HTTP over one connection, one after the other, and return the seconds."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.http)) as connection:
            began = time.monotonic()
            for request in requests:
                connection.request("POST", "/v1/traces", request, {"Content-Type": mimetype})
                answer = connection.getresponse()
                if answer.read() not in (b"", b"{}"):
                    raise ValueError(answer.status)
            return time.monotonic() - began

    def get(self, path):
        """Read an answer of the page's API, and return the milliseconds."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.web)) as connection:
            began = time.monotonic()
            connection.request("GET", path)
            connection.getresponse().read()
            return 1000 * (time.monotonic() - began)


def ingest(viewer, browser):
    """Yield how fast it starts, and takes spans."""
    yield "start, s", viewer.seconds
    time.sleep(1)
    yield "memory, idle, MB", viewer.memory()
    made = batches(300, spans_per_trace=8)
    yield "spans a second over gRPC", len(made) * BATCH / viewer.send(made)
    yield "spans a second over HTTP", len(made) * BATCH / viewer.post(made, "application/x-protobuf")
    made = [in_json(each) for each in made[:20]]
    yield "spans a second over HTTP, in JSON", len(made) * BATCH / viewer.post(made, "application/json")


def full(viewer, browser):
    """Yield what it takes to keep and to read 1,000 traces with 200,000 spans."""
    viewer.send(batches(400, spans_per_trace=200))
    yield "memory with 200,000 spans, MB", viewer.memory()
    yield "list of 100 traces, ms", min(viewer.get(LIST.format(100)) for _ in range(5))
    yield "list of 1,000 traces, ms", min(viewer.get(LIST.format(1_000)) for _ in range(5))
    yield "the first search for an attribute, ms", viewer.get(SEARCH)
    yield "the same again, ms", viewer.get(SEARCH)


def big(viewer, browser):
    """Yield how fast a trace of 10,240 spans is shown."""
    made = batches(20, spans_per_trace=10**9)
    viewer.send(made)
    trace_id = Request.FromString(made[0]).resource_spans[0].scope_spans[0].spans[0].trace_id.hex()
    yield "a trace of 10,240 spans by the API, ms", min(viewer.get(f"/api/v3/traces/{trace_id}") for _ in range(5))
    page = browser.new_page()
    began = time.monotonic()
    page.goto(f"http://127.0.0.1:{viewer.web}/trace/{trace_id}")
    page.locator("#grid .title").first.wait_for()
    yield "the same on screen, s", time.monotonic() - began
    page.close()


def crowd(viewer, browser):
    """Yield the most memory it ever takes."""
    made = [batches(6, spans_per_trace=1_000, size=FULL, text="x" * 250) for _ in range(8)]  # of 360,000 spans
    with futures.ThreadPoolExecutor(8) as senders:
        list(senders.map(lambda requests: viewer.send(requests, at_once=1), made))
    yield "most memory, eight senders of full batches, MB", viewer.memory("VmHWM")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", nargs="?", type=Path, help="the folder of another clone")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    folders = [ROOT, arguments.other.resolve()] if arguments.other else [ROOT]
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-quic"])
        for part in (ingest, full, big, crowd):
            found = defaultdict(lambda: defaultdict(list))  # what -> folder -> figures
            for _ in range(arguments.rounds):
                for folder in folders:
                    with Viewer(folder) as viewer:
                        for what, figure in part(viewer, browser):
                            found[what][folder].append(figure)
            for what, figures in found.items():
                medians = [statistics.median(figures[folder]) for folder in folders]
                shown = [f"{median:,.0f}" if median >= 10 else f"{median:.2f}" for median in medians]
                print(f"{what:<50}" + "".join(f"{each:>12}" for each in shown), flush=True)
        browser.close()


if __name__ == "__main__":
    main()
