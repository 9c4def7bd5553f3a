"""A second route: it takes an order. Start it with `python shop.py`, instead of `python server.py`."""

import json
import os
from urllib.parse import quote

from beyond.conventions import error_type, http_client_attributes, http_server_attributes
from beyond.databases import redis_client
from beyond.settings import get_address

import requests
from flask import abort, request
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import HTTP_RESPONSE_STATUS_CODE
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from common import get_tracer
from server import app, get_context_from_flask_request, record_response

PRICES_URL = os.environ.get("PRICES_URL", "http://127.0.0.1:8082")

tracer = get_tracer("shop")


@app.route("/order/<item>")
def order(item):
    """Continue the caller's trace, in which the price is asked for and the order is sent on."""
    ctx = get_context_from_flask_request(request)
    attributes = http_server_attributes(request) | {"shop.item": item}
    route = request.url_rule.rule  # "/order/<item>"
    with tracer.start_as_current_span(route, context=ctx, kind=SpanKind.SERVER, attributes=attributes) as span:
        return record_response(span, take_order, item)


def take_order(item):
    """Answer with the price of `item` (str) in cents; 404 when nobody sells it."""
    cents = get_price(item)
    send_order({"item": item, "cents": cents})
    return {"item": item, "cents": cents}


def get_price(item):
    """Return the price (int) that the second service says. Raises requests.RequestException."""
    url = f"{PRICES_URL}/price/{quote(item)}"
    attributes = http_client_attributes(url)
    with tracer.start_as_current_span("get price", kind=SpanKind.CLIENT, attributes=attributes) as span, error_type():
        carrier = {}
        TraceContextTextMapPropagator().inject(carrier)
        res = requests.get(url, headers=carrier, timeout=5)
        span.set_attribute(HTTP_RESPONSE_STATUS_CODE, res.status_code)
        if res.status_code >= 400:  # an error for who asked, whatever it is for the one who answered
            span.set_status(StatusCode.ERROR)
            span.set_attribute(ERROR_TYPE, str(res.status_code))
    if res.status_code == 404:
        abort(404)
    res.raise_for_status()
    return res.json()["cents"]


QUEUE = {"messaging.system": "redis", "messaging.destination.name": "orders"}


def send_order(order):
    """Put an `order` (dict) into the queue, for whoever is there to work on it."""
    attributes = QUEUE | {"messaging.operation.name": "send", "messaging.operation.type": "send"}
    with tracer.start_as_current_span("send orders", kind=SpanKind.PRODUCER, attributes=attributes), error_type():
        carrier = {}
        TraceContextTextMapPropagator().inject(carrier)
        redis_client.rpush("orders", json.dumps({"headers": carrier, "body": order}))


if __name__ == "__main__":
    app.run(*get_address(), debug=False)
