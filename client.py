"""A client, instrumented by hand: it pings the server until Ctrl+C, and sends the trace context along in the headers.

Post, part 1, "Initialization" and "Context propagation". Start it with `python client.py test` (`test` is ignored).
"""

import sys

import requests
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import HTTP_RESPONSE_STATUS_CODE
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from beyond.conventions import get_class_name, http_client_attributes
from beyond.pinging import repeat_until_ctrl_c
from beyond.settings import check_http_url, read_setting
from common import get_tracer

tracer = get_tracer("client")


def send_requests(url):
    """Ping `url` (str) once, in a span of its own, and print what came back. Raises requests.RequestException."""
    attributes = http_client_attributes(url)  # {"http.request.method": "GET", "url.full": url, ...}
    # The kind: CLIENT asks another process, SERVER answers one, and INTERNAL, the default, does neither.
    with tracer.start_as_current_span("client operation", kind=SpanKind.CLIENT, attributes=attributes) as span:
        carrier = {}
        TraceContextTextMapPropagator().inject(carrier)
        print(carrier, file=sys.stderr)  # {'traceparent': '00-<trace id>-<span id>-<flags>'}
        try:
            res = requests.get(url, headers=carrier, timeout=5)  # all that is in it, tracestate too
        except Exception as error:
            span.set_attribute(ERROR_TYPE, get_class_name(error))
            raise  # the SDK records the exception that leaves the block, and sets the status ERROR
        span.set_attribute(HTTP_RESPONSE_STATUS_CODE, res.status_code)
        if not res.ok:  # 400 or more; nothing was raised, so the status is ours to set
            span.set_attribute(ERROR_TYPE, str(res.status_code))
            span.set_status(StatusCode.ERROR)
    res.raise_for_status()  # only here: inside the block the SDK would record it as an exception
    print(f"Request to {url}, got {len(res.content)} bytes")


if __name__ == "__main__":
    url = read_setting("DESTINATION_URL", "http://localhost:8081/ping", check_http_url)
    sys.exit(repeat_until_ctrl_c(send_requests, url))  # every 5 s; with 1 if a ping failed
