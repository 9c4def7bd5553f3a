"""A service of FastAPI. Start it with `uvicorn service:app --port 8083`."""

import asyncio
from contextlib import asynccontextmanager
from http import HTTPMethod

from fastapi import BackgroundTasks, FastAPI, HTTPException
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from common import get_class_name, get_tracer

tracer = get_tracer("service")


@asynccontextmanager
async def lifespan(app):
    """Send the last spans when the server ends: under uvicorn SIGTERM runs no exit handlers, which would do it."""
    yield
    trace.get_tracer_provider().force_flush()


app = FastAPI(lifespan=lifespan, telemetry={"tracing": False})  # without FastAPI's own spans


@app.middleware("http")
async def trace_request(request, call_next):
    """Continue the caller's trace, in a span around each request, also one that no view answers."""
    ctx = TraceContextTextMapPropagator().extract(request.headers)
    method = name = request.method
    if method not in HTTPMethod.__members__:  # else any caller could invent names of spans
        method, name = "_OTHER", "HTTP"
    attributes = {
        "http.request.method": method,
        "url.scheme": request.scope["scheme"],
        "url.path": request.scope["path"],
        "server.address": request.url.hostname,
        "server.port": request.url.port or (443 if request.url.scheme == "https" else 80),
    }
    with tracer.start_as_current_span(name, context=ctx, kind=SpanKind.SERVER, attributes=attributes) as span:
        try:
            response = await call_next(request)
        except Exception as error:
            span.set_attribute("http.response.status_code", 500)  # what FastAPI will answer
            span.set_attribute("error.type", get_class_name(error))
            raise  # the SDK records the exception that leaves the block, and sets the status ERROR
        finally:
            if route := request.scope.get("route"):  # known only now, and not for a path that nobody knows
                span.set_attribute("http.route", route.path)
                span.update_name(f"{name} {route.path}")
        span.set_attribute("http.response.status_code", response.status_code)
        if response.status_code >= 500:
            span.set_attribute("error.type", str(response.status_code))
            span.set_status(StatusCode.ERROR)
        return response


@app.get("/book/{number}")
async def book(number: int, background: BackgroundTasks):
    """Answer with a book; 404 for one that is not here."""
    title, author = await asyncio.gather(find("title", number), find("author", number))
    if title is None:
        raise HTTPException(404)
    background.add_task(remember, number)
    return {"title": title, "author": author}


async def find(what, number):
    """Return the "title" or the "author" of a book (str), or None."""
    with tracer.start_as_current_span(f"find {what}"):
        await asyncio.sleep(0.01)  # here a database would be asked
    return {"title": "The Castle", "author": "Franz Kafka"}[what] if number == 7 else None


@tracer.start_as_current_span("remember")
async def remember(number):
    """Note down, after the answer, that somebody asked."""
    await asyncio.sleep(0.01)
