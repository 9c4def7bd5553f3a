"""docs/cost.md: the table is one of `make bench`, and the values that it recommends do what it says."""

import re
import threading

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from benchmarks.cost.table import Turn, table
from benchmarks.cost.variants import VARIANTS
from tests.support import ROOT

PAGE = (ROOT / "docs" / "cost.md").read_text()
MEASURED = re.search(r"<!-- make bench -->\n(.*)<!-- end -->", PAGE, re.S)[1]
VALUES = dict(re.findall(r"^(OTEL_BSP_\w+)=(\d+)", PAGE, re.M))
PINGS = int(re.search(r"A burst of ([\d,]+) pings", PAGE)[1].replace(",", ""))
BY_HAND = next(variant for variant in VARIANTS if variant.name == "by hand")


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


class Slow(InMemorySpanExporter):
    """A backend whose first answer comes after the burst, as one that takes seconds for each."""

    def __init__(self):
        super().__init__()
        self.answers = threading.Event()

    def export(self, spans):
        return super().export(spans) if self.answers.wait(60) else SpanExportResult.FAILURE


@pytest.mark.parametrize(("settings", "loses"), [({}, True), (VALUES, False)], ids=["defaults", "recommended"])
def test_the_burst_that_it_names_loses_spans_with_the_defaults_and_none_with_its_values(monkeypatch, settings, loses):
    for name in VALUES:
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    slow, provider = Slow(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(slow))
    tracer = provider.get_tracer("burst")
    for _ in range(PINGS * BY_HAND.spans):
        tracer.start_span("of a ping").end()
    slow.answers.set()
    provider.shutdown()
    assert (len(slow.get_finished_spans()) < PINGS * BY_HAND.spans) == loses


def test_the_command_that_it_names_is_one_of_make():
    assert re.search(r"^make bench$", PAGE, re.M)
    assert re.search(r"^bench:.*\n(\t.*\n)*\t.*-m benchmarks\.cost$", (ROOT / "Makefile").read_text(), re.M)
