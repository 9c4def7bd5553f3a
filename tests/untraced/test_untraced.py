"""The twin in untraced/: the same work, without a line of tracing, and what `opentelemetry-instrument` makes of it."""

import re

import pytest
import requests

from tests.support import ROOT


def test_plain_it_answers_as_ours_does_and_sends_nothing(twin, sink):
    server = twin("server.py", instrumented=False)
    twin("client.py", instrumented=False).wait_for(r"Request to http://127.0.0.1:\d+/ping, got \d+ bytes\n")
    for path in ("redis/12", "pymongo/12"):
        assert re.fullmatch("[a-z]{12}", requests.get(f"{server.url}/{path}", timeout=10).text)
    assert requests.get(f"{server.url}/redis/many", timeout=10).status_code == 404
    assert sink.spans == []


def test_instrumented_a_ping_is_one_trace_of_five_spans(twin, sink):
    twin("server.py", instrumented=True)
    twin("client.py", instrumented=True)
    first = sink.wait_for(1)[0]  # the client pings on
    sink.wait_for_trace(["GET", "GET /ping", "MSET", "GET", "opentelemetry-tests.find"], first.trace_id)


@pytest.mark.parametrize("program", ["server.py", "client.py"])
def test_it_has_not_a_line_of_tracing(program):
    code = (ROOT / "untraced" / program).read_text().partition('"""\n\n')[2].replace("opentelemetry-tests", "")
    assert "import" in code
    assert not re.search("otel|opentelemetry|trace|span", code, re.I)
