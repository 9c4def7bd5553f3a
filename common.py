"""OpenTelemetry setup and configuration, for client.py and server.py alike.

Post, part 1, "OTel setup and configuration (common.py)".
"""

from beyond.leaving import leave_in_order
from beyond.settings import clear_errors, get_endpoint, get_setting, say_where_traces_go

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def get_otlp_exporter():
    """Return the exporter, which sends spans over OTLP/gRPC: to Lightstep with a token, as in the post."""
    ls_access_token = get_setting("LS_ACCESS_TOKEN")
    if not ls_access_token:
        return OTLPSpanExporter()  # it reads OTEL_EXPORTER_OTLP_ENDPOINT; the default is http://localhost:4317
    return OTLPSpanExporter(
        endpoint=get_endpoint(default="https://ingest.lightstep.com:443"),
        headers=(("lightstep-access-token", ls_access_token),),
    )


def get_tracer(name=__name__):
    """Return a tracer with `name` (str) as its instrumentation scope, once tracing is set up for this process.

    Says on stderr where the traces go. Ends the program with one line for a setting that the SDK refuses.
    """
    if isinstance(trace.get_tracer_provider(), TracerProvider):  # it can be set only once
        say_where_traces_go()
        return trace.get_tracer(name)
    with clear_errors():
        resource = Resource.create()  # reads OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME
        if resource.attributes[SERVICE_NAME].startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: "test-py-manual-otlp"}))
        exporter = get_otlp_exporter()
        processor = BatchSpanProcessor(exporter)
        provider = TracerProvider(resource=resource)
        provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    leave_in_order(processor)
    say_where_traces_go(resource, exporter)
    return trace.get_tracer(name)
