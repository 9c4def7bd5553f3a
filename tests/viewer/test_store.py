"""The store: what it keeps, what it refuses, what leaves, and what it answers."""

import random
import threading
from itertools import chain

import pytest
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tests.viewer.otlp import NOON, attribute, case, received, request, send, span, trace_id
from viewer.store import MAX_NAME_LENGTH, Refused, Store


def summary_of(*requests, **bounds):
    store = Store(**bounds)
    for each in requests:
        send(store, each)
    (summary,) = store.summaries()
    return summary


def test_a_summary_tells_what_a_list_shows():
    client = request(span("GET", id=1, start=0, end=100), service="client")
    server = request(
        span("/ping", id=2, parent=1, start=20, end=80, failed=True),
        span("query", id=3, parent=2, start=30, end=120),
        service="server",
    )
    summary = summary_of(server, client)
    assert summary.trace_id == trace_id(1)
    assert (summary.root_service, summary.root_name) == ("client", "GET")
    assert (summary.start_ns, summary.end_ns) == (NOON, NOON + 120_000_000)
    assert (summary.span_count, summary.error_count) == (3, 1)
    assert summary.services == (("client", 1, 0), ("server", 2, 1))
    assert summary.operations == {("client", "GET"), ("server", "/ping"), ("server", "query")}
    assert summary.complete


def test_spans_may_arrive_in_any_order():
    spans = [span("root", id=1), span("child", id=2, parent=1), span("grandchild", id=3, parent=2)]
    forward = summary_of(*(request(each) for each in spans))
    backward = summary_of(*(request(each) for each in reversed(spans)))
    assert backward.complete
    for name in forward.__dataclass_fields__.keys() - {"arrived"}:
        assert getattr(forward, name) == getattr(backward, name)


def test_missing_parents_and_the_spans_that_wait_for_them_are_counted():
    store = Store()
    send(store, request(span(id=1), span(id=3, parent=2), span(id=4, parent=2), span(id=6, parent=5)))
    (summary,) = store.summaries()
    assert (summary.has_root, summary.orphan_count, summary.missing_count) == (True, 3, 2)
    send(store, request(span(id=2, parent=1)))
    (summary,) = store.summaries()
    assert (summary.orphan_count, summary.missing_count, summary.complete) == (1, 1, False)
    send(store, request(span(id=5, parent=1)))
    assert store.summaries()[0].complete


def test_without_a_root_the_earliest_orphan_gives_the_name():
    summary = summary_of(
        request(span("late", id=3, parent=9, start=5), service="b"),
        request(span("early", id=2, parent=8, start=1), span("child", id=4, parent=2, start=0), service="a"),
    )
    assert (summary.root_service, summary.root_name) == ("a", "early")
    assert not summary.has_root
    assert not summary.complete


def test_spans_that_are_each_others_parents_have_no_root():
    summary = summary_of(request(span("a", id=1, parent=2), span("b", id=2, parent=1), span("c", id=3, parent=3)))
    assert (summary.span_count, summary.orphan_count) == (3, 0)
    assert not summary.complete
    assert summary.root_name == "a"


def test_a_parent_of_zeros_is_none():
    assert summary_of(request(span(parent_span_id=bytes(8)))).complete


def test_times_that_were_not_set_do_not_stretch_a_trace():
    summary = summary_of(request(span(id=1, start_time_unix_nano=0), span(id=2, parent=1, end_time_unix_nano=0)))
    assert (summary.start_ns, summary.end_ns) == (NOON, NOON + 10_000_000)


def test_an_end_before_its_start_does_not_turn_a_trace_around():
    summary = summary_of(request(span(start=10, end=5)))
    assert summary.start_ns == summary.end_ns == NOON + 10_000_000


def test_a_batch_that_was_sent_twice_counts_once():
    store = Store()
    batch = request(span(id=1), span(id=2, parent=9, failed=True))
    send(store, batch)
    (before,) = store.summaries()
    assert send(store, batch) == Refused()
    assert store.summaries() == [before]
    assert len(received(store, trace_id(1)).resource_spans[0].scope_spans[0].spans) == 2


def test_what_only_shares_an_id_is_kept():
    store = Store()
    sent = [
        request(span("call", id=1), service="a"),
        request(span("call", id=1), service="b"),
        request(span("call", id=1), service="b", scope="another"),
        request(span("call", id=1, end=20), service="a"),
    ]
    for each in sent:
        assert send(store, each) == Refused()
    (summary,) = store.summaries()
    assert (summary.span_count, summary.services) == (4, (("a", 2, 0), ("b", 2, 0)))
    for each in sent:
        assert send(store, each) == Refused()
    assert store.summaries() == [summary]


def test_a_span_sent_when_it_begins_and_again_when_it_has_ended_shows_its_error():
    summary = summary_of(case("03a"), case("03b"))
    assert (summary.span_count, summary.error_count) == (3, 1)
    assert summary.end_ns - summary.start_ns == 50_000_000


def test_nobody_waits_for_a_parent_that_stands_under_itself_or_in_a_ring():
    summary = summary_of(case("14"))
    assert (summary.span_count, summary.orphan_count, summary.missing_count) == (8, 3, 2)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trace_id", b""),
        ("trace_id", b"short"),
        ("trace_id", b"x" * 17),
        ("trace_id", bytes(16)),
        ("span_id", b""),
        ("span_id", b"x" * 9),
        ("span_id", bytes(8)),
    ],
)
def test_a_malformed_id_is_refused_and_named_and_the_rest_is_kept(field, value):
    store = Store()
    refused = send(store, request(span(**{field: value}), span()))
    assert refused.count == 1
    assert refused.reason.startswith(f"{field} ")
    assert refused.reason.endswith("(1)")
    assert store.summaries()[0].span_count == 1
    assert store.refused == refused


def test_a_request_that_cannot_be_read_leaves_nothing_behind():
    store = Store()
    with pytest.raises(DecodeError):
        store.add(request(span()).SerializeToString() + request(span()).SerializeToString()[:-3])
    assert store.kept() == 0


@pytest.mark.parametrize("value", [{"int_value": 7}, {"string_value": ""}, {}])
def test_a_service_that_gives_no_name_is_unknown(value):
    nameless = request(span())
    nameless.resource_spans[0].resource.attributes[0].value.CopyFrom(AnyValue(**value))
    assert summary_of(nameless).services == (("unknown_service", 1, 0),)
    del nameless.resource_spans[0].resource.attributes[:]
    assert summary_of(nameless).services == (("unknown_service", 1, 0),)


def test_a_trace_comes_back_as_it_was_sent():
    sent = request(
        span("a", id=1, attributes=[attribute("k", "v")], trace_state="x=y", flags=0x101),
        span("b", id=2, parent=1),
    )
    sent.resource_spans[0].schema_url = "https://example.org/resource"
    sent.resource_spans[0].scope_spans[0].schema_url = "https://example.org/scope"
    sent.resource_spans[0].scope_spans[0].scope.version = "1.2"
    store = Store()
    send(store, sent)
    assert list(received(store, trace_id(1)).resource_spans) == list(sent.resource_spans)


def test_spans_of_one_resource_and_scope_come_back_together():
    store = Store()
    send(store, request(span("a", id=1), service="one"))
    send(store, request(span("b", id=2, parent=1), service="two"))
    send(store, request(span("c", id=3, parent=1), service="one"))
    send(store, request(span("d", id=4, parent=1), service="one", scope="other"))
    groups = received(store, trace_id(1)).resource_spans
    assert [[each.name for each in group.scope_spans[0].spans] for group in groups] == [["a", "c"], ["b"], ["d"]]


def test_the_newest_trace_comes_first_and_keeps_its_place_when_an_older_one_grows():
    store = Store()
    for number in (1, 2, 3):
        send(store, request(span(trace=number)))
    send(store, request(span(trace=1, parent=7)))
    assert [summary.trace_id for summary in store.summaries()] == [trace_id(3), trace_id(2), trace_id(1)]


def test_past_the_bound_on_traces_the_one_quiet_for_longest_leaves():
    store = Store(max_traces=2)
    send(store, request(span(trace=1), span(trace=2)))
    send(store, request(span(trace=1, parent=7)))
    send(store, request(span(trace=3)))
    assert {summary.trace_id for summary in store.summaries()} == {trace_id(1), trace_id(3)}
    assert (store.kept(), store.dropped) == (2, 1)


def test_past_the_bound_on_spans_whole_traces_leave():
    store = Store(max_spans=10)
    for number in (1, 2, 3):
        send(store, request(*(span(trace=number) for _ in range(4))))
    assert [summary.span_count for summary in store.summaries()] == [4, 4]
    assert store.dropped == 1


def test_past_the_bound_on_memory_whole_traces_leave():
    store = Store()
    store.max_bytes = 1_000_000
    for number in range(1, 31):
        send(store, request(span("x" * 100_000, trace=number)))
    assert 5 < store.kept() < 10
    assert store.kept() + store.dropped == 30


def test_a_trace_grows_to_its_bound_and_the_rest_is_refused_and_counted():
    store = Store(max_spans_per_trace=3)
    refused = send(store, request(*(span() for _ in range(5)), span(trace=2)))
    assert refused == Refused(2, "one trace holds at most 3 spans (2)")
    assert [(each.span_count, each.refused_count) for each in store.summaries()] == [(1, 0), (3, 2)]


def test_a_trace_grows_to_a_quarter_of_the_memory():
    store = Store()
    store.max_bytes = 1_000_000
    refused = send(store, request(*(span("x" * 50_000) for _ in range(10))))
    (summary,) = store.summaries()
    assert 2 < summary.span_count < 7
    assert refused.count == summary.refused_count == 10 - summary.span_count


def test_bounds_smaller_than_one_batch_hold_too():
    store = Store(max_traces=1, max_spans=2)
    send(store, request(*(span(trace=number) for number in range(1, 100))))
    send(store, request(*(span(trace=200) for _ in range(10))))
    (summary,) = store.summaries()
    assert (summary.span_count, summary.refused_count) == (2, 8)


def test_a_summary_has_no_name_in_full_length():
    store = Store()
    send(store, request(span("x" * 10_000), service="y" * 10_000))
    (summary,) = store.summaries()
    texts = [summary.root_name, summary.root_service, *chain(*summary.operations), *store.services()]
    assert max(map(len, texts)) == MAX_NAME_LENGTH


@pytest.mark.parametrize("seed", range(10))
def test_figures_kept_span_by_span_are_those_of_the_whole(seed):
    dice = random.Random(seed)
    store = Store(max_spans=12, max_traces=2)
    for _ in range(40):
        parent = dice.randint(0, 9)
        each = span(trace=dice.randint(1, 3), id=dice.randint(1, 8), parent=parent, failed=dice.random() < 0.5)
        send(store, request(each, service=f"s{parent}"))
    assert store.kept() <= 2
    for summary in store.summaries():
        resources = received(store, summary.trace_id).resource_spans
        spans = [each for resource in resources for each in resource.scope_spans[0].spans]
        here = {each.span_id for each in spans} | {b""}
        orphans = [each.parent_span_id for each in spans if each.parent_span_id not in here]
        assert summary.span_count == len(spans) == sum(count for _, count, _ in summary.services)
        assert summary.error_count == sum(each.status.code == 2 for each in spans)
        assert summary.error_count == sum(errors for _, _, errors in summary.services)
        assert summary.orphan_count == len(orphans)
        assert summary.missing_count == len(set(orphans))
        assert summary.has_root == any(not each.parent_span_id for each in spans)
    assert sum(summary.span_count for summary in store.summaries()) == store._spans <= 12
    assert sum(trace.bytes for trace in store._traces.values()) == store._bytes


def test_readers_and_senders_do_not_disturb_each_other():
    store = Store(max_traces=20)
    done = threading.Event()
    errors = []

    def read():
        try:
            while not done.is_set():
                for summary in store.summaries():
                    received(store, summary.trace_id)
                store.services()
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    def arrive(first):
        for number in range(first, first + 300):
            send(store, request(span(trace=number, id=1), span(trace=number, id=2, parent=1)))

    threads = [threading.Thread(target=arrive, args=(first,)) for first in (1, 1000)]
    reader = threading.Thread(target=read)
    for thread in (reader, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    reader.join()
    assert errors == []
    assert store.kept() == 20
    assert store.dropped == 580
    assert all(summary.complete for summary in store.summaries())
