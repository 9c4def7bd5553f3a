"""A client, instrumented by hand: it pings the server until Ctrl+C, and sends the trace context along in the headers.

Post, part 1, "Initialization" and "Context propagation". Start it with `python client.py test` (`test` is ignored).
"""

import sys

from beyond.conventions import explain, get_class_name, http_client_attributes, redact, without_secrets
from beyond.leaving import repeat_until_ctrl_c
from beyond.settings import get_destination_url

import requests
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import HTTP_RESPONSE_STATUS_CODE
from opentelemetry.trace import SpanKind, StatusCode, format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from common import get_tracer

tracer = get_tracer("client")


def send_requests(url):
    """Ping `url` (str) once, in a span of its own, and print what came back; return whether that went well (bool)."""
    attributes = http_client_attributes(url)  # {"http.request.method": "GET", "url.full": url, ...}
    with tracer.start_as_current_span("client operation", kind=SpanKind.CLIENT, attributes=attributes) as span:
        carrier = {}
        TraceContextTextMapPropagator().inject(carrier)  # now it is {"traceparent": "00-<trace id>-<span id>-<flags>"}
        failure = None
        try:
            res = requests.get(url, headers=carrier, timeout=5)
            span.set_attribute(HTTP_RESPONSE_STATUS_CODE, res.status_code)
        except (requests.RequestException, ValueError) as error:  # no answer, or a redirect to an invalid URL
            failure = explain(error)
            span.record_exception(without_secrets(error))  # by hand, since it is caught here; its message has the URL
            span.set_status(StatusCode.ERROR, failure)
            span.set_attribute(ERROR_TYPE, get_class_name(error))
        else:
            if res.status_code >= 400:  # an answer, but an error; the code says enough, so no description
                failure = f"the answer is {res.status_code}"
                span.set_status(StatusCode.ERROR)
                span.set_attribute(ERROR_TYPE, str(res.status_code))
    if failure:
        print(f"Request to {redact(url)} failed: {failure}", file=sys.stderr)
    else:
        print(f"Request to {redact(url)}, got {len(res.content)} bytes")
    print(f"  trace {format_trace_id(span.get_span_context().trace_id)}", file=sys.stderr)
    return not failure


if __name__ == "__main__":
    url = get_destination_url()
    sys.exit(repeat_until_ctrl_c(send_requests, url))  # with 1 when a ping failed, else 0
