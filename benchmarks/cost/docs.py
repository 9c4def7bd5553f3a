"""Bring docs/cost.md up to date with what was measured: `python -m benchmarks.cost.docs`.

It keeps the figures of all parts in docs/cost.json, draws the pictures from them, and fills what stands between
`<!-- NAME, from cost.json -->` and `<!-- end -->`. Its argument, if there is one, is a file with
what `python -m benchmarks.cost.instructions` printed with another Python.
"""

import json
import re
import statistics
import sys

from benchmarks.cost import nearby, scale, table
from benchmarks.cost.pictures import of_scale, of_table
from tests.support import ROOT

DOCS = ROOT / "docs"
RESULTS = ROOT / "benchmarks" / "results"
RECOMMENDED = "16"  # spans in a batch


def in_words(run: dict) -> str:
    """Return what names a run."""
    return (
        f"{run['date']}, {run['cores']} cores ({run['machine']}), Python {run['python']}, SDK {run['sdk']}; "
        f"load average {run['load average']} when it began"
    )


def median_of(turns: list[dict], what: str) -> float:
    """Return the median of a figure over the rounds."""
    return statistics.median(turn[what] for turn in turns)


def in_short(figures: dict) -> str:
    """Return what a reader in a hurry takes along."""
    server, client = figures["table"]["server"], figures["table"]["client"]
    of_none = {name: each["instructions"] / server["none"]["instructions"] for name, each in server.items()}
    spans, none = server["by hand"]["spans"], statistics.median(server["none"]["cpu"])
    added = {name: (statistics.median(each["cpu"]) - none) / 1000 for name, each in server.items()}
    lost = sum(each["lost"] for each in (*server.values(), *client.values()))
    lines = [
        f"By hand, a ping takes {of_none['by hand']:.1f} times the instructions that it takes without tracing, "
        f"and {of_none['automatic']:.1f} times automatically.",
        f"In time, that adds {added['by hand']:.1f} ms of CPU to a ping of {spans:g} spans by hand, and "
        f"{added['automatic']:.1f} ms to one of {server['automatic']['spans']:g} automatically. Hold that against "
        "what your own requests take.",
        f"One trace in a hundred costs {of_none['sampled']:.2f} times none; tracing that is there and switched off, "
        f"{of_none['off']:.2f} times.",
        f"Spans lost at these loads: {lost}.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def goals(figures: dict) -> str:
    """Return the table of what was to be reached, and what is."""
    by = {name: each["instructions"] for name, each in figures["table"]["server"].items()}
    lost = sum(figures["table"][program][name]["lost"] for program in ("server", "client") for name in by)
    sizes = {size: figure["rounds"] for size, figure in figures["scale"]["batches"].items()}
    p99 = {size: scale.median_ratio(sizes[size], sizes["none"], "p99") for size in ("512", RECOMMENDED)}
    rates = {size: median_of(sizes[size], "rate") for size in ("512", RECOMMENDED)}
    lines = [
        [
            "instructions over none: by hand, of automatic",
            "0.65",
            f"{(by['by hand'] - by['none']) / (by['automatic'] - by['none']):.2f}",
        ],
        ["instructions: off, of none", "1.12", f"{by['off'] / by['none']:.2f}"],
        ["instructions: sampled, of none", "1.22", f"{by['sampled'] / by['none']:.2f}"],
        [f"p99 at one connection, of none, in batches of {RECOMMENDED}", "2", f"{p99[RECOMMENDED]:.2f}"],
        ["the same in batches of 512, the default", "no goal", f"{p99['512']:.2f}"],
        [
            f"pings/s at 8 connections in batches of {RECOMMENDED}, of those in batches of 512",
            "no goal",
            f"{rates[RECOMMENDED] / rates['512']:.2f}",
        ],
        ["spans lost in the table", "0", str(lost)],
    ]
    return table.markdown(["what", "goal, at most", "measured"], lines)


def parts(figures: dict) -> str:
    """Return the table of where the instructions of a ping by hand go."""
    server, pieces = figures["table"]["server"], dict(figures["scale"]["parts"])
    all_of_it = server["by hand"]["instructions"] - server["none"]["instructions"]
    pieces["the rest: the status code, the current span, what beyond/ looks at"] = all_of_it - sum(pieces.values())
    lines = [[name, f"{count / 1e3:,.0f} thousand", f"{count / all_of_it:.0%}"] for name, count in pieces.items()]
    return table.markdown(["of a ping by hand", "instructions", "of all that tracing adds"], lines)


def pythons(figures: dict) -> str:
    """Return the table that sets two Pythons side by side."""
    server = figures["table"]["server"]
    counted = {
        figures["table"]["run"]["python"]: {name: each["instructions"] for name, each in server.items()},
        figures["other python"]["run"]["python"]: figures["other python"]["instructions"],
    }
    lines = [
        [python, f"{by['none'] / 1e6:.2f} million", *(f"{by[name] / by['none']:.2f}" for name in list(by)[1:])]
        for python, by in counted.items()
    ]
    return table.markdown(["instructions of a ping", *table.header()], lines)


def blocks(figures: dict) -> dict[str, str]:
    """Return what the page shows of the figures, by name."""
    named = {
        "the run": f"Measured on {in_words(figures['table']['run'])}; {figures['table']['run']['rounds']} rounds.",
        "the run of the scale": f"Measured on {in_words(figures['scale']['run'])}.",
        "in short": in_short(figures),
        "goals": goals(figures),
        "parts": parts(figures),
    }
    if "other python" in figures:
        named["pythons"] = pythons(figures)
    if "nearby" in figures:
        named["the run of the Collector"] = f"Measured on {in_words(figures['nearby']['run'])}."
        named |= nearby.tables(figures["nearby"])
    return named | table.tables(figures["table"]) | scale.tables(figures["scale"])


def fill(page: str, figures: dict) -> str:
    """Return the page with its blocks filled; a block that has no figures raises KeyError."""
    named = blocks(figures)
    return re.sub(
        r"(<!-- ([\w ]+), from cost\.json -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}\n{named[match[2]]}\n\n{match[3]}",
        page,
        flags=re.DOTALL,
    )


def main() -> None:
    """Keep the figures, and bring the page and its pictures up to date."""
    kept = DOCS / "cost.json"
    figures = json.loads(kept.read_text()) if kept.exists() else {}
    for name in "table", "scale", "nearby":
        if (RESULTS / f"{name}.json").exists():
            figures[name] = json.loads((RESULTS / f"{name}.json").read_text())
    if sys.argv[1:]:
        with open(sys.argv[1]) as file:
            figures["other python"] = json.load(file)
    kept.write_text(json.dumps(figures, indent=1) + "\n")
    for name, picture in (of_table(figures["table"]) | of_scale(figures["scale"])).items():
        (DOCS / name).write_text(picture)
    page = DOCS / "cost.md"
    page.write_text(fill(page.read_text(), figures))


if __name__ == "__main__":
    main()
