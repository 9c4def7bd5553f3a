"""A second service: it knows the prices. Start it with `SERVER_PORT=8082 python prices.py`."""

from beyond.conventions import http_server_attributes
from beyond.databases import get_response
from beyond.settings import get_address

from flask import Flask, abort, request
from opentelemetry.semconv.attributes.http_attributes import HTTP_RESPONSE_STATUS_CODE
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from common import get_tracer

PRICES = {"apple": 30, "pear": 45}

app = Flask(__name__)
tracer = get_tracer("prices")


@app.route("/price/<item>")
def price(item):
    """Continue the caller's trace, and answer with the price."""
    ctx = TraceContextTextMapPropagator().extract(request.headers)
    attributes = http_server_attributes(request)
    route = request.url_rule.rule  # "/price/<item>"
    with tracer.start_as_current_span(route, context=ctx, kind=SpanKind.SERVER, attributes=attributes) as span:
        response = get_response(find_price, item)
        span.set_attribute(HTTP_RESPONSE_STATUS_CODE, response.status_code)
        return response


def find_price(item):
    """Return the price of `item` (str) in cents; 404 for what is not sold here."""
    if item not in PRICES:
        abort(404)
    return {"cents": PRICES[item]}


if __name__ == "__main__":
    app.run(*get_address(), debug=False)
