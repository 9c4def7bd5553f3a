"""A second route: it takes an order. Start it with `python shop.py`, instead of `python server.py`."""

import json
import os
from urllib.parse import quote

import requests
from flask import make_response, request
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import HTTP_RESPONSE_STATUS_CODE
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from beyond.conventions import get_class_name, http_client_attributes, http_server_attributes
from beyond.settings import check_port, read_setting
from common import get_tracer
from server import app, get_context_from_flask_request, redis_client

PRICES_URL = os.environ.get("PRICES_URL", "http://127.0.0.1:8082")

tracer = get_tracer("shop")


@app.route("/order/<item>")
def order(item):
    """Continue the caller's trace, in which the price is asked for and the order is sent on."""
    ctx = get_context_from_flask_request(request)
    attributes = http_server_attributes(request) | {"shop.item": item}
    route = request.url_rule.rule  # "/order/<item>"
    with tracer.start_as_current_span(route, context=ctx, kind=SpanKind.SERVER, attributes=attributes) as span:
        try:
            response = make_response(take_order(item))
        except Exception as error:
            span.set_attribute(HTTP_RESPONSE_STATUS_CODE, 500)
            span.set_attribute(ERROR_TYPE, get_class_name(error))
            raise
        span.set_attribute(HTTP_RESPONSE_STATUS_CODE, response.status_code)
        if response.status_code >= 500:  # nothing was raised, so the status is ours to set
            span.set_attribute(ERROR_TYPE, str(response.status_code))
            span.set_status(StatusCode.ERROR)
        return response


def take_order(item):
    """Return what to answer: the price of `item` (str) in cents, or 404 when nobody sells it."""
    cents = get_price(item)
    if cents is None:
        return "Nobody sells that.\n", 404
    send_order({"item": item, "cents": cents})
    return {"item": item, "cents": cents}


def get_price(item):
    """Return the price (int) that the second service says, None when it has none. Raises RequestException."""
    url = f"{PRICES_URL}/price/{quote(item)}"
    attributes = http_client_attributes(url)
    with tracer.start_as_current_span("get price", kind=SpanKind.CLIENT, attributes=attributes) as span:
        carrier = {}
        TraceContextTextMapPropagator().inject(carrier)
        try:
            res = requests.get(url, headers=carrier, timeout=5)
        except Exception as error:
            span.set_attribute(ERROR_TYPE, get_class_name(error))
            raise
        span.set_attribute(HTTP_RESPONSE_STATUS_CODE, res.status_code)
        if not res.ok:  # an error for who asked, whatever it is for the one who answered
            span.set_attribute(ERROR_TYPE, str(res.status_code))
            span.set_status(StatusCode.ERROR)
    if res.status_code == 404:
        return None
    res.raise_for_status()
    return res.json()["cents"]


QUEUE = {"messaging.system": "redis", "messaging.destination.name": "orders"}


def send_order(order):
    """Put an `order` (dict) into the queue, for whoever is there to work on it. Raises redis.RedisError."""
    attributes = QUEUE | {"messaging.operation.name": "send", "messaging.operation.type": "send"}
    with tracer.start_as_current_span("send orders", kind=SpanKind.PRODUCER, attributes=attributes) as span:
        carrier = {}
        TraceContextTextMapPropagator().inject(carrier)
        try:
            redis_client.rpush("orders", json.dumps({"headers": carrier, "body": order}))
        except Exception as error:
            span.set_attribute(ERROR_TYPE, get_class_name(error))
            raise


if __name__ == "__main__":
    app.run(port=read_setting("SERVER_PORT", "8081", check_port), debug=False)
