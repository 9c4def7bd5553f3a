"""A cheap OTLP/gRPC backend in a process of its own: it takes what comes, and reads it only when asked what came.

As a program it listens on the port that its argument names, and answers each line of stdin with what has come since
the last one, in JSON. A second argument is the seconds that it takes for each export.
"""

import collections
import json
import subprocess
import sys
import time
from concurrent import futures

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages

from tests.support import ROOT, answers, clean_environment, free_port, wait_until

SERVICE, METHOD = "opentelemetry.proto.collector.trace.v1.TraceService", "Export"


class Sink:
    """Start the backend; a context manager."""

    def __init__(self, takes: float = 0):
        self.takes = takes  # seconds for an export
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(self.port), str(self.takes)],
            cwd=ROOT,
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: answers(self.port), "the sink listens")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def take(self):
        """Return what has come since the last call: a dict of spans by service, of exports and of bytes (all int)."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def main():
    exports, takes = [], float(sys.argv[2])

    def export(request, context):
        exports.append(request)
        time.sleep(takes)
        return messages.ExportTraceServiceResponse().SerializeToString()

    server = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
    handlers = {METHOD: grpc.unary_unary_rpc_method_handler(export)}  # bytes in, bytes out
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    for _ in sys.stdin:
        came, exports[:] = exports[:], []
        spans, sizes, counts = collections.Counter(), collections.Counter(), collections.Counter()
        for export in came:
            for resource_spans in messages.ExportTraceServiceRequest.FromString(export).resource_spans:
                names = {pair.key: pair.value.string_value for pair in resource_spans.resource.attributes}
                service = names["service.name"]
                spans[service] += sum(len(scope_spans.spans) for scope_spans in resource_spans.scope_spans)
                sizes[service] += len(export)
                counts[service] += 1
        print(json.dumps({"spans": spans, "bytes": sizes, "exports": counts}), flush=True)


if __name__ == "__main__":
    main()
