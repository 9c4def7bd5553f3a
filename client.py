"""A client, instrumented by hand: it pings the server and sends the trace context along in the headers.

Post, part 1, "Initialization" and "Context propagation". Start it with `python client.py test`.
"""

import argparse
import sys
import time
from urllib.parse import urlsplit

import requests
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.semconv.attributes.url_attributes import URL_FULL
from opentelemetry.trace import SpanKind, format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from common import get_error_type, get_setting, get_tracer, leave_on_signals

TIMEOUT = 5  # seconds
FAILURES = (OSError, ValueError)  # requests' own, and what a redirect to no URL raises

tracer = get_tracer("client")


def send_requests(url):
    """Ping `url` (str) once, in a span of its own, and print what came back.

    Raises one of FAILURES when no answer comes in time, or one of 400 or more.
    """
    parts = urlsplit(url)
    attributes = {
        HTTP_REQUEST_METHOD: "GET",
        URL_FULL: url,
        SERVER_ADDRESS: parts.hostname,
        SERVER_PORT: parts.port or (443 if parts.scheme == "https" else 80),
    }
    with tracer.start_as_current_span("client operation", kind=SpanKind.CLIENT, attributes=attributes) as span:
        trace_id = format_trace_id(span.get_span_context().trace_id)
        carrier = {}
        TraceContextTextMapPropagator().inject(carrier)
        try:
            res = requests.get(url, headers=carrier, timeout=TIMEOUT)
            span.set_attribute(HTTP_RESPONSE_STATUS_CODE, res.status_code)
            if res.status_code >= 400:
                raise requests.HTTPError(f"the answer is {res.status_code}")
        except FAILURES as error:
            answered = isinstance(error, requests.HTTPError)
            span.set_attribute(ERROR_TYPE, str(res.status_code) if answered else get_error_type(error))
            print(f"Request to {url} failed: {explain(error)} (trace {trace_id})", file=sys.stderr)
            raise
    print(f"Request to {url}, got {len(res.content)} bytes (trace {trace_id})")


def explain(error):
    """Return in a few words (str) why a request failed."""
    if isinstance(error, requests.HTTPError):
        return str(error)
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT} s"
    if isinstance(error, requests.ConnectionError):
        return "no connection; is the server running?"
    return type(error).__name__


def get_destination_url():
    """Return the URL (str) to ping; ends the program with one line if that is no http(s) URL, or holds credentials."""
    url = get_setting("DESTINATION_URL", default="http://localhost:8081/ping")
    try:
        requests.Request("GET", url).prepare()
        parts = urlsplit(url)
        (parts.hostname or "").encode("idna")
        usable = parts.scheme in ("http", "https") and parts.port != 0 and "@" not in parts.netloc
    except ValueError:  # requests' errors for a URL are subclasses of it
        usable = False
    if not usable:  # it is not printed: it may hold a password
        sys.exit("DESTINATION_URL must be like http://localhost:8081/ping, without user and password.")
    return url


def main():
    """Ping until Ctrl+C, or --count times; return the exit status (int): 0 when every ping went well, else 1."""
    parser = argparse.ArgumentParser(description="Ping the server at DESTINATION_URL, in one trace with it.")
    parser.add_argument("ignored", nargs="*", metavar="test", help="has no effect, as in the post")
    parser.add_argument("--count", type=int, metavar="N", help="stop after N pings (default: never)")
    parser.add_argument("--interval", type=float, default=5, metavar="SECONDS", help="between pings (default: 5)")
    arguments = parser.parse_args()
    if arguments.count is not None and arguments.count < 1:
        parser.error("--count must be at least 1")
    if not 0 <= arguments.interval < 1e9:  # written with `not`, so that NaN is refused too
        parser.error("--interval must be a number of seconds from 0 up")
    url = get_destination_url()
    signals = leave_on_signals()
    pings = failures = 0
    try:
        while True:
            try:
                send_requests(url)
            except FAILURES:
                failures += 1
            pings += 1
            if signals or pings == arguments.count:
                break
            time.sleep(arguments.interval)
    except KeyboardInterrupt:
        pass
    print(f"{pings} pings, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
