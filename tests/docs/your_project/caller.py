"""It asks the service for a book. Start it with `python caller.py`."""

import asyncio

import httpx
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from common import get_class_name, get_tracer

tracer = get_tracer("caller")


async def get_book(url):
    """Print what the service at `url` (str) says. Raises httpx.HTTPError."""
    server = httpx.URL(url).copy_with(userinfo=b"")  # no password belongs into a trace
    attributes = {
        "http.request.method": "GET",
        "url.full": str(server),
        "server.address": server.host,
        "server.port": server.port or (443 if server.scheme == "https" else 80),
    }
    with tracer.start_as_current_span("GET", kind=SpanKind.CLIENT, attributes=attributes) as span:
        carrier = {}
        TraceContextTextMapPropagator().inject(carrier)
        try:
            async with httpx.AsyncClient() as client:
                res = await client.get(url, headers=carrier)
        except Exception as error:
            span.set_attribute("error.type", get_class_name(error))
            raise
        span.set_attribute("http.response.status_code", res.status_code)
        if res.is_error:  # 400 or more; nothing was raised, so the status is ours to set
            span.set_attribute("error.type", str(res.status_code))
            span.set_status(StatusCode.ERROR)
    print(res.text)


if __name__ == "__main__":
    asyncio.run(get_book("http://127.0.0.1:8083/book/7"))
