"""The pictures of docs/cost.md, each for a light and a dark page."""

import re
import statistics
import sys
from collections.abc import Callable

import pygal
from pygal.style import Style

from benchmarks.cost.table import quartiles
from benchmarks.cost.variants import VARIANTS

# pygal adds an importer for plugins that has no find_spec; Python 3.11 warns of it whenever a module is not there.
sys.meta_path[:] = [finder for finder in sys.meta_path if hasattr(finder, "find_spec")]

INK = {"light": "#1f2328", "dark": "#e6edf3"}
COLOURS = {
    "light": ("#0b6bcb", "#b35900", "#6f42c1", "#1a7f37", "#cf222e"),
    "dark": ("#58a6ff", "#f0883e", "#bc8cff", "#3fb950", "#ff7b72"),
}
OTHERS = [variant.name for variant in VARIANTS[1:]]


def draw(kind: type, page: str, title: str, **options: object) -> pygal.graph.graph.Graph:
    """Return an empty chart for a light or a dark page."""
    style = Style(
        background="transparent",
        plot_background="transparent",
        foreground=INK[page],
        foreground_strong=INK[page],
        foreground_subtle=INK[page],
        colors=COLOURS[page],
        guide_stroke_color=f"{INK[page]}40",
        major_guide_stroke_color=f"{INK[page]}40",
        opacity=".85",
        font_family="system-ui, sans-serif",
        title_font_size=20,
        label_font_size=16,
        major_label_font_size=16,
        legend_font_size=16,
        value_label_font_size=16,
        value_font_size=16,
        value_colors=(INK[page],) * 5,
    )
    defaults = {
        "js": (),
        "width": 800,
        "height": 420,
        "legend_at_bottom": True,
    }
    return kind(style=style, title=title, **defaults | options)


def instructions(page: str, results: dict) -> pygal.Bar:
    """Draw what each variant adds to the instructions of a ping without tracing."""
    chart = draw(pygal.Bar, page, "Instructions of a ping, in millions", print_values=True, legend_at_bottom_columns=2)
    chart.x_labels = [variant.name for variant in VARIANTS]
    for program in "server", "client":
        chart.add(
            f"the {program}",
            [results[program][variant.name]["instructions"] / 1e6 for variant in VARIANTS],
            formatter="{:.1f}".format,
        )
    return chart


def throughput(page: str, results: dict) -> pygal.Bar:
    """Draw pings a second, as a share of those without tracing; the whiskers are the quartiles of the rounds."""
    title = "Pings per second of one worker, without tracing = 1"
    chart = draw(pygal.Bar, page, title, range=(0, 1.2), legend_at_bottom_columns=3)
    chart.x_labels = OTHERS
    none = results["server"]["none"]["load"]
    for connections, base in none.items():
        bars = []
        for name in OTHERS:
            turns = results["server"][name]["load"][connections]
            ratio = [turn["rate"] / of["rate"] for turn, of in zip(turns, base, strict=True)]
            whiskers = dict(zip(("low", "high"), quartiles(ratio), strict=True))
            bars.append({"value": statistics.median(ratio), "ci": whiskers})
        chart.add(f"{connections} connection{'s' * (connections != '1')}", bars)
    return chart


def batches(page: str, scale: dict) -> pygal.Bar:
    """Draw p99 at one connection, and what a batch of each size does to it."""
    title = "p99 at one connection in ms, by the size of a batch"
    chart = draw(pygal.Bar, page, title, show_legend=False)
    chart.x_labels = list(scale["batches"])
    bars = []
    for figure in scale["batches"].values():
        p99 = [turn["p99"] for turn in figure["rounds"]]
        whiskers = dict(zip(("low", "high"), quartiles(p99), strict=True))
        bars.append({"value": statistics.median(p99), "ci": whiskers})
    chart.range = 0, 1.1 * max(bar["ci"]["high"] for bar in bars)
    chart.add("p99", bars)
    return chart


def attributes(page: str, scale: dict) -> pygal.XY:
    """Draw the instructions of a span, with the number of its attributes."""
    title = "Instructions of a span, in thousands, by its attributes"
    chart = draw(pygal.XY, page, title, show_legend=False, x_title="attributes", range=(0, 2_000), xrange=(0, 50))
    counted = scale["instructions by attributes"]
    chart.x_labels = [int(attributes) for attributes in counted]
    chart.add("a span", [(int(attributes), count / 10 / 1e3) for attributes, count in counted.items()])
    return chart


def draw_all(charts: dict[str, Callable], results: dict) -> dict[str, str]:
    """Return pictures (SVG) by the names of their files, cost-NAME-light.svg and cost-NAME-dark.svg."""
    drawn = {}
    for page in INK:
        for name, chart in charts.items():
            picture = chart(page, results)
            picture.uuid = name  # otherwise drawn by lot
            svg = picture.render(is_unicode=True)
            drawn[f"cost-{name}-{page}.svg"] = re.sub("<!--Generated .*?-->", "", svg)  # it has the day in it
    return drawn


def of_table(results: dict) -> dict[str, str]:
    """Return the pictures of the table; that of the instructions is missing where none were counted."""
    counted = {"instructions": instructions} if results["server"]["none"]["instructions"] is not None else {}
    return draw_all(counted | {"throughput": throughput}, results)


def of_scale(results: dict) -> dict[str, str]:
    """Return the pictures of the scale; that of the attributes is missing where no instructions were counted."""
    counted = {"attributes": attributes} if results["instructions by attributes"]["0"] is not None else {}
    return draw_all(counted | {"batches": batches}, results)


PARTS = {"table": of_table, "scale": of_scale}
