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
from beyond.settings import say_where_traces_go


def get_endpoint():
    """Return where to send traces (str): to Lightstep or to this machine, unless the environment says where."""
    default = "https://ingest.lightstep.com:443" if os.environ.get("LS_ACCESS_TOKEN") else "http://localhost:4317"
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    return endpoint or default


def get_otlp_exporter():
    """Return the exporter, which sends spans over OTLP/gRPC, with a token in its headers if there is one."""
    ls_access_token = os.environ.get("LS_ACCESS_TOKEN")
    return OTLPSpanExporter(
        endpoint=get_endpoint(),
        headers=(("lightstep-access-token", ls_access_token),) if ls_access_token else None,
    )


def get_tracer(name=__name__):
    """Return a tracer; `name` (str) is the instrumentation scope: the part of the program that made a span."""
    if not isinstance(trace.get_tracer_provider(), TracerProvider):  # the first call sets up tracing
        # Resource.create() prefers the name that it is given to the environment's: so read the environment first.
        name_in_environment = OTELResourceDetector().detect().attributes.get(SERVICE_NAME)
        resource = Resource.create({SERVICE_NAME: name_in_environment or "test-py-manual-otlp"})
        provider = TracerProvider(resource=resource)
        processor = BatchSpanProcessor(get_otlp_exporter())
        provider.add_span_processor(processor)
        trace.set_tracer_provider(provider)  # a process has one
        send_the_rest_at_exit(processor)  # at SIGTERM too, where the SDK alone loses the last spans
        say_where_traces_go(resource.attributes[SERVICE_NAME], get_endpoint())
    return trace.get_tracer(name)
