"""OpenTelemetry, set up once in each program of the project."""

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def get_tracer(name):
    """Return a tracer; `name` (str) says on its spans which part of the program made them (instrumentation scope)."""
    if not isinstance(trace.get_tracer_provider(), TracerProvider):  # so far there is only the API's placeholder
        provider = TracerProvider()  # its resource comes from OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES
        exporter = OTLPSpanExporter()  # to OTEL_EXPORTER_OTLP_ENDPOINT; where that is not set, to http://localhost:4317
        processor = BatchSpanProcessor(exporter)  # it sends from a thread of its own, every 5 seconds and at the end
        provider.add_span_processor(processor)
        trace.set_tracer_provider(provider)  # a process has one, so all this happens once
    return trace.get_tracer(name)


def get_class_name(error):
    """Return the qualified name (str) of an exception's class, which is its error.type."""
    return f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
