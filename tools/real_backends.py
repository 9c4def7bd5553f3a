"""Run the trace of a ping through a real Collector and a real Jaeger: `python tools/real_backends.py FOLDER`.

Both are built into FOLDER, once, by the Go module proxy; that takes Go 1.25 or newer, and some minutes. The name of one
after FOLDER (`collector`, `jaeger`) leaves out the other.

The spans pass through a sink, which keeps them and hands them on. What comes out at the other end is compared with it:
ids, parents, names, kinds, statuses, attributes, events, resources, scopes and times. With the tail sampling of
collector.yaml, all broken pings must come, and of the healthy ones none when none is asked for. It needs the set-up
of the README, and listens on loopback alone.
"""

import argparse
import base64
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import grpc
import requests
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as services

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from tests.sink import Sink  # noqa: E402
from tests.support import MongoDB, Process, Redis, clean_environment, free_port, wait_until  # noqa: E402

COLLECTOR = "v0.155.0"
JAEGER = "v1.76.0"  # the module's name for 2.13.0: the proxy knows no v2 of a module without /v2 in its path

BUILDER = f"""
dist: {{name: otelcol, output_path: build}}
receivers:
  - gomod: go.opentelemetry.io/collector/receiver/otlpreceiver {COLLECTOR}
processors:
  - gomod: go.opentelemetry.io/collector/processor/memorylimiterprocessor {COLLECTOR}
  - gomod: github.com/open-telemetry/opentelemetry-collector-contrib/processor/tailsamplingprocessor {COLLECTOR}
exporters:
  - gomod: go.opentelemetry.io/collector/exporter/otlpexporter {COLLECTOR}
"""

JAEGER_CONFIG = """
extensions:
  jaeger_storage: {backends: {memory: {memory: {max_traces: 1000}}}}
  jaeger_query:
    storage: {traces: memory}
    http: {endpoint: "127.0.0.1:${env:WEB_PORT}"}
    grpc: {endpoint: "127.0.0.1:${env:QUERY_PORT}"}
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:${env:OTLP_PORT}"}}}}
exporters: {jaeger_storage_exporter: {trace_storage: memory}}
service:
  extensions: [jaeger_storage, jaeger_query]
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], exporters: [jaeger_storage_exporter]}}
"""


class HandingOn(Sink):
    """A sink that keeps what comes, and hands it on to the backend on `target` (int, a port)."""

    def __init__(self, target):
        self.backend = services.TraceServiceStub(grpc.insecure_channel(f"127.0.0.1:{target}"))
        super().__init__()

    def Export(self, request, context):
        self.backend.Export(request, timeout=10)
        return super().Export(request, context)


def build(folder, name, *commands):
    """Run `commands` in `folder / name` unless what they make is there."""
    program = folder / name / name
    if not program.is_file():
        program.parent.mkdir(parents=True, exist_ok=True)
        print(f"Building {program}", flush=True)
        for command in commands:
            subprocess.run(command, cwd=program.parent, check=True)
    return program


def build_collector(folder):
    """Return a Collector with just the components that collector.yaml names."""
    (folder / "otelcol").mkdir(parents=True, exist_ok=True)
    (folder / "otelcol" / "builder.yaml").write_text(BUILDER)
    builder = f"go.opentelemetry.io/collector/cmd/builder@{COLLECTOR}"
    run = ["go", "run", builder, "--config", "builder.yaml"]
    return build(folder, "otelcol", run, ["cp", "build/otelcol", "otelcol"])


def build_jaeger(folder):
    """Return a Jaeger without its page, which is built by other tools."""
    package = "github.com/jaegertracing/jaeger/cmd/jaeger"
    get = ["go", "get", "-tool", f"{package}@{JAEGER}"]
    (folder / "jaeger").mkdir(parents=True, exist_ok=True)
    (folder / "jaeger" / "go.mod").unlink(missing_ok=True)
    return build(folder, "jaeger", ["go", "mod", "init", "backends"], get, ["go", "build", "-o", "jaeger", package])


def flat(*requests):
    """Return {span id: (resource, scope, span)} of ExportTraceServiceRequests; attributes, a set, in one order."""
    spans = {}
    for request in requests:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    for part in (resource.resource, scope.scope, span, *span.events, *span.links):
                        part.attributes.sort(key=lambda pair: pair.key)
                    spans[span.span_id.hex()] = (resource.resource, scope.scope, span)
    return spans


def from_json(answer):
    """Return the request that an answer of /api/v3/traces stands for: OTLP JSON, whose ids are hexadecimal."""

    def ids(value):
        if isinstance(value, list):
            return [ids(each) for each in value]
        if isinstance(value, dict):
            return {k: to_base64(v) if k in ("traceId", "spanId", "parentSpanId") else ids(v) for k, v in value.items()}
        return value

    return ParseDict(ids(answer["result"]), messages.ExportTraceServiceRequest())


def to_base64(hexadecimal):
    """Return an id as protobuf's own JSON has it."""
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


class Programs:
    """The two databases and a server whose spans go to `sink`; `ping()` is one ping of the client."""

    def __init__(self, stack, sink):
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        self.redis = stack.enter_context(Redis(free_port(), folder))
        mongodb = stack.enter_context(MongoDB(free_port(), folder))
        self.sends = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint, "OTEL_BSP_SCHEDULE_DELAY": 100}
        databases = {"REDIS_URL": self.redis.url, "MONGODB_URI": mongodb.uri}
        port = free_port()
        environment = clean_environment(OTEL_SERVICE_NAME="server", SERVER_PORT=port, **databases, **self.sends)
        stack.enter_context(Process.python("server.py", env=environment)).wait_for_port(port)
        self.url = f"http://localhost:{port}/ping"

    def ping(self, times=1):
        """Ping that often; return whether all went well."""
        environment = clean_environment(OTEL_SERVICE_NAME="client", DESTINATION_URL=self.url, **self.sends)
        with Process.python("client.py", "--count", times, "--interval", 0, env=environment) as client:
            return client.wait(60) == 0


def compare(name, sent, got):
    """Say how many spans came out as they went in; end the program if one did not."""
    differing = [span_id for span_id in sent if got.get(span_id) != sent[span_id]]
    if differing or set(got) - set(sent):
        sys.exit(f"{name}: of {len(sent)} spans {len(differing)} came out differently, {len(got)} came out in all")
    print(f"{name}: {len(sent)} spans came out as they went in")


def check_collector(program):
    """Everything is kept: a healthy ping comes out as it went in. Nothing but errors: only the broken ones come."""
    for percent in (100, 0):
        with ExitStack() as stack:
            out, port = Sink(), free_port()
            stack.callback(out.stop)
            listen = {"COLLECTOR_LISTEN": f"127.0.0.1:{port}", "BACKEND_ENDPOINT": out.endpoint}
            environment = clean_environment(**listen, DECISION_WAIT="2s", KEEP_PERCENT=percent)
            command = [program, "--config", ROOT / "collector.yaml"]
            collector = stack.enter_context(Process(*command, env=environment)).wait_for_port(port)
            sink = HandingOn(port)
            stack.callback(sink.stop)
            programs = Programs(stack, sink)
            assert programs.ping(5)
            sink.wait_for(30)
            if percent:
                out.wait_for(30)
                compare(f"Collector {COLLECTOR}", flat(*sink.requests), flat(*out.requests))
                continue
            programs.redis.kill()
            assert not programs.ping(3)
            broken = {span.trace_id for span in sink.wait_for(42) if span.status == "ERROR"}
            out.wait_for(12)
            assert collector.stop() == 0  # it decides about all that it still has
            sent = {key: parts for key, parts in flat(*sink.requests).items() if parts[2].trace_id.hex() in broken}
            compare(f"Collector {COLLECTOR}, errors alone", sent, flat(*out.requests))


def check_jaeger(program):
    """A ping is read back from Jaeger's API as it went in."""
    with ExitStack() as stack:
        config = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "jaeger.yaml"
        config.write_text(JAEGER_CONFIG)
        ports = {name: free_port() for name in ("OTLP_PORT", "WEB_PORT", "QUERY_PORT")}
        jaeger = stack.enter_context(Process(program, "--config", config, env=clean_environment(**ports)))
        jaeger.wait_for_port(ports["OTLP_PORT"]).wait_for_port(ports["WEB_PORT"])
        sink = HandingOn(ports["OTLP_PORT"])
        stack.callback(sink.stop)
        assert Programs(stack, sink).ping()
        [trace_id] = {span.trace_id for span in sink.wait_for(6)}
        url = f"http://127.0.0.1:{ports['WEB_PORT']}/api/v3/traces/{trace_id}"

        def read():
            answer = requests.get(url, timeout=10)
            return len(spans := flat(from_json(answer.json())) if answer.ok else {}) == 6 and spans

        compare(f"Jaeger {JAEGER}", flat(*sink.requests), wait_until(read, "six spans from Jaeger"))


def main():
    """Build what is asked for, run the trace through it, and say what came of it."""
    parser = argparse.ArgumentParser(description="Run the trace of a ping through a real Collector and a real Jaeger.")
    parser.add_argument("folder", type=Path, help="where they are built, once")
    parser.add_argument("backend", nargs="?", choices=["collector", "jaeger"], help="that one alone")
    options = parser.parse_args()
    folder = options.folder.resolve()
    if options.backend != "jaeger":
        check_collector(build_collector(folder))
    if options.backend != "collector":
        check_jaeger(build_jaeger(folder))


if __name__ == "__main__":
    main()
