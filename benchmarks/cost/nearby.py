"""What a Collector near by is worth: `python -m benchmarks.cost.nearby OTELCOL`, which prints JSON.

OTELCOL is the program of a Collector; tools/real_backends.py builds one. A server that makes spans as fast as it can
sends them straight to a backend, and through the Collector on the same machine: to a backend that takes half a second
for each export, and to one that takes them at once.
"""

import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.cost.run import the_run
from benchmarks.cost.scale import MANY, RELIEF, lost_in_words
from benchmarks.cost.servers import server
from benchmarks.cost.sink import Sink
from benchmarks.cost.table import markdown
from benchmarks.cost.variants import Variant
from tests.support import Process, clean_environment, free_port

SECONDS = 5  # of load
SLOW, AT_ONCE = 0.5, 0  # seconds that the backend takes for an export
LARGE = "a queue of 8,192 and batches of 2,048"
WAYS = {  # what the backend takes, the spans of a request, settings, and whether through the Collector
    "slow backend, straight": (SLOW, 5, {}, False),
    f"slow backend, {LARGE}": (SLOW, 5, RELIEF[LARGE], False),
    "slow backend, through the Collector": (SLOW, 5, {}, True),
    "quick backend, straight": (AT_ONCE, 100, {}, False),
    "quick backend, through the Collector": (AT_ONCE, 100, {}, True),
}

CONFIG = """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:${env:LISTEN}"}}}}
exporters: {otlp_grpc: {endpoint: "${env:BACKEND}", tls: {insecure: true}}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], exporters: [otlp_grpc]}}
"""


@contextlib.contextmanager
def collector(program: Path, backend: str):
    """Start a Collector with its defaults; yield its URL. At the end it sends what it still has."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "collector.yaml"
        config.write_text(CONFIG)
        with Process(program, "--config", config, env=clean_environment(LISTEN=port, BACKEND=backend)) as process:
            process.wait_for_port(port)
            yield f"http://127.0.0.1:{port}"
            process.stop(seconds=120)


def measure(program: Path, takes: float, spans: int, settings: dict, near_by: bool) -> dict:
    """Return requests a second, the spans that were made, and those that came."""
    variant = Variant("many", settings={"SPANS": spans})
    with Sink(takes) as sink:
        with contextlib.ExitStack() as stack:
            endpoint = stack.enter_context(collector(program, sink.endpoint)) if near_by else sink.endpoint
            started = stack.enter_context(server(variant, endpoint, 1, f"{MANY}:app", **settings))
            began = time.perf_counter()
            _, rate = started.load(8, SECONDS)
            _, pings = started.stop()
            seconds = time.perf_counter() - began
        return {"rate": rate, "made": pings * spans, "came": sink.take()["spans"].get("many", 0), "seconds": seconds}


def tables(results: dict) -> dict[str, str]:
    """Return the table of a run in Markdown, by name."""
    lines = [
        [
            way,
            str(WAYS[way][1]),
            f"{figure['rate']:.0f}",
            f"{figure['made'] / figure['seconds']:,.0f}",
            lost_in_words(figure),
        ]
        for way, figure in results["ways"].items()
    ]
    return {"nearby": markdown(["where to", "spans of a request", "requests/s", "spans/s made", "lost"], lines)}


def main() -> None:
    """Measure each way, and print what came of it."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        sys.exit("Name the program of a Collector: python -m benchmarks.cost.nearby FOLDER/otelcol/otelcol")
    results = {"run": the_run(), "ways": {}}
    for way, how in WAYS.items():
        results["ways"][way] = measure(Path(sys.argv[1]).resolve(), *how)
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
