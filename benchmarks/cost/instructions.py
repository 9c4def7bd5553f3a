"""How many instructions a ping takes: the figure that does not move when the machine is busy.

valgrind counts those of a whole process: its cachegrind finds as many as its callgrind, in half the time. A process
with COUNT pings and one with three times as many differ by 2 COUNT pings and nothing else, since both start and end
in the same way. `python -m benchmarks.cost.instructions` counts alone, for all variants or those that it is told.
"""

import json
import os
import re
import shutil
import sys
import tempfile
from concurrent import futures
from pathlib import Path

from benchmarks.cost.run import the_run
from benchmarks.cost.sink import Sink
from benchmarks.cost.variants import VARIANTS, Variant
from tests.support import MongoDB, Process, Redis, free_port

COUNT = 50
PINGS = Path(__file__).with_name("pings.py")
STEADY = {
    "PYTHONHASHSEED": "0",
    "OTEL_BSP_SCHEDULE_DELAY": "600000",  # a span is sent when its batch is full, however slow the process is
    "OTEL_EXPORTER_OTLP_TIMEOUT": "120",
}


def can_count() -> bool:
    """Return whether valgrind is here."""
    return shutil.which("valgrind") is not None


def count(command: list, environment: dict[str, str]) -> int:
    """Return the instructions of a process of its own."""
    valgrind = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    with Process(*valgrind, *command, env=environment) as process:
        if process.wait(600):
            raise RuntimeError(process.output)
        return int(re.search(r"I +refs: +([\d,]+)", process.err)[1].replace(",", ""))


def instructions_per_ping(variant: Variant, program: str, backend: str, settings: dict, pings: int = COUNT) -> float:
    """Return the instructions that each ping adds to a program, which is a module of the variant's folder."""
    command = [variant.python, PINGS, variant.folder, program]
    automatic = ["--automatic"] * variant.instrumented
    environment = variant.environment(backend, **STEADY, **settings)
    once, thrice = (count([*command, times * pings, variant.every, *automatic], environment) for times in (1, 3))
    return (thrice - once) / (2 * pings)


def main() -> None:
    """Print the instructions per ping of the server in JSON, for each variant or for those that are named."""
    variants = [variant for variant in VARIANTS if variant.name in sys.argv[1:] or not sys.argv[1:]]
    folder = Path(tempfile.mkdtemp())
    try:
        with Sink() as sink, Redis(free_port(), folder) as redis, MongoDB(free_port(), folder) as mongodb:
            settings = {"REDIS_URL": redis.url, "MONGODB_URI": mongodb.uri}
            with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
                counted = pool.map(
                    lambda each: instructions_per_ping(each, "server", sink.endpoint, settings), variants
                )
                counted = {variant.name: round(each) for variant, each in zip(variants, counted, strict=True)}
            print(json.dumps({"run": the_run(), "instructions": counted}, indent=1))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
