"""Servers under load: their time, their memory, and whether every span arrives."""

import contextlib
import http.client
import itertools
import math
import os
import random
import re
import time
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.cost.variants import VENV_AUTO, Variant
from tests.support import Process, free_port

TICKS = os.sysconf("SC_CLK_TCK")  # a second


@dataclass
class Server:
    """gunicorn with 8 threads in each worker, and what it was asked so far."""

    variant: Variant
    port: int
    process: Process
    workers: list[int]  # process ids
    numbers: itertools.count = field(default_factory=itertools.count)  # of the pings

    def cpu(self) -> float:
        """Return the CPU time of the workers so far, in seconds."""
        stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.workers]
        return sum(int(stat[11]) + int(stat[12]) for stat in stats) / TICKS

    def memory(self) -> float:
        """Return the memory of the workers, in MB."""
        statuses = [Path(f"/proc/{pid}/status").read_text() for pid in self.workers]
        return sum(int(re.search(r"VmRSS:\s+(\d+)", status)[1]) for status in statuses) / 1024

    def ping(self, connection: http.client.HTTPConnection) -> float:
        """Ping once, as a client does that has a trace of its own; return the milliseconds that it took."""
        sampled = next(self.numbers) % self.variant.every == 0
        traceparent = f"00-{random.randbytes(16).hex()}-{random.randbytes(8).hex()}-0{sampled:d}"
        began = time.perf_counter()
        connection.request("GET", "/ping", headers={"traceparent": traceparent})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{self.variant.name}: the answer is {answer.status}")
        return 1000 * (time.perf_counter() - began)

    def load(self, connections: int, seconds: float) -> tuple[list[float], float]:
        """Ping for so long over so many connections; return the milliseconds of each ping, and pings a second."""
        began = time.perf_counter()

        def ping_on(_):
            milliseconds = []
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
                while time.perf_counter() < began + seconds:
                    milliseconds.append(self.ping(connection))
            return milliseconds

        with futures.ThreadPoolExecutor(connections) as pool:
            milliseconds = list(itertools.chain(*pool.map(ping_on, range(connections))))
        return milliseconds, len(milliseconds) / (time.perf_counter() - began)

    def stop(self) -> tuple[int, int]:
        """Stop gracefully, so that all spans leave; return how many pings were sampled, and how many there were."""
        pings = next(self.numbers)
        self.process.stop()
        return math.ceil(pings / self.variant.every), pings


@contextlib.contextmanager
def server(variant: Variant, backend: str, workers: int = 1, app: str = "server:app", **settings: object):
    """Start gunicorn; yield the Server, which has answered its first ping."""
    port = free_port()
    command = ["--workers", workers, "--threads", 8, "--bind", f"127.0.0.1:{port}", "--no-control-socket", app]
    if variant.instrumented:
        command = [VENV_AUTO / "opentelemetry-instrument", VENV_AUTO / "gunicorn", *command]
    else:
        command = [variant.python, "-m", "gunicorn", *command]
    with Process(*command, env=variant.environment(backend, **settings), cwd=variant.folder) as process:
        process.wait_for_port(port)
        process.wait_for(rf"(?s)(Booting worker with pid.*){{{workers}}}")
        pids = [int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", process.output)]
        started = Server(variant, port, process, pids)
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            started.ping(connection)  # which connects to the databases
        yield started
