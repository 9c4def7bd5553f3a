"""Measure what a ping costs in five ways, and print the table of docs/cost.md: `make bench`, in about two minutes."""

import argparse
import contextlib
import datetime
import os
import platform
import shutil
import tempfile
from concurrent import futures
from importlib.metadata import version

from benchmarks.cost.sink import Sink
from benchmarks.cost.table import count_instructions, measure, table
from benchmarks.cost.variants import VARIANTS
from tests.support import MongoDB, Redis, free_port


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.cost")
    parser.add_argument("--short", action="store_true", help="no instructions, and too short to mean anything")
    options = parser.parse_args()
    rounds, seconds = (2, 0.2) if options.short else (10, 0.6)
    busy = os.getloadavg()[0]  # before it begins: who else is at work
    instructions = {}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        sink = stack.enter_context(Sink())
        redis = stack.enter_context(Redis(free_port(), folder))
        mongodb = stack.enter_context(MongoDB(free_port(), folder))
        databases = {"REDIS_URL": f"redis://localhost:{redis.port}", "MONGODB_URI": mongodb.uri}
        if not shutil.which("valgrind"):
            print("No instructions are counted: there is no valgrind here (on Debian: apt install valgrind).\n")
        elif not options.short:
            with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
                counted = pool.map(lambda variant: count_instructions(variant, sink, databases), VARIANTS)
                instructions = {variant.name: each for variant, each in zip(VARIANTS, counted, strict=True)}
        turns, lost = measure(sink, databases, rounds, seconds)
    print(
        f"Measured on {datetime.date.today()}, {os.cpu_count()} cores ({platform.machine()}), "
        f"Python {platform.python_version()}, SDK {version('opentelemetry-sdk')}; {rounds} rounds; "
        f"load average {busy:.1f} before.\n"
    )
    print(table(instructions, turns, lost))


if __name__ == "__main__":
    main()
