"""Measure, print and save: `python -m benchmarks.cost [table] [scale]`. `make bench` does the first."""

import argparse
import contextlib
import json
import shutil
import tempfile
from pathlib import Path

from benchmarks.cost import pictures, scale, table
from benchmarks.cost.sink import Sink
from tests.support import ROOT, MongoDB, Redis, free_port

PARTS = {"table": table, "scale": scale}


def main():
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.cost")
    parser.add_argument("part", nargs="*", help="table (default; five minutes), scale (ten more)")
    parser.add_argument("--short", action="store_true", help="no instructions, and too short to mean anything")
    parser.add_argument("--results", type=Path, metavar="FOLDER", default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    if unknown := set(options.part) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}")
    options.results.mkdir(parents=True, exist_ok=True)
    for name in options.part or ["table"]:
        folder = Path(tempfile.mkdtemp())
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            sink = stack.enter_context(Sink())
            redis = stack.enter_context(Redis(free_port(), folder))
            mongodb = stack.enter_context(MongoDB(free_port(), folder))
            short = {"rounds": 1, "seconds": 0.3, "counting": False} if options.short else {}
            results = PARTS[name].measure(sink, {"REDIS_URL": redis.url, "MONGODB_URI": mongodb.uri}, **short)
        text = "\n\n".join(PARTS[name].tables(results).values())
        (options.results / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
        (options.results / f"{name}.md").write_text(f"{text}\n")
        for file, picture in pictures.PARTS[name](results).items():
            (options.results / file).write_text(picture)
        print(f"\n{text}\n\nSaved in {options.results}, with pictures", flush=True)


main()
