"""How the cost grows: with spans, attributes, the size of a batch, and workers; and from where on spans are lost."""

import contextlib
import os
import random
import statistics
import time
from concurrent import futures

from benchmarks.cost import parts
from benchmarks.cost.instructions import COUNT, can_count, instructions_per_ping
from benchmarks.cost.run import the_run
from benchmarks.cost.servers import server
from benchmarks.cost.sink import Sink
from benchmarks.cost.table import markdown, percentile, quartiles
from benchmarks.cost.variants import BY_NAME, Variant

SPANS = 1, 5, 10, 30, 100  # of a request
ATTRIBUTES = 0, 5, 10, 20, 50  # of a span
BATCHES = 512, 256, 128, 64, 32, 16
WORKERS = 1, 2, 3, 4
MANY = "benchmarks.cost.many"

RELIEF = {  # what is tried when the exporter cannot follow, with 100 spans in each request
    "defaults": {},
    "a queue of 8,192 and batches of 2,048": {
        "OTEL_BSP_MAX_QUEUE_SIZE": 8192,
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": 2048,
        "OTEL_BSP_SCHEDULE_DELAY": 1000,
    },
    "batches of 64": {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": 64},
    "one trace in ten": {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"},
    "two workers": {"workers": 2},
    "four workers": {"workers": 4},
}


def count_instructions(backend: str, points: list[dict]) -> list[float]:
    """Return the instructions per request of the server of many.py, with the settings of each point."""
    variant = Variant("many")
    with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        counted = [pool.submit(instructions_per_ping, variant, MANY, backend, each, COUNT // 2) for each in points]
        return [each.result() for each in counted]


def lost(sink: Sink, variant: Variant, seconds: float, workers: int = 1, **settings: object) -> dict:
    """Load the server of many.py over 8 connections; return pings a second, spans a second, and the share lost.

    Where a sampler of its own chooses the traces, lost is what its log says: nothing of a queue that was full.
    """
    sink.take()
    with server(variant, sink.endpoint, workers, f"{MANY}:app", **settings) as started:
        began = time.perf_counter()
        _, rate = started.load(8, seconds)
        _, pings = started.stop()
        seconds = time.perf_counter() - began
        came = sink.take()["spans"].get(variant.name, 0)
        made = pings * int(settings["SPANS"])
        full = "Queue full" in started.process.err
    if "OTEL_TRACES_SAMPLER" in settings:
        made = came if not full else None
    return {"rate": rate, "spans": came / seconds, "made": made, "came": came, "full": full}


def batches(sink: Sink, settings: dict, rounds: int, seconds: float) -> dict:
    """Return, for none and for each size of a batch, p99 at one connection and pings/s at 8, in interleaved rounds.

    What was lost of the spans at those loads stands beside them.
    """
    variants = {"none": BY_NAME["none"]}
    for size in BATCHES:
        variants[str(size)] = Variant(str(size), settings={"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": size})
    figures = {name: {"rounds": []} for name in variants}
    sink.take()
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(server(each, sink.endpoint, **settings)) for each in variants.values()]
        for _ in range(rounds):
            for each in random.sample(servers, len(servers)):
                milliseconds, _ = each.load(1, 2 * seconds)
                _, rate = each.load(8, seconds)
                turn = {"p50": percentile(milliseconds, 0.5), "p99": percentile(milliseconds, 0.99), "rate": rate}
                figures[each.variant.name]["rounds"].append(turn)
        sampled = {each.variant.name: each.stop()[0] for each in servers}
    came = sink.take()["spans"]
    for name, variant in variants.items():
        figures[name]["lost"] = sampled[name] * variant.spans - came.get(name, 0)
    return figures


def workers(sink: Sink, settings: dict, rounds: int, seconds: float) -> dict:
    """Return the pings a second at 32 connections, in rounds, and the spans lost, by the number of workers."""
    figures = {name: {str(count): {"rate": [], "lost": 0} for count in WORKERS} for name in ("none", "by hand")}
    for _ in range(rounds):
        for count in WORKERS:
            for name, figure in figures.items():
                variant = BY_NAME[name]
                sink.take()
                with server(variant, sink.endpoint, count, **settings) as started:
                    _, rate = started.load(32, seconds)
                    _, pings = started.stop()
                figure[str(count)]["rate"].append(rate)
                figure[str(count)]["lost"] += pings * variant.spans - sink.take()["spans"].get(name, 0)
    return figures


def measure(sink: Sink, settings: dict, rounds: int = 12, seconds: float = 0.6, counting: bool = True) -> dict:
    """Return all that the scale's tables show; `settings` name the two databases."""
    results = {"run": the_run() | {"rounds": rounds, "seconds": seconds}}
    print("Sizes of a batch", flush=True)
    results["batches"] = batches(sink, settings, rounds, seconds)
    print("Workers", flush=True)
    results["workers"] = workers(sink, settings, min(rounds, 3), seconds)
    print("Many spans", flush=True)
    variant = Variant("many")
    results["many"] = {str(spans): lost(sink, variant, 5 * seconds, SPANS=spans) for spans in SPANS}
    results["relief"] = {name: lost(sink, variant, 5 * seconds, SPANS=100, **more) for name, more in RELIEF.items()}
    points = [{"SPANS": str(spans), "ATTRIBUTES": "5"} for spans in SPANS]
    points += [{"SPANS": "10", "ATTRIBUTES": str(attributes)} for attributes in ATTRIBUTES]
    counted, results["parts"] = [None] * len(points), {}
    if counting and can_count():
        print("Counting instructions", flush=True)
        counted = count_instructions(sink.endpoint, points)
        results["parts"] = parts.measure(sink.endpoint)
    results["instructions by spans"] = dict(zip(map(str, SPANS), counted[: len(SPANS)], strict=True))
    results["instructions by attributes"] = dict(zip(map(str, ATTRIBUTES), counted[len(SPANS) :], strict=True))
    return results


def thousands(instructions: float | None) -> str:
    """Return a number of instructions in thousands, in words."""
    return "not counted" if instructions is None else f"{instructions / 1e3:,.0f} thousand"


def lost_in_words(figure: dict) -> str:
    """Return which share of its spans a server lost."""
    if figure["made"] is None:
        return "some"
    return f"{1 - figure['came'] / figure['made']:.1%}" if figure["came"] < figure["made"] else "none"


def median_ratio(turns: list[dict], none: list[dict], what: str) -> float:
    """Return the median of the ratios of a figure to that without tracing, round by round."""
    return statistics.median(turn[what] / of[what] for turn, of in zip(turns, none, strict=True))


def tables(results: dict) -> dict[str, str]:
    """Return the tables of a run in Markdown, by name."""
    none, sizes = results["batches"]["none"]["rounds"], []
    for name, figure in results["batches"].items():
        turns = figure["rounds"]
        p99, rate = ([turn[what] for turn in turns] for what in ("p99", "rate"))
        lower, upper = quartiles(p99)
        sizes.append(
            [
                "no tracing" if name == "none" else f"batches of {name}",
                f"{statistics.median(p99):.1f} ms ({lower:.1f}–{upper:.1f})",  # noqa: RUF001
                f"{median_ratio(turns, none, 'p99'):.2f}",
                f"{statistics.median(rate):.0f}",
                f"{median_ratio(turns, none, 'rate'):.2f}",
                str(figure["lost"]),
            ]
        )
    by_workers = []
    for count in WORKERS:
        figures = [results["workers"][name][str(count)] for name in ("none", "by hand")]
        rates = [statistics.median(figure["rate"]) for figure in figures]
        lost_spans = str(figures[1]["lost"])
        by_workers.append([str(count), *(f"{rate:.0f}" for rate in rates), f"{rates[1] / rates[0]:.2f}", lost_spans])
    by_spans = []
    for spans, figure in results["many"].items():
        counted = thousands(results["instructions by spans"][spans])
        by_spans.append([spans, counted, f"{figure['rate']:.0f}", f"{figure['spans']:,.0f}", lost_in_words(figure)])
    by_attributes = [
        [attributes, thousands(None if count is None else count / 10)]
        for attributes, count in results["instructions by attributes"].items()
    ]
    relief = [
        [name, f"{figure['rate']:.0f}", f"{figure['spans']:,.0f}", lost_in_words(figure)]
        for name, figure in results["relief"].items()
    ]
    header = ["by hand, with", "p99, 1 connection", "× none", "pings/s, 8 connections", "× none", "spans lost"]  # noqa: RUF001
    return {
        "batches": markdown(header, sizes),
        "workers": markdown(["workers", "none, pings/s", "by hand, pings/s", "ratio", "spans lost"], by_workers),
        "spans": markdown(
            ["spans of a request", "instructions", "requests/s", "spans/s that arrive", "lost"], by_spans
        ),
        "attributes": markdown(["attributes of a span", "instructions of a span"], by_attributes),
        "relief": markdown(["100 spans in each request", "requests/s", "spans/s that arrive", "lost"], relief),
    }
