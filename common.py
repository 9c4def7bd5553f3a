"""OpenTelemetry setup and configuration, for client.py and server.py alike.

Post, part 1, "OTel setup and configuration (common.py)".
"""

import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from beyond.leaving import send_the_rest_at_exit
from beyond.settings import get_endpoint, say_where_traces_go


def get_otlp_exporter():
    """Return the exporter, which sends spans over OTLP/gRPC: with a token to Lightstep, as in the post."""
    ls_access_token = os.environ.get("LS_ACCESS_TOKEN")
    if not ls_access_token:
        return OTLPSpanExporter(endpoint=get_endpoint())  # http://localhost:4317, or OTEL_EXPORTER_OTLP_ENDPOINT
    return OTLPSpanExporter(
        endpoint=get_endpoint(),  # https://ingest.lightstep.com:443, or OTEL_EXPORTER_OTLP_ENDPOINT
        headers=(("lightstep-access-token", ls_access_token),),
    )


def get_tracer(name=__name__):
    """Return a tracer; `name` (str) is the instrumentation scope: the part of the program that made a span."""
    if not isinstance(trace.get_tracer_provider(), TracerProvider):  # the first call sets up tracing
        # A name given to create() wins over that of the environment, so look there first.
        name_in_environment = OTELResourceDetector().detect().attributes.get(SERVICE_NAME)
        resource = Resource.create({SERVICE_NAME: name_in_environment or "test-py-manual-otlp"})
        provider = TracerProvider(resource=resource)
        processor = BatchSpanProcessor(get_otlp_exporter())
        provider.add_span_processor(processor)
        trace.set_tracer_provider(provider)  # a process has one
        send_the_rest_at_exit(processor)  # at SIGTERM too, where the SDK alone loses the last spans
        say_where_traces_go(resource.attributes[SERVICE_NAME])
    return trace.get_tracer(name)
