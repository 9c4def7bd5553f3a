"""A second service: it knows the prices. Start it with `python prices.py`."""

from flask import Flask, abort, request
from opentelemetry.semconv.attributes.http_attributes import HTTP_RESPONSE_STATUS_CODE
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from beyond.conventions import http_server_attributes
from beyond.settings import check_port, read_setting
from common import get_tracer

PRICES = {"apple": 30, "pear": 45}

app = Flask(__name__)
tracer = get_tracer("prices")


@app.route("/price/<item>")
def price(item):
    """Continue the caller's trace, and answer with the price in cents; 404 for what is not sold here."""
    ctx = TraceContextTextMapPropagator().extract(request.headers)
    attributes = http_server_attributes(request)
    route = request.url_rule.rule  # "/price/<item>"
    with tracer.start_as_current_span(route, context=ctx, kind=SpanKind.SERVER, attributes=attributes) as span:
        sold = item in PRICES
        span.set_attribute(HTTP_RESPONSE_STATUS_CODE, 200 if sold else 404)
    if not sold:
        abort(404)  # only here: inside the block the SDK would record it as an exception
    return {"cents": PRICES[item]}


if __name__ == "__main__":
    app.run(port=read_setting("SERVER_PORT", "8082", check_port), debug=False)
