"""OpenTelemetry setup and configuration, for client.py and server.py alike.

Post, part 1, "OTel setup and configuration (common.py)".
"""

import os

from beyond.leaving import export_the_rest_at_exit
from beyond.settings import get_endpoint, say_where_traces_go

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def get_otlp_exporter():
    """Return the exporter, which sends spans over OTLP/gRPC; with a token to Lightstep, as in the post."""
    ls_access_token = os.environ.get("LS_ACCESS_TOKEN")
    if not ls_access_token:
        return OTLPSpanExporter()  # to OTEL_EXPORTER_OTLP_ENDPOINT, or http://localhost:4317; http means no TLS
    return OTLPSpanExporter(
        endpoint=get_endpoint(default="https://ingest.lightstep.com:443"),  # unless OTEL_EXPORTER_OTLP_ENDPOINT is set
        headers=(("lightstep-access-token", ls_access_token),),
    )


def get_tracer(name=__name__):
    """Return a tracer; `name` (str) is the instrumentation scope of its spans. The first call sets up tracing."""
    if not isinstance(trace.get_tracer_provider(), TracerProvider):  # a process has one, and it can be set only once
        resource = Resource.create()  # reads OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME
        if resource.attributes[SERVICE_NAME].startswith("unknown_service"):  # neither gives a name
            resource = resource.merge(Resource({SERVICE_NAME: "test-py-manual-otlp"}))
        exporter = get_otlp_exporter()
        processor = BatchSpanProcessor(exporter)
        provider = TracerProvider(resource=resource)
        provider.add_span_processor(processor)
        trace.set_tracer_provider(provider)
        export_the_rest_at_exit(processor)  # sends the last batch, also at SIGTERM, where the SDK alone loses it
        say_where_traces_go(resource, exporter)
    return trace.get_tracer(name)
