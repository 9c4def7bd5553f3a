"""The table: instructions, time and lost spans of a ping, for every variant beside the one without tracing."""

import contextlib
import random
import re
import statistics
from typing import NamedTuple

from benchmarks.cost.servers import Server, serve
from benchmarks.cost.sink import Sink
from benchmarks.cost.variants import VARIANTS, Variant

VALGRIND = "valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"
STEADY = {"PYTHONHASHSEED": "0", "OTEL_BSP_SCHEDULE_DELAY": "1000"}  # valgrind slows down the program, not the clock
CONNECTIONS = 8


class Turn(NamedTuple):
    """What a server did in one round, for a ping."""

    cpu: float  # µs
    user: float  # µs, without the kernel
    median: float  # ms, over one connection
    p99: float  # ms, over one connection
    rate: float  # pings a second, over 8 connections


def count_instructions(variant: Variant, sink: Sink, databases: dict[str, str], pings: int = 100) -> float:
    """Return how many instructions a ping takes, its spans on their way to the backend included.

    valgrind counts those of a whole process. One with so many pings and one with three times as many start and end in
    the same way, so what they differ by is 2 * `pings` pings. Raises RuntimeError when a span is missing.
    """
    once, thrice = (count(variant, sink, databases, times * pings) for times in (1, 3))
    return (thrice - once) / (2 * pings)


def count(variant: Variant, sink: Sink, databases: dict[str, str], pings: int) -> int:
    """Return the instructions (int) of the worker of a server, from its start to its end, that has answered `pings`."""
    with serve(variant, sink, *VALGRIND, **STEADY, **databases) as server:
        with contextlib.closing(server.connect()) as connection:
            for _ in range(pings):
                server.ping(connection)
        if missing := server.lost(sink):
            raise RuntimeError(f"{variant.name}: {missing} spans are missing")
        server.process.stop(seconds=60)
        refs = re.search(rf"=={server.worker}== I +refs: +([\d,]+)", server.process.err)[1]
        return int(refs.replace(",", ""))


def take_turn(server: Server, seconds: float) -> Turn:
    """Load a server over one connection, then over 8; so many seconds each."""
    before = server.cpu()
    alone = sorted(server.load(1, seconds))
    together = server.load(CONNECTIONS, seconds)
    pings = len(alone) + len(together)
    user, system = (1e6 * (after - start) / pings for start, after in zip(before, server.cpu(), strict=True))
    median, p99 = (1000 * alone[int(len(alone) * share)] for share in (0.5, 0.99))
    return Turn(user + system, user, median, p99, len(together) / seconds)


def measure(sink: Sink, databases: dict[str, str], rounds: int, seconds: float) -> tuple[dict, dict]:
    """Return each variant's list of Turns, and how many spans each has lost. The servers take turns."""
    turns = {variant.name: [] for variant in VARIANTS}
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(serve(variant, sink, **databases)) for variant in VARIANTS]
        for _ in range(rounds):
            for server in random.sample(servers, len(servers)):
                turns[server.variant.name].append(take_turn(server, seconds))
        return turns, {server.variant.name: server.lost(sink) for server in servers}


def table(instructions: dict[str, float], turns: dict[str, list[Turn]], lost: dict[str, int]) -> str:
    """Return the table in Markdown: the figure of "none", and beside it each other variant's as a multiple of it."""
    others = [variant.name for variant in VARIANTS[1:]]
    lines = [["a ping", *(variant.name for variant in VARIANTS)], ["---"] * (1 + len(VARIANTS))]
    if instructions:
        none = instructions["none"]
        lines.append(["instructions", f"{none / 1e6:.2f} million", *(f"{instructions[o] / none:.2f}" for o in others)])
    for what, unit, figure in (
        ("CPU time", "{:.0f} µs", "cpu"),
        ("CPU time without the kernel", "{:.0f} µs", "user"),
        ("median, 1 connection", "{:.2f} ms", "median"),
        ("99th percentile, 1 connection", "{:.2f} ms", "p99"),
        (f"pings/s, {CONNECTIONS} connections", "{:.0f}", "rate"),
    ):
        by = {name: [getattr(turn, figure) for turn in each] for name, each in turns.items()}
        none = unit.format(statistics.median(by["none"]))
        lines.append([what, none, *(ratio(by[name], by["none"]) for name in others)])
    none = [turn.cpu for turn in turns["none"]]
    added = {name: [turn.cpu - of for turn, of in zip(each, none, strict=True)] for name, each in turns.items()}
    lines.append(["CPU time that tracing adds", *(f"{statistics.median(each):.0f} µs" for each in added.values())])
    lines.append(["spans of a sampled ping", *(str(variant.spans) for variant in VARIANTS)])
    lines.append(["spans lost", *(str(lost[variant.name]) for variant in VARIANTS)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def ratio(figures: list[float], of: list[float]) -> str:
    """Return the median of the ratios, round by round, and between which two the middle half of them lies."""
    ratios = [figure / one for figure, one in zip(figures, of, strict=True)]
    lower, median, upper = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{median:.2f} ({lower:.2f} to {upper:.2f})"
