"""docs/cost.md: the table is one of `make bench`, and the values that it recommends do what it says."""

import contextlib
import re
import time

import pytest

from benchmarks.cost.servers import serve
from benchmarks.cost.table import Turn, table
from benchmarks.cost.variants import VARIANTS
from tests.sink import Sink
from tests.support import ROOT

PAGE = (ROOT / "docs" / "cost.md").read_text()
MEASURED = re.search(r"<!-- make bench -->\n(.*)<!-- end -->", PAGE, re.S)[1]
VALUES = dict(re.findall(r"^(OTEL_BSP_\w+)=(\d+)", PAGE, re.M))
PINGS, SECONDS = (
    int(number.replace(",", ""))
    for number in re.search(r"burst of ([\d,]+) pings\s.*backend\s+that\s+takes\s+(\d+) s for\s+each", PAGE).groups()
)
BY_HAND = next(variant for variant in VARIANTS if variant.name == "by hand")
FULL = "Queue full, dropping Span."


def rows(text):
    """Return the cells of each line of a table, by the first one."""
    lines = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}


def test_the_table_is_one_that_the_benchmark_prints_with_the_instructions_counted():
    any_figure = {variant.name: 1 for variant in VARIANTS}
    turns = {variant.name: [Turn(1, 1, 1, 1, 1)] * 2 for variant in VARIANTS}
    assert list(rows(MEASURED)) == list(rows(table(any_figure, turns, any_figure)))


def test_no_span_was_lost_when_the_figures_were_measured():
    assert rows(MEASURED)["spans lost"] == ["0"] * len(VARIANTS)


class SlowSink(Sink):
    """A backend that takes its time for each export."""

    def Export(self, request, context):
        time.sleep(SECONDS)
        return super().Export(request, context)


@pytest.fixture
def burst(redis_server, mongodb_server):
    """Let a server answer the burst that the page names; yield the slow backend, the server, and how many pings."""

    @contextlib.contextmanager
    def burst(**settings):
        slow = SlowSink()
        databases = {"REDIS_URL": redis_server.url, "MONGODB_URI": mongodb_server.uri}
        with serve(BY_HAND, slow, **databases, **settings) as server:
            pings = 0
            while pings < PINGS:
                pings += len(server.load(8, 0.1))
            yield slow, server.process, pings
        slow.stop()

    return burst


def test_in_the_burst_that_it_names_the_defaults_drop_spans(burst):
    with burst() as (_, process, _):
        process.wait_for(FULL)


def test_with_the_values_that_it_recommends_every_span_of_that_burst_arrives(burst):
    with burst(**VALUES) as (slow, process, pings):
        slow.wait_for(pings * BY_HAND.spans, seconds=60)
        assert FULL not in process.output


def test_the_command_that_it_names_is_one_of_make():
    assert re.search(r"^make bench$", PAGE, re.M)
    assert re.search(r"^bench:.*\n(\t.*\n)*\t.*-m benchmarks\.cost$", (ROOT / "Makefile").read_text(), re.M)
