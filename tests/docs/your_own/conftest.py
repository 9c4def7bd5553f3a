"""A provider for the tests, whose spans stay here: nothing is sent, and nothing is waited for."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)  # before the programs are imported: a process has one provider


@pytest.fixture
def spans():
    """The spans that have ended since the test began, by name: `spans()["get price"]`."""
    exporter.clear()
    return lambda: {span.name: span for span in exporter.get_finished_spans()}
