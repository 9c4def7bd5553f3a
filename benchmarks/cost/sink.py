"""A cheap OTLP/gRPC backend in a process of its own, so that it takes no time from the program that pings.

As a program it listens on the port that its argument names, and answers each line of stdin with how many spans have
come so far, by service, in JSON.
"""

import collections
import json
import subprocess
import sys
from concurrent import futures

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tests.support import ROOT, answers, clean_environment, free_port, wait_until


class Sink:
    """Start the backend; a context manager."""

    def __init__(self):
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(self.port)],
            cwd=ROOT,
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: answers(self.port), "the sink listens")
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.communicate()

    def spans(self, service: str) -> int:
        """Return how many spans of a service have come so far."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline()).get(service, 0)


class Counter(trace_service_pb2_grpc.TraceServiceServicer):
    """Counts the spans by service."""

    def __init__(self):
        self.spans = collections.Counter()

    def Export(self, request, context):
        for resource_spans in request.resource_spans:
            names = {pair.key: pair.value.string_value for pair in resource_spans.resource.attributes}
            self.spans[names["service.name"]] += sum(len(each.spans) for each in resource_spans.scope_spans)
        return trace_service_pb2.ExportTraceServiceResponse()


def main():
    counter = Counter()
    server = grpc.server(futures.ThreadPoolExecutor(1), options=[("grpc.so_reuseport", 0)])
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(counter, server)
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    for _ in sys.stdin:
        print(json.dumps(counter.spans), flush=True)


if __name__ == "__main__":
    main()
