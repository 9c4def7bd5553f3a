"""One server of a variant: gunicorn with one worker and 8 threads, its pings, its CPU time, and its spans."""

import contextlib
import http.client
import itertools
import os
import random
import time
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.cost.sink import Sink
from benchmarks.cost.variants import VENV_AUTO, Variant
from tests.support import Process, clean_environment, free_port, wait_until

TICKS = os.sysconf("SC_CLK_TCK")  # a second
PATIENCE = 60  # seconds for the last spans to arrive: the SDK sends every 5, and the machine may be busy


@dataclass
class Server:
    """A server that runs, and what it was asked so far."""

    variant: Variant
    service: str  # its name, which no other server has
    port: int
    process: Process
    worker: int  # process id
    numbers: Iterator[int] = field(default_factory=itertools.count)  # of the pings

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection, which `contextlib.closing` closes."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ping(self, connection: http.client.HTTPConnection) -> float:
        """Ping once, as a client does that has a trace of its own; return the seconds that it took."""
        sampled = next(self.numbers) % self.variant.every == 0
        traceparent = f"00-{random.randbytes(16).hex()}-{random.randbytes(8).hex()}-0{sampled:d}"
        began = time.perf_counter()
        connection.request("GET", "/ping", headers={"traceparent": traceparent})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{self.variant.name}: the answer is {answer.status}")
        return time.perf_counter() - began

    def is_warm(self, connection: http.client.HTTPConnection) -> bool:
        """Return whether a ping that nobody samples goes well. The first has to connect to the databases."""
        connection.request("GET", "/ping", headers={"traceparent": f"00-{1:032x}-{1:016x}-00"})
        answer = connection.getresponse()
        answer.read()
        return answer.status == 200

    def load(self, connections: int, seconds: float) -> list[float]:
        """Ping for so long over so many connections; return the seconds that each ping took."""
        end = time.perf_counter() + seconds

        def ping_on(_):
            with contextlib.closing(self.connect()) as connection:
                return [self.ping(connection) for _ in iter(lambda: time.perf_counter() < end, False)]

        with futures.ThreadPoolExecutor(connections) as pool:
            return list(itertools.chain(*pool.map(ping_on, range(connections))))

    def cpu(self) -> tuple[float, float]:
        """Return the CPU time of the worker so far, in seconds: in its own code, and in the kernel."""
        stat = Path(f"/proc/{self.worker}/stat").read_text().rpartition(")")[2].split()
        return int(stat[11]) / TICKS, int(stat[12]) / TICKS

    def lost(self, sink: Sink) -> int:
        """Wait for the last spans, and return how many are missing. No ping may follow."""
        pings = next(self.numbers)
        sampled = (pings + self.variant.every - 1) // self.variant.every
        deadline = time.monotonic() + PATIENCE
        while (missing := sampled * self.variant.spans - sink.spans(self.service)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return missing


@contextlib.contextmanager
def serve(variant: Variant, sink: Sink, *tool: str, **settings: str) -> Iterator[Server]:
    """Start a server, under a tool such as valgrind or alone; yield it when it has answered a ping."""
    port = free_port()
    service = f"{variant.name} {port}"
    command = [*tool, variant.programs / "python", "-m", "gunicorn", "--threads", 8, "--no-control-socket"]
    command += ["--bind", f"127.0.0.1:{port}", "server:app"]
    if variant.instrumented:
        command = [VENV_AUTO / "opentelemetry-instrument", *command]
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint, "OTEL_SERVICE_NAME": service}
    environment = clean_environment(**endpoint, **variant.settings, **settings)
    with Process(*command, env=environment, cwd=variant.folder) as process:
        worker = process.wait_for(r"Booting worker with pid: (\d+)", seconds=60)[1]
        process.wait_for_port(port)
        server = Server(variant, service, port, process, int(worker))
        with contextlib.closing(server.connect()) as connection:
            wait_until(lambda: server.is_warm(connection), "a ping that goes well", seconds=60)
        yield server
