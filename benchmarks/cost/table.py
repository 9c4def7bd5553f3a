"""The table: every variant beside the one without tracing, from one run."""

import contextlib
import itertools
import json
import os
import random
import statistics
from concurrent import futures

from benchmarks.cost import moments
from benchmarks.cost.instructions import PINGS, can_count, instructions_per_ping
from benchmarks.cost.run import the_run
from benchmarks.cost.servers import server
from benchmarks.cost.variants import VARIANTS
from tests.support import Process

CONNECTIONS = 1, 8, 32


def percentile(values: list[float], share: float) -> float:
    """Return the value below which this share of all lies."""
    return sorted(values)[int(len(values) * share)]


def count_instructions(backend: str, settings: dict) -> dict[str, dict[str, float]]:
    """Return the instructions per ping of server and client, by variant."""
    with server(VARIANTS[0], backend, **settings) as pinged, futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        settings = settings | {"DESTINATION_URL": f"http://127.0.0.1:{pinged.port}/ping"}
        counted = {
            program: {
                variant.name: pool.submit(instructions_per_ping, variant, program, backend, settings)
                for variant in VARIANTS
            }
            for program in ("server", "client")
        }
        return {program: {name: each.result() for name, each in by.items()} for program, by in counted.items()}


def load_servers(sink, settings: dict, rounds: int, seconds: float) -> dict[str, dict]:
    """Return what each variant's server did under load, in interleaved rounds: a list has a figure for each round."""
    figures = {variant.name: {"cpu": [], "load": {str(n): [] for n in CONNECTIONS}} for variant in VARIANTS}
    sink.take()
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(server(variant, sink.endpoint, **settings)) for variant in VARIANTS]
        for _ in range(rounds):
            for each in random.sample(servers, len(servers)):
                pings, cpu = 0, each.cpu()
                for connections in CONNECTIONS:
                    milliseconds, rate = each.load(connections, seconds)
                    pings += len(milliseconds)
                    figures[each.variant.name]["load"][str(connections)].append(
                        {"rate": rate, "p50": percentile(milliseconds, 0.5), "p99": percentile(milliseconds, 0.99)}
                    )
                figures[each.variant.name]["cpu"].append(1e6 * (each.cpu() - cpu) / pings)
        for each in servers:
            figures[each.variant.name]["memory"] = each.memory()
        sampled = {each.variant.name: each.stop()[0] for each in servers}
    came = sink.take()
    for variant in VARIANTS:
        spans = came["spans"].get(variant.name, 0)
        figures[variant.name]["spans"] = round(spans / sampled[variant.name], 2)
        figures[variant.name]["lost"] = variant.spans * sampled[variant.name] - spans
        figures[variant.name]["bytes"] = came["bytes"].get(variant.name, 0) / spans if spans else 0
    return figures


def run_clients(sink, settings: dict, rounds: int, pings: int) -> dict[str, dict]:
    """Return what each variant's client did, in interleaved rounds of so many pings, a new process for each."""
    figures = {variant.name: {"cpu": [], "load": {"1": []}, "memory": 0} for variant in VARIANTS}
    sink.take()
    with server(VARIANTS[0], sink.endpoint, **settings) as pinged:
        url = f"http://127.0.0.1:{pinged.port}/ping"
        for _, variant in itertools.product(range(rounds), VARIANTS):
            command = [variant.python, PINGS, variant.folder, "client", pings, variant.every]
            environment = variant.environment(sink.endpoint, DESTINATION_URL=url)
            with Process(*command, *["--automatic"] * variant.instrumented, env=environment) as process:
                if process.wait(120):
                    raise RuntimeError(process.output)
                out = json.loads(process.out)
            figure, milliseconds = figures[variant.name], out["milliseconds"]
            figure["cpu"].append(1e6 * out["cpu"] / pings)
            figure["load"]["1"].append(
                {
                    "rate": 1000 * pings / sum(milliseconds),
                    "p50": percentile(milliseconds, 0.5),
                    "p99": percentile(milliseconds, 0.99),
                }
            )
            figure["memory"] = max(figure["memory"], out["memory"])
    came = sink.take()
    for variant in VARIANTS:
        spans, expected = came["spans"].get(variant.name, 0), rounds * pings * bool(variant.spans)
        figures[variant.name]["spans"] = round(spans / (rounds * pings), 2)
        figures[variant.name]["lost"] = expected - spans if variant.every == 1 else 0  # it draws its own hundredth
        figures[variant.name]["bytes"] = came["bytes"].get(variant.name, 0) / spans if spans else 0
    return figures


def measure(sink, settings: dict, rounds: int = 12, seconds: float = 0.6, counting: bool = True) -> dict:
    """Return all that the tables show; `settings` name the two databases.

    Without `counting`, or valgrind, no instructions are in it.
    """
    results = {"run": the_run() | {"rounds": rounds, "seconds": seconds}}
    counted = {}
    if counting and can_count():
        print("Counting instructions", flush=True)
        counted = count_instructions(sink.endpoint, settings)
    elif counting:
        print("No instructions are counted: there is no valgrind here (on Debian: apt install valgrind).", flush=True)
    print("Loading the servers", flush=True)
    results["server"] = load_servers(sink, settings, rounds, seconds)
    print("Running the clients", flush=True)
    results["client"] = run_clients(sink, settings, max(1, rounds // 2), pings=round(500 * seconds))
    for program, variant in itertools.product(("server", "client"), VARIANTS):
        results[program][variant.name]["instructions"] = counted.get(program, {}).get(variant.name)
    print("Starting, leaving, waiting for the page", flush=True)
    results["moments"] = moments.measure(sink.endpoint, settings, times=min(rounds, 3))
    return results


def quartiles(values: list[float]) -> tuple[float, float]:
    """Return between which two values the middle half of all lies."""
    if len(values) == 1:
        return values[0], values[0]
    lower, _, upper = statistics.quantiles(values, n=4, method="inclusive")
    return lower, upper


def cell(values: list[float], base: list[float]) -> str:
    """Return the median of the ratios to `base`, round by round, and their quartiles."""
    ratio = [value / of for value, of in zip(values, base, strict=True)]
    lower, upper = quartiles(ratio)
    return f"{statistics.median(ratio):.2f} ({lower:.2f}–{upper:.2f})"  # noqa: RUF001


def rows(results: dict, program: str) -> list[list[str]]:
    """Return the rows of one program's table: what, the figure of "none", and the ratio of each other variant to it."""
    figures = results[program]
    none = figures["none"]
    others = [variant.name for variant in VARIANTS[1:]]
    lines = []

    def add(what, unit, get):
        """Add a row; `get` gives a list of figures, one for each round, for a variant's."""
        base = get(none)
        lines.append([what, unit.format(statistics.median(base)), *(cell(get(figures[name]), base) for name in others)])

    if none["instructions"] is None:
        lines.append(["**instructions**", *["not counted"] * len(VARIANTS)])
    else:
        line = [f"{figures[name]['instructions'] / none['instructions']:.2f}" for name in others]
        lines.append(["**instructions**", f"{none['instructions'] / 1e6:.2f} million", *line])
    add("CPU time", "{:.0f} µs", lambda each: each["cpu"])
    for connections in none["load"]:
        what = "pings/s" if program == "client" else f"pings/s, {connections} connection{'s' * (connections != '1')}"
        add(what, "{:.0f}", lambda each, n=connections: [turn["rate"] for turn in each["load"][n]])
    for share in "p50", "p99":
        what = share if program == "client" else f"{share}, 1 connection"
        add(what, "{:.2f} ms", lambda each, share=share: [turn[share] for turn in each["load"]["1"]])
    memory = [f"{figures[name]['memory'] / none['memory']:.2f}" for name in others]
    lines.append(["memory", f"{none['memory']:.0f} MB", *memory])
    of_a_trace = "spans of a sampled ping" if program == "server" else "spans of a ping"
    lines.append([of_a_trace, *(f"{figures[variant.name]['spans']:g}" for variant in VARIANTS)])
    lines.append(["spans lost", *(str(figures[variant.name]["lost"]) for variant in VARIANTS)])
    return lines


def markdown(header: list[str], lines: list[list[str]]) -> str:
    """Return a table in Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, ["---"] * len(header), *lines])


def header() -> list[str]:
    """Return the names of the columns of variants."""
    return ["none", *(f"{variant.name}, × none" for variant in VARIANTS[1:])]  # noqa: RUF001


def tables(results: dict) -> dict[str, str]:
    """Return the tables of a run in Markdown, by name."""
    waits = [
        [what, f"{statistics.median(each):.2f} s ({min(each):.2f}–{max(each):.2f})" if each else "no Chromium"]  # noqa: RUF001
        for what, each in results["moments"].items()
    ]
    return {
        "server": markdown(["the server", *header()], rows(results, "server")),
        "client": markdown(["the client", *header()], rows(results, "client")),
        "waits": markdown(["wait", "median (least–most)"], waits),  # noqa: RUF001
    }
