"""What one order leaves behind. The tests need a Redis, as the shop does."""

import threading

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from werkzeug.serving import make_server

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)  # before the programs are imported: a process has one provider

import prices  # noqa: E402
import shop  # noqa: E402
import worker  # noqa: E402


@pytest.fixture
def order(monkeypatch):
    """Take an order, the second service listening; return the answer and the spans by name."""
    exporter.clear()
    shop.redis_client.delete("orders")
    server = make_server("127.0.0.1", 0, prices.app)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(shop, "PRICES_URL", f"http://127.0.0.1:{server.port}")

    def order(item, **headers):
        answer = shop.app.test_client().get(f"/order/{item}", headers=headers)
        return answer, {span.name: span for span in exporter.get_finished_spans()}

    yield order
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_order_is_one_trace_over_both_services(order):
    _, spans = order("apple")
    assert {name: span.kind for name, span in spans.items()} == {
        "/order/<item>": SpanKind.SERVER,
        "get price": SpanKind.CLIENT,
        "/price/<item>": SpanKind.SERVER,
        "send orders": SpanKind.PRODUCER,
    }
    assert spans["/price/<item>"].parent.span_id == spans["get price"].context.span_id
    assert spans["get price"].parent.span_id == spans["/order/<item>"].context.span_id
    assert spans["send orders"].parent.span_id == spans["/order/<item>"].context.span_id


def test_it_continues_the_trace_of_the_caller(order):
    _, spans = order("apple", traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    assert {f"{span.context.trace_id:x}" for span in spans.values()} == {"af7651916cd43dd8448eb211c80319c"}
    assert f"{spans['/order/<item>'].parent.span_id:x}" == "b7ad6b7169203331"


def test_what_nobody_sells_is_an_error_of_the_client_alone(order):
    answer, spans = order("unicorn")
    assert answer.status_code == 404
    assert {name: span.status.status_code for name, span in spans.items()} == {
        "/order/<item>": StatusCode.UNSET,
        "get price": StatusCode.ERROR,
        "/price/<item>": StatusCode.UNSET,
    }


def test_the_worker_links_to_the_order_and_is_in_a_trace_of_its_own(order):
    _, spans = order("pear")
    worker.process_order(shop.redis_client.lpop("orders"))
    work = exporter.get_finished_spans()[-1]
    assert (work.name, work.kind, work.parent) == ("process orders", SpanKind.CONSUMER, None)
    assert work.context.trace_id != spans["send orders"].context.trace_id
    assert [link.context.span_id for link in work.links] == [spans["send orders"].context.span_id]


def test_the_item_is_an_attribute_and_in_no_name(order):
    _, spans = order("apple")
    assert spans["/order/<item>"].attributes["shop.item"] == "apple"
    assert not any("apple" in name for name in spans)


def test_no_answer_about_the_price_is_an_error_of_both_spans(order, monkeypatch):
    monkeypatch.setattr(shop, "PRICES_URL", "http://127.0.0.1:1")
    answer, spans = order("apple")
    assert answer.status_code == 500
    assert {name: span.attributes["error.type"] for name, span in spans.items()} == {
        "/order/<item>": "requests.exceptions.ConnectionError",
        "get price": "requests.exceptions.ConnectionError",
    }
