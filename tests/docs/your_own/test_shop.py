"""What one order leaves behind. The tests need a Redis, as the shop does."""

import threading

import prices
import pytest
import shop
import worker
from opentelemetry.trace import SpanKind, StatusCode
from werkzeug.exceptions import NotFound
from werkzeug.serving import make_server


@pytest.fixture(scope="module")
def prices_url():
    """The address of the second service, which listens while the tests run."""
    server = make_server("127.0.0.1", 0, prices.app)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def order(spans, prices_url, monkeypatch):
    """Take an order: `order(item)` returns the answer and the spans by name."""
    shop.redis_client.delete("orders")
    monkeypatch.setattr(shop, "PRICES_URL", prices_url)

    def order(item, **headers):
        answer = shop.app.test_client().get(f"/order/{item}", headers=headers)
        return answer, spans()

    return order


def test_an_order_is_one_trace_over_both_services(order):
    _, spans = order("apple", traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    assert {name: span.kind for name, span in spans.items()} == {
        "/order/<item>": SpanKind.SERVER,
        "get price": SpanKind.CLIENT,
        "/price/<item>": SpanKind.SERVER,
        "send orders": SpanKind.PRODUCER,
    }
    assert f"{spans['/order/<item>'].parent.span_id:x}" == "b7ad6b7169203331"  # the caller's
    assert spans["get price"].parent.span_id == spans["/order/<item>"].context.span_id
    assert spans["/price/<item>"].parent.span_id == spans["get price"].context.span_id
    assert spans["send orders"].parent.span_id == spans["/order/<item>"].context.span_id


def test_what_nobody_sells_is_an_error_of_the_client_alone(order):
    answer, spans = order("unicorn")
    assert answer.status_code == 404
    assert {span.attributes["http.response.status_code"] for span in spans.values()} == {404}
    assert {name: span.status.status_code for name, span in spans.items()} == {
        "/order/<item>": StatusCode.UNSET,
        "get price": StatusCode.ERROR,
        "/price/<item>": StatusCode.UNSET,
    }


def test_no_answer_about_the_price_is_an_error_of_both_spans(order, monkeypatch):
    monkeypatch.setattr(shop, "PRICES_URL", "http://127.0.0.1:1")
    answer, spans = order("apple")
    assert answer.status_code == 500
    assert {name: span.attributes["error.type"] for name, span in spans.items()} == {
        "/order/<item>": "requests.exceptions.ConnectionError",
        "get price": "requests.exceptions.ConnectionError",
    }


def test_an_answer_of_500_or_more_is_an_error_without_an_exception(order, monkeypatch):
    monkeypatch.setattr(shop, "take_order", lambda item: ("Busy.\n", 503))
    _, spans = order("apple")
    span = spans["/order/<item>"]
    assert (span.status.status_code, span.attributes["error.type"], span.events) == (StatusCode.ERROR, "503", ())


def test_the_worker_links_to_the_order_and_is_in_a_trace_of_its_own(order, spans):
    order("pear")
    worker.process_order(shop.redis_client.lpop("orders"))
    work, sender = spans()["process orders"], spans()["send orders"]
    assert (work.kind, work.parent) == (SpanKind.CONSUMER, None)
    assert work.context.trace_id != sender.context.trace_id
    assert [link.context.span_id for link in work.links] == [sender.context.span_id]


def test_a_message_without_headers_is_worked_on_without_a_link(spans):
    worker.process_order('{"body": {"item": "plum"}}')
    assert spans()["process orders"].links == ()


def test_work_that_fails_says_why(spans):
    with pytest.raises(KeyError):
        worker.process_order('{"body": {}}')
    assert spans()["process orders"].attributes["error.type"] == "KeyError"


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({}, StatusCode.ERROR),
        ({"record_exception": False, "set_status_on_exception": False}, StatusCode.UNSET),
    ],
)
def test_an_abort_inside_the_block_is_an_error_unless_the_span_is_told(spans, options, status):
    with pytest.raises(NotFound), shop.tracer.start_as_current_span("a view", **options):
        raise NotFound  # as abort(404) does
    assert spans()["a view"].status.status_code is status
