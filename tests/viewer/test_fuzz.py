"""Whatever reaches the viewer's receiver, the viewer answers, lives on, and can show what it kept."""

import io
import json

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from rich.console import Console

from tests.viewer.otlp import EXPORT, attribute, exception, request, send, span
from viewer import receiver, web
from viewer.picture import Picture
from viewer.search import Search
from viewer.store import Store
from viewer.trace_json import trace_json
from viewer.tree import may_grow

TAKEN_OR_TOLD = {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}
GOOD = request(
    span("parent", id=1, attributes=[attribute("key", "value")]),
    span("child", id=2, parent=1, failed=True, events=[exception()]),
).SerializeToString()

absurd_times = st.sampled_from([0, 1, 10**18, 2**63, 2**64 - 1])
few_ids = st.integers(0, 4)  # so that cycles, repetitions and missing parents come about
spans = st.builds(
    span,
    name=st.text(max_size=20),
    trace=st.integers(0, 2),
    id=few_ids,
    parent=few_ids,
    failed=st.booleans(),
    kind=st.integers(-1, 9),
    start_time_unix_nano=absurd_times,
    end_time_unix_nano=absurd_times,
    attributes=st.lists(st.builds(attribute, st.text(max_size=5), st.text(max_size=5)), max_size=3),
)


@pytest.fixture(scope="module")
def viewer():
    """A store, and what sends bytes to its receiver and returns the status of the answer."""
    store = Store(max_traces=20, max_spans=200)
    server, port = receiver.start(store, "127.0.0.1", 0)
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.max_send_message_length", -1)]) as channel:
        export = channel.unary_unary(EXPORT)

        def send(message):
            try:
                export(message, timeout=20)
            except grpc.RpcError as error:
                return error.code()
            return grpc.StatusCode.OK

        yield store, send
    server.stop(None).wait()


def show_everything(store):
    """Draw, write out and look through each trace that is kept, as the terminal and the page do."""
    wanted = {"query.attributes": '{"a":"b"}', "query.durationMin": "1ns", "viewer.search": "x"}
    assert len(list(Search(wanted).find(store))) <= store.kept()
    for summary in store.summaries():
        trace = store.trace(summary.trace_id)
        may_grow(trace)
        assert Picture(summary, trace, Console(file=io.StringIO(), width=80), {}).draw().plain
        assert json.loads("".join(trace_json(trace)))["result"]["resourceSpans"]
        json.dumps(web.summary_json(summary), allow_nan=False)


@settings(max_examples=50)
@given(st.data())
def test_a_mutated_request_is_taken_or_told_to_be_invalid(viewer, data):
    store, send = viewer
    message = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 8), "mutations")):
        position = data.draw(st.integers(0, len(message)), "position")
        length = data.draw(st.integers(0, 8), "bytes replaced")
        message[position : position + length] = data.draw(st.binary(max_size=8), "by")
    assert send(bytes(message)) in TAKEN_OR_TOLD
    show_everything(store)


@settings(max_examples=40)
@given(st.lists(spans, max_size=8))
def test_any_spans_are_taken_and_shown(viewer, spans):
    store, send = viewer
    assert send(request(*spans).SerializeToString()) == grpc.StatusCode.OK
    show_everything(store)


@pytest.mark.parametrize(
    "big",
    [
        [span(attributes=[attribute(f"key {n}", "value") for n in range(10_000)])],
        [span(id=1, parent=0), *(span(id=n + 1, parent=n) for n in range(1, 10_000))],
        [span(id=1, parent=2), span(id=2, parent=3), span(id=3, parent=1)],
        [span(id=1, parent=1)],
        [span("x" * 1_000_000)],
        [span(events=[exception(message="x" * 1_000_000)], failed=True)],
        [span(links=[Span.Link(trace_id=b"1" * 16, span_id=b"2" * 8)] * 10_000)],
    ],
    ids=["10,000 attributes", "10,000 deep", "a cycle", "its own parent", "1 MB name", "1 MB message", "10,000 links"],
)
def test_what_is_big_or_circular_is_taken_and_shown(viewer, big):
    _, export = viewer
    store = Store()
    assert export(request(*big).SerializeToString()) == grpc.StatusCode.OK
    send(store, request(*big))
    show_everything(store)
