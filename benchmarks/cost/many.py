"""A server whose /ping makes SPANS spans with ATTRIBUTES attributes each, and does nothing else."""

import os
import random

from common import get_tracer

SPANS, ATTRIBUTES = int(os.environ.get("SPANS", "5")), int(os.environ.get("ATTRIBUTES", "5"))
NAMES = [f"attribute.number.{number}" for number in range(ATTRIBUTES)]

tracer = get_tracer("many")


def app(environ, start_response):
    """Answer a request (WSGI), in a span with SPANS - 1 children."""
    with tracer.start_as_current_span("request", attributes=dict.fromkeys(NAMES, "a value of no meaning")):
        for _ in range(SPANS - 1):
            with tracer.start_as_current_span("child", attributes=dict.fromkeys(NAMES, "a value of no meaning")):
                random.random()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "0")])
    return Body()


class Body:
    """An empty answer, which may be closed, as those of Flask."""

    def __iter__(self):
        return iter(())

    def close(self):
        pass
