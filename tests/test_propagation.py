"""The context crosses the process boundary in the headers, and a bad one starts a new trace."""

import random

import pytest

from tests.support import ask

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE_ID}-{PARENT_ID}-01"


@pytest.mark.parametrize(
    ("headers", "trace_state"),
    [
        ([("traceparent", VALID)], ""),
        ([("TraceParent", VALID)], ""),
        ([("traceparent", f"cc{VALID[2:]}-what-the-future-brings")], ""),
        ([("traceparent", VALID), ("tracestate", "vendor=1,other=2")], "vendor=1,other=2"),
        ([("traceparent", VALID), ("tracestate", "vendor=1"), ("tracestate", "other=2")], "vendor=1,other=2"),
        ([("traceparent", VALID), ("tracestate", "vendor=1,bad")], ""),  # the SDK drops all then
    ],
    ids=["valid", "in any case", "a later version", "with a tracestate", "with two", "with a bad one"],
)
def test_a_valid_context_is_continued(server_span, headers, trace_state):
    span = server_span(headers)
    assert (span.trace_id, span.parent_id, span.trace_state) == (TRACE_ID, PARENT_ID, trace_state)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("tracestate", "vendor=1")],
        [("traceparent", "")],
        [("traceparent", "garbage")],
        [("traceparent", f"00-{'0' * 32}-{PARENT_ID}-01")],
        [("traceparent", f"00-{TRACE_ID}-{'0' * 16}-01")],
        [("traceparent", f"ff-{TRACE_ID}-{PARENT_ID}-01")],
        [("traceparent", f"{VALID}-more")],
        [("traceparent", "x" * 10_000)],
        [("traceparent", VALID), ("traceparent", VALID)],
    ],
    ids=["none", "no parent", "empty", "garbage", "zero trace", "zero parent", "version ff", "longer", "huge", "twice"],
)
def test_any_other_starts_a_new_trace(server_span, headers):
    span = server_span(headers)
    assert (span.parent_id, span.trace_state) == ("", "")
    assert span.trace_id != TRACE_ID


def test_an_unsampled_trace_is_not_sent(shared_server, shared_sink, server_span):
    trace_id = f"{random.getrandbits(128):032x}"
    assert ask(shared_server.port, headers=[("traceparent", f"00-{trace_id}-{PARENT_ID}-00")]) == 200
    server_span()  # which leaves after that of the other would
    assert trace_id not in {span.trace_id for span in shared_sink.spans}
