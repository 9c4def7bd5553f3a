"""Load and time, for server.py: `python benchmarks/load.py [traces|drops|soak|window ...] [--pings N]`.

traces: 20,000 pings over 50 connections, one gunicorn worker, 8 threads; is every ping a whole trace?
drops:  the same under a slow backend; from how many pings a second on are spans dropped, with which OTEL_BSP_*?
soak:   50,000 pings one after another; do memory, threads and open files stay what they were?
window: for how long may the backend be away before a span is lost, and what does a longer queue cost?

Without a name all four run, which takes half an hour on two cores; `--pings 1000` is a short form. Linux only. It
needs what the tests need, listens on loopback alone, and leaves nothing behind. Figures are of one run, on one machine.
"""

import argparse
import contextlib
import http.client
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from concurrent import futures
from pathlib import Path

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from tests.support import MongoDB, Process, Redis, clean_environment, free_port, wait_until  # noqa: E402

SPANS = {"/ping", "redis_integration", "server redis operation", "pymongo_integration", "server pymongo operation"}
SERVICE, METHOD = "opentelemetry.proto.collector.trace.v1.TraceService", "Export"
REASONS = "Queue full, dropping Span", "Failed to export", "Exporter already shutdown, ignoring batch"
TUNED = {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": 2048, "OTEL_BSP_MAX_QUEUE_SIZE": 8192, "OTEL_BSP_SCHEDULE_DELAY": 1000}


class Backend:
    """An OTLP/gRPC backend that takes `seconds` (float) for each export, and keeps the bytes for later."""

    def __init__(self, seconds=0.0, port=None):
        self.seconds, self.port, self.exports = seconds, port or free_port(), []
        self.server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        handlers = {METHOD: grpc.unary_unary_rpc_method_handler(self.export)}  # bytes in, bytes out
        self.server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
        self.server.add_insecure_port(f"127.0.0.1:{self.port}")
        self.server.start()

    def export(self, request, context):
        time.sleep(self.seconds)
        self.exports.append((time.monotonic(), request))
        return messages.ExportTraceServiceResponse().SerializeToString()

    def spans(self):
        """Yield every span that came."""
        for _, export in self.exports:
            for resource_spans in messages.ExportTraceServiceRequest.FromString(export).resource_spans:
                for scope_spans in resource_spans.scope_spans:
                    yield from scope_spans.spans

    def close(self):
        self.server.stop(grace=None).wait()


@contextlib.contextmanager
def gunicorn(backend_port, databases, **settings):
    """Start one worker with 8 threads; yield the process, with `.port` and `.worker`, the worker's process id."""
    port = free_port()
    command = ["-m", "gunicorn", "--threads", "8", "--bind", f"127.0.0.1:{port}", "--no-control-socket", "server:app"]
    environment = clean_environment(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{backend_port}", **databases)
    environment |= {name: str(value) for name, value in settings.items()}
    with Process.python(*command, env=environment) as process:
        process.wait_for_port(port)
        process.port = port
        process.worker = int(process.wait_for(r"Booting worker with pid: (\d+)")[1])
        ping(http.client.HTTPConnection("127.0.0.1", port, timeout=30))  # the first one connects to the databases
        yield process


def ping(connection):
    """Ping in a trace of its own; return the trace id (bytes) and the seconds that it took."""
    trace_id = random.randbytes(16)
    start = time.perf_counter()
    connection.request("GET", "/ping", headers={"traceparent": f"00-{trace_id.hex()}-{random.randbytes(8).hex()}-01"})
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise RuntimeError(f"the answer is {answer.status}")
    return trace_id, time.perf_counter() - start


def ping_over(connections, pings, port):
    """Ping that often over that many connections; return the trace ids, the seconds, the median and the 99th ms."""
    numbers, results = iter(range(pings)), []
    lock = threading.Lock()

    def ping_on():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while True:
            with lock:
                if next(numbers, None) is None:
                    return
            try:
                results.append(ping(connection))
            except (http.client.HTTPException, OSError):  # gunicorn closed an idle connection: use a new one
                connection.close()
                results.append(ping(connection))

    start = time.monotonic()
    threads = [threading.Thread(target=ping_on) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - start
    taken = sorted(result[1] * 1000 for result in results)
    return {result[0] for result in results}, seconds, taken[len(taken) // 2], taken[len(taken) * 99 // 100]


def account(traces, backend, process):
    """Return how many traces (set of bytes) came whole, how many spans did not come, and what the log says of those.

    The server was stopped gracefully, so what is not here was dropped. No span may have come twice.
    """
    names, seen = defaultdict(set), set()
    for span in backend.spans():
        if span.trace_id in traces:
            if span.span_id in seen:
                raise AssertionError("a span came twice")
            seen.add(span.span_id)
            names[span.trace_id].add(span.name)
    whole = sum(found == SPANS for found in names.values())
    missing = len(SPANS) * len(traces) - len(seen)
    reasons = [reason for reason in REASONS if reason in process.err]
    if bool(missing) != bool(reasons):
        raise AssertionError(f"{missing} spans are missing, and the log says {reasons}")
    return whole, missing, " and ".join(reasons)


def traces(pings, databases):
    pings = pings or 20_000
    backend = Backend()
    with gunicorn(backend.port, databases) as process:
        sent, seconds, median, late = ping_over(50, pings, process.port)
        process.stop()
        whole, missing, reasons = account(sent, backend, process)
    backend.close()
    print(f"{len(sent):,} pings over 50 connections in {seconds:.0f} s: {len(sent) / seconds:.0f} a second,")
    print(f"  median {median:.0f} ms, 99th percentile {late:.0f} ms")
    print(f"  {whole:,} whole traces of 5 server spans; {missing:,} spans dropped; none twice {reasons}")


def drops(pings, databases):
    pings = pings or 3_000
    print(f"{pings:,} pings over 50 connections; spans that arrive while the server is as busy as it can be:")
    for latency in (0, 0.5, 1, 2):
        for label, settings in (("defaults", {}), ("tuned", TUNED)):
            backend = Backend(latency)
            with gunicorn(backend.port, databases, **settings) as process:
                sent, seconds, _, _ = ping_over(50, pings, process.port)
                busy = len(backend.exports)
                quiet = 2 * latency + 6  # more than the default delay: what the queue holds has gone
                wait_until(lambda: time.monotonic() - backend.exports[-1][0] > quiet, "an empty queue", 120)  # noqa: B023
                process.stop()
                whole, missing, reasons = account(sent, backend, process)
            backend.close()
            spans = max(1, sum(1 for _ in backend.spans()))
            size = sum(len(export) for _, export in backend.exports) / spans
            at = [moment for moment, _ in backend.exports[:busy]]
            limit = 0.0
            if missing and len(at) > 2:  # it never rested, so this is all that it can send
                limit = spans / len(backend.exports) * (len(at) - 1) / (at[-1] - at[0]) / len(SPANS)
            verdict = f"{missing:,} dropped ({reasons}): from {limit:.0f} pings/s on" if missing else "none dropped"
            print(
                f"  backend takes {latency:>3} s, {label:8}: {len(sent) / seconds:4.0f} pings/s, {whole:,} whole, "
                f"{verdict} ({size:.0f} bytes a span)",
                flush=True,
            )
    print("  tuned: " + " ".join(f"{name}={value}" for name, value in TUNED.items()))


def usage(pid):
    """Return the memory in MB, the threads and the open files of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    kilobytes, threads = (int(re.search(rf"{field}:\s+(\d+)", status)[1]) for field in ("VmRSS", "Threads"))
    return kilobytes / 1024, threads, len(os.listdir(f"/proc/{pid}/fd"))


def soak(pings, databases):
    pings = pings or 50_000
    backend, port = Backend(), free_port()
    settings = databases | {"SERVER_PORT": port, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{backend.port}"}
    start, first = time.monotonic(), None
    with Process.python("server.py", env=clean_environment(**settings), stderr=subprocess.DEVNULL) as process:
        process.wait_for_port(port)
        for number in range(1, pings + 1):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            ping(connection)
            connection.close()
            backend.exports.clear()
            if number % (pings // 10) == 0:
                time.sleep(0.2)  # until the server has closed the last connection
                now = usage(process.pid)
                memory, threads, files = now
                print(f"  {number:>6,} pings, {time.monotonic() - start:4.0f} s: {memory:5.1f} MB, ", end="")
                print(f"{threads} threads, {files} open files", flush=True)
                first = first or now
        memory, threads, files = (after - before for before, after in zip(first, now, strict=True))
        print(f"  since the first tenth: {memory:+.1f} MB, {threads:+} threads, {files:+} open files")
        process.stop()
    backend.close()


def free_ports(count):
    """Return that many ports (list of int), no two alike."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


def window(_, databases):
    print("A span is ready and no backend listens; does it arrive when one does, so long after the first try?")
    for timeout, moments in (
        (10, (1, 2, 3, 4, 5, 6, 7, 8)),
        (30, (3, 6, 9, 12, 15, 18)),
        (60, (6, 12, 18, 24, 30, 36)),
    ):
        settings = {"DESTINATION_URL": f"http://127.0.0.1:{free_port()}/", "OTEL_EXPORTER_OTLP_TIMEOUT": timeout}

        def arrives(moment, port, settings=settings):
            endpoint = f"http://127.0.0.1:{port}"
            environment = clean_environment(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **settings)
            with Process.python("client.py", "--interval", 10_000, env=environment) as client:
                client.wait_for("Transient error", 60)
                time.sleep(moment)
                backend = Backend(port=port)
                with contextlib.suppress(AssertionError):
                    wait_until(lambda: backend.exports or "Failed to export" in client.err, "an end", 45)
                backend.close()
                return bool(backend.exports)

        with futures.ThreadPoolExecutor(4 * len(moments)) as pool:  # 4 of each, since the SDK and gRPC throw dice
            ports = iter(free_ports(4 * len(moments)))
            results = [(moment, [pool.submit(arrives, moment, next(ports)) for _ in range(4)]) for moment in moments]
            text = ", ".join(f"{moment} s {sum(each.result() for each in four)}/4" for moment, four in results)
        print(f"  OTEL_EXPORTER_OTLP_TIMEOUT={timeout}: {text}", flush=True)
    sizes = 2048, 16_384
    memory = []
    for size in sizes:
        more = {"OTEL_BSP_MAX_QUEUE_SIZE": size, "OTEL_BSP_SCHEDULE_DELAY": 600_000}
        with gunicorn(free_port(), databases, **more, OTEL_BSP_MAX_EXPORT_BATCH_SIZE=size) as process:
            ping_over(8, 3_000, process.port)  # 15,000 spans, of which the queue keeps what it can
            memory.append(usage(process.worker)[0])
            process.kill()
    each = (memory[1] - memory[0]) * 1024 / (15_000 - sizes[0])
    print(f"  a span in the queue costs {each:.1f} kB; the default queue of 2,048 is full after 409 pings")


def main():
    """Run the parts that the command line names."""
    parts = {"traces": traces, "drops": drops, "soak": soak, "window": window}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", help=f"one or more of {', '.join(parts)} (default: all)")
    parser.add_argument("--pings", type=int, metavar="N", help="that many pings in each part (default: each its own)")
    arguments = parser.parse_args()
    if unknown := set(arguments.part) - set(parts):
        parser.error(f"no such part: {', '.join(unknown)}")
    if arguments.pings is not None and arguments.pings < 10:
        parser.error("--pings must be at least 10")
    folder = Path(tempfile.mkdtemp())
    try:
        with Redis(free_port(), folder) as redis, MongoDB(free_port(), folder) as mongodb:
            databases = {"REDIS_URL": redis.url, "MONGODB_URI": mongodb.uri}
            for name in arguments.part or parts:
                print(f"{name}:", flush=True)
                parts[name](arguments.pings, databases)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
