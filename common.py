"""OpenTelemetry setup and configuration, for client.py and server.py alike.

Post, part 1, "OTel setup and configuration (common.py)".
"""

import os
import re
import signal
import sys
import threading
import time
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def get_setting(*variables, default=""):
    """Return the first of these environment variables (str) that is set and not blank, else `default`."""
    return next((value for name in variables if (value := os.environ.get(name, "").strip())), default)


def get_otlp_exporter():
    """Return the exporter, which sends spans to the backend over OTLP/gRPC.

    Raises ValueError for a token that no header can hold, and what OTLPSpanExporter raises for its settings.
    """
    ls_access_token = get_setting("LS_ACCESS_TOKEN")
    if not (ls_access_token.isascii() and ls_access_token.isprintable()):
        raise ValueError("LS_ACCESS_TOKEN has a character that no header can hold")
    endpoint = get_otlp_endpoint()
    return OTLPSpanExporter(
        endpoint=endpoint,
        insecure=endpoint.startswith("http://") or None,
        headers=(("lightstep-access-token", ls_access_token),) if ls_access_token else None,
    )


def get_otlp_endpoint():
    """Return the backend's URL (str): https:// means TLS (specification, "OpenTelemetry Protocol Exporter").

    Raises ValueError if the setting is none.
    """
    default = "https://ingest.lightstep.com:443" if get_setting("LS_ACCESS_TOKEN") else "http://localhost:4317"
    endpoint = get_setting("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT", default=default)
    if "/" not in endpoint:  # a bare host:port means TLS
        insecure = get_setting("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE").lower() == "true"
        endpoint = f"{'http' if insecure else 'https'}://{endpoint}"
    if not re.fullmatch(r"https?://[^\s/:]\S*", endpoint) or urlsplit(endpoint).port == 0:
        raise ValueError(f"the endpoint must be like {default}")
    return endpoint


def get_tracer(name=__name__):
    """Return a tracer with `name` (str) as its instrumentation scope, once tracing is set up for this process.

    Says on stderr where the traces go. Ends the program with one line for a setting that the SDK refuses.
    """
    if get_setting("OTEL_SDK_DISABLED").lower() == "true":
        print("Tracing is off: OTEL_SDK_DISABLED is set.", file=sys.stderr)
        return trace.NoOpTracer()
    if isinstance(trace.get_tracer_provider(), TracerProvider):  # it can be set only once
        return trace.get_tracer(name)
    try:
        resource = Resource.create()  # reads OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME
        service_name = resource.attributes[SERVICE_NAME].strip()
        if not service_name or service_name.startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: "test-py-manual-otlp"}))
        exporter = get_otlp_exporter()
        provider = TracerProvider(resource=resource)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    except Exception as error:  # noqa: BLE001, each setting raises its own
        names = ", ".join(sorted(name for name in os.environ if name.startswith(("OTEL_", "LS_"))))
        sys.exit(f"Tracing cannot start: {error} (look at {names})")
    trace.set_tracer_provider(provider)
    limit_last_export(exporter)
    print(f"Traces of {resource.attributes[SERVICE_NAME]} go to {get_otlp_endpoint()}", file=sys.stderr)
    return trace.get_tracer(name)


def limit_last_export(exporter, seconds=2):
    """Give the last export `seconds` (float) once the program ends; on its own it tries for 6 to 8 s."""

    def give_up():
        threading.main_thread().join()  # right after its end, the provider sends what is left
        time.sleep(seconds)
        exporter.shutdown()

    def start():
        threading.Thread(target=give_up, daemon=True).start()  # now: Python 3.12 starts none at exit

    start()
    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(after_in_child=start)  # a fork, as of gunicorn --preload, has no threads


def leave_on_signals():
    """Make SIGTERM end the program as Ctrl+C does, through the last export; a second signal ends it at once.

    Returns the list of signals that came: Python drops the KeyboardInterrupt that meets it in a clean-up.
    """
    signals = []

    def leave(number, frame):
        signals.append(number)
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)
        raise KeyboardInterrupt

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, leave)
    return signals


def get_error_type(error):
    """Return the value (str) of the attribute error.type for an exception: its qualified class name."""
    return f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
