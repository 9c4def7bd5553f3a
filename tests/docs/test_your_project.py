"""docs/your-project.md shows programs that work: they stand in tests/docs/your_project/, and what it says is tried."""

import asyncio
import contextlib
import queue
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import fastapi
import httpx
import pytest
import requests
from fastapi.responses import StreamingResponse
from flask import Flask, copy_current_request_context, request
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tests.support import ROOT, free_port
from tests.viewer.otlp import send
from viewer.advice import Advisor
from viewer.store import Store

PAGE = (ROOT / "docs" / "your-project.md").read_text()
SOLUTION = Path(__file__).parent / "your_project"
LATER = {"OTEL_BSP_SCHEDULE_DELAY": 60_000}  # spans leave at the end, or not at all
CALLER = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


def run(coroutine):
    """Return what a coroutine returns. It runs in a thread: in this one a browser of other tests has a loop already."""
    with ThreadPoolExecutor() as pool:
        return pool.submit(asyncio.run, coroutine).result()


def test_the_blocks_of_the_page_are_the_programs():
    blocks = dict(re.findall(r"`(\w+\.py)`:\n\n```python\n(.*?)^```$", PAGE, re.M | re.S))
    assert blocks == {name: (SOLUTION / name).read_text() for name in ("common.py", "service.py", "caller.py")}
    assert PAGE.count("```") == 2 * len(blocks)


def test_what_to_take_is_short_and_stands_alone():
    text = (SOLUTION / "common.py").read_text()
    assert len(text.splitlines()) <= 25
    assert set(re.findall(r"^(?:from|import) (\w+)", text, re.M)) == {"opentelemetry"}


@pytest.fixture
def service(start, sink, tmp_path):
    """Start the service of the page: `service({"of the page": "changed"}, *arguments, **settings)`."""

    def service(changes=(), *arguments, **settings):
        shutil.copytree(SOLUTION, tmp_path, dirs_exist_ok=True)
        text = (tmp_path / "service.py").read_text()
        for old, new in dict(changes).items():
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "service.py").write_text(text)
        port = free_port()
        settings = {"OTEL_SERVICE_NAME": "service", "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint} | settings
        command = ("-m", "uvicorn", "service:app", "--port", port, *arguments)
        process = start(*command, cwd=tmp_path, **settings).wait_for_port(port)
        process.url = f"http://127.0.0.1:{port}"
        return process

    return service


@pytest.fixture
def call(start, sink, tmp_path):
    """Run the caller of the page, which asks for `url`, to its end: `call(url)`; `without` a part of a line."""

    def call(url, without="..."):
        shutil.copytree(SOLUTION, tmp_path, dirs_exist_ok=True)
        text = (tmp_path / "caller.py").read_text()
        (tmp_path / "asks.py").write_text(text.replace("http://127.0.0.1:8083/book/7", url).replace(without, ""))
        settings = {"OTEL_SERVICE_NAME": "caller", "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint}
        process = start("asks.py", cwd=tmp_path, **settings)
        process.wait()
        return process

    return call


def test_the_five_spans_are_one_trace_also_over_await_gather_and_a_background_task(service, call, sink):
    process = service(OTEL_BSP_SCHEDULE_DELAY=100)
    assert call(f"{process.url}/book/7").out == '{"title":"The Castle","author":"Franz Kafka"}\n'
    spans = {span.name: span for span in sink.wait_for(5)}
    names = {span.span_id: span.name for span in spans.values()}
    route = "GET /book/{number}"
    parents = {"GET": None, route: "GET", "find title": route, "find author": route, "remember": route}
    assert {span.name: names.get(span.parent_id) for span in spans.values()} == parents
    title, author, remember = spans["find title"], spans["find author"], spans["remember"]
    assert title.start < author.end and author.start < title.end
    assert remember.start >= max(title.end, author.end)


def test_without_inject_the_advice_finds_the_other_half(service, call, sink):
    url = f"{service(OTEL_BSP_SCHEDULE_DELAY=100).url}/book/8"
    call(url, without="TraceContextTextMapPropagator().inject(carrier)")
    sink.wait_for(4)
    store = Store()
    for sent in sink.requests:
        send(store, sent)
    advisor = Advisor(store)
    said = [piece for summary in store.summaries() for piece in advisor.review(summary.trace_id)]
    assert [piece.rule for piece in said] == ["lost-context", "lost-context"]


def test_the_caller_says_what_went_wrong_and_no_password(call, sink):
    port = free_port()
    process = call(f"http://me:secret@127.0.0.1:{port}/book/7")
    assert process.returncode == 1
    [span] = sink.spans
    assert (span.kind, span.status) == ("CLIENT", "ERROR")
    assert span.attributes == {
        "http.request.method": "GET",
        "url.full": f"http://127.0.0.1:{port}/book/7",
        "server.address": "127.0.0.1",
        "server.port": port,
        "error.type": "httpx.ConnectError",
    }


def test_the_middleware_has_a_span_for_what_no_view_gets_and_for_what_raises(service, sink):
    changes = {"asyncio.sleep(0.01)  # here": "asyncio.sleep(0 // (number - 3))  # here"}
    url = service(changes, OTEL_BSP_SCHEDULE_DELAY=100).url
    expected = {
        ("GET", "/nothing"): ("GET", 404, "UNSET"),
        ("POST", "/book/7"): ("POST /book/{number}", 405, "UNSET"),
        ("GET", "/book/x"): ("GET /book/{number}", 422, "UNSET"),
        ("GET", "/book/8"): ("GET /book/{number}", 404, "UNSET"),
        ("GET", "/book/3"): ("GET /book/{number}", 500, "ERROR"),
        ("XYZZY", "/nothing"): ("HTTP", 404, "UNSET"),
        ("XYZZY", "/book/7"): ("HTTP /book/{number}", 405, "UNSET"),
    }
    for method, path in expected:
        requests.request(method, url + path, headers=CALLER, timeout=30)
    spans = [span for span in sink.wait_for(7 + 4) if span.kind == "SERVER"]
    assert {span.parent_id for span in spans} == {"b7ad6b7169203331"}
    seen = {(span.name, span.attributes["http.response.status_code"], span.status) for span in spans}
    assert seen == set(expected.values())
    assert {span.attributes["http.request.method"] for span in spans} == {"GET", "POST", "_OTHER"}
    assert [span.attributes["error.type"] for span in spans if span.status == "ERROR"] == ["ZeroDivisionError"]


def test_with_fastapis_own_spans_a_request_has_two_of_kind_server_whose_scopes_differ(service, sink):
    requests.get(service({', telemetry={"tracing": False}': ""}, OTEL_BSP_SCHEDULE_DELAY=100).url, timeout=30)
    spans = sink.wait_for(2)
    assert sorted((span.kind, span.scope) for span in spans) == [("SERVER", "fastapi"), ("SERVER", "service")]
    assert len({span.trace_id for span in spans}) == 2


@pytest.mark.parametrize(
    "left_out",
    [{"context=ctx, kind=SpanKind.SERVER, ": ""}, {'@app.middleware("http")\n': ""}],
    ids=["context and kind", "middleware"],
)
def test_without_ones_own_server_span_ones_spans_are_inside_that_of_fastapi(service, sink, left_out):
    process = service({'"tracing": False': '"operation_spans": False'} | left_out, OTEL_BSP_SCHEDULE_DELAY=100)
    requests.get(f"{process.url}/book/7", headers=CALLER, timeout=30)
    spans = sink.wait_for(4 + ("context=ctx, kind=SpanKind.SERVER, " in left_out))
    assert {span.trace_id for span in spans} == {"0af7651916cd43dd8448eb211c80319c"}
    [server] = [span for span in spans if span.kind == "SERVER"]
    assert (server.scope, server.parent_id) == ("fastapi", "b7ad6b7169203331")
    assert {span.scope for span in spans if span is not server} == {"service"}
    ids = {span.span_id for span in spans}
    assert all(span.parent_id in ids for span in spans if span is not server)


FLUSH = {"    trace.get_tracer_provider().force_flush()\n": ""}


@pytest.mark.parametrize(("workers", "changes", "arrived"), [(1, {}, True), (2, {}, True), (1, FLUSH, False)])
def test_uvicorn_sends_the_last_spans_at_sigterm_when_the_lifespan_does(service, sink, workers, changes, arrived):
    process = service(changes, "--workers", workers, **LATER)
    assert requests.get(f"{process.url}/book/9", timeout=30).status_code == 404
    process.stop()
    assert len(sink.spans) == (3 if arrived else 0)


PLAIN = """
import threading
import time
from common import get_tracer

with get_tracer("plain").start_as_current_span("work"):
    pass
threading.Thread(target=time.sleep, args=[60], daemon=True).start()
try:
    print("worked", flush=True)
    for _ in range(60):
        time.sleep(1)  # a signal that comes on the way into it is heeded only at its end
finally:
    print("finally", flush=True)
"""


@pytest.fixture
def plain(start, sink, tmp_path):
    """Start a program with a `common.py` (its text), and wait until its span has ended: `plain(common)`."""

    def plain(common):
        (tmp_path / "common.py").write_text(common)
        (tmp_path / "plain.py").write_text(PLAIN)
        process = start("plain.py", cwd=tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint, **LATER)
        process.wait_for("worked")
        return process

    return plain


def test_plain_python_loses_the_last_spans_at_sigterm(plain, sink):
    process = plain((SOLUTION / "common.py").read_text())
    assert (process.stop(), "finally" in process.out, sink.spans) == (-15, False, [])


def test_with_leaving_it_sends_them_and_ends_in_order_also_beside_a_daemon_thread(plain, sink, tmp_path):
    [line, call] = re.findall(r"`(from beyond\.leaving import .*?|send_the_rest_at_exit\(.*?\))`", PAGE)
    (tmp_path / "beyond").mkdir()
    shutil.copy(ROOT / "beyond" / "leaving.py", tmp_path / "beyond")
    text = (SOLUTION / "common.py").read_text()
    text = re.sub(r"^( +)trace\.set_tracer_provider.*\n", rf"\g<0>\g<1>{call}\n", f"{line}\n{text}", flags=re.M)
    assert text.count(call) == 1
    process = plain(text)
    assert (process.stop(), "finally" in process.out, len(sink.spans)) == (0, True, 1)
    assert sink.spans[0].service == "unknown_service:python"


@pytest.fixture
def spans():
    """A tracer, and the spans that have ended, by name: `spans.tracer`, `spans()["outer"]`."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def spans():
        return {span.name: span for span in exporter.get_finished_spans()}

    spans.tracer = provider.get_tracer(__name__)
    return spans


@pytest.fixture
def work(spans):
    """A function with a span, to be handed on."""
    return spans.tracer.start_as_current_span("work")(lambda: None)


@pytest.fixture
def work_async(spans):
    """The same for asyncio."""

    @spans.tracer.start_as_current_span("work")
    async def work():
        await asyncio.sleep(0)

    return work


def keeps_the_parent(spans):
    """Return whether "work" is a child of "outer"; else it has to be the root of a trace of its own."""
    work, outer = spans()["work"], spans()["outer"]
    assert work.parent is None or work.parent.span_id == outer.context.span_id
    return work.parent is not None


async def task_group(work):
    async with asyncio.TaskGroup() as group:
        group.create_task(work())


@pytest.mark.parametrize(
    "hand_on",
    [
        pytest.param(lambda work: work(), id="await"),
        pytest.param(lambda work: asyncio.gather(work()), id="gather"),
        pytest.param(lambda work: asyncio.create_task(work()), id="create_task"),
        task_group,
    ],
)
def test_a_task_inherits_the_current_span(spans, work_async, hand_on):
    async def main():
        with spans.tracer.start_as_current_span("outer"):
            await hand_on(work_async)

    run(main())
    assert keeps_the_parent(spans)


async def ask(app, path="/"):
    """Return the status code that a FastAPI app answers with."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
        return (await client.get(path)).status_code


async def plain_view_of_fastapi(pool, work):
    app = fastapi.FastAPI()
    app.get("/")(lambda: work())
    assert await ask(app) == 200


def in_a_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def run_in_executor(pool, function, *arguments):
    return asyncio.get_running_loop().run_in_executor(pool, function, *arguments)


@pytest.mark.parametrize(
    ("kept", "hand_on"),
    [
        pytest.param(True, lambda pool, work: asyncio.to_thread(work), id="to_thread"),
        (True, plain_view_of_fastapi),
        pytest.param(False, lambda pool, work: asyncio.to_thread(in_a_thread, work), id="Thread"),
        pytest.param(False, lambda pool, work: asyncio.wrap_future(pool.submit(work)), id="submit"),
        pytest.param(False, lambda pool, work: asyncio.to_thread(list, pool.map(lambda _: work(), [1])), id="map"),
        (False, run_in_executor),
        pytest.param(True, lambda pool, work: asyncio.wrap_future(pool.submit(copy_context().run, work)), id="copy"),
        pytest.param(True, lambda pool, work: run_in_executor(pool, copy_context().run, work), id="copy in executor"),
    ],
)
def test_a_thread_inherits_nothing_unless_the_context_is_copied(spans, work, kept, hand_on):
    async def main():
        with ThreadPoolExecutor() as pool, spans.tracer.start_as_current_span("outer"):
            await hand_on(pool, work)

    run(main())
    assert keeps_the_parent(spans) is kept


def test_flask_copies_its_own_context_alone(spans, work):
    app = Flask(__name__)

    @app.route("/")
    def view():
        with spans.tracer.start_as_current_span("outer"):
            in_a_thread(copy_current_request_context(work))
        return "done"

    app.test_client().get("/")
    assert not keeps_the_parent(spans)


@pytest.mark.parametrize("place", ["middleware", "view"])
@pytest.mark.parametrize("later", ["background task", "generator"])
def test_what_runs_after_the_view_is_a_child_of_the_middlewares_span_alone(spans, work_async, place, later):
    app = fastapi.FastAPI()
    outer = spans.tracer.start_as_current_span("outer")

    async def generate():
        await work_async()
        yield "done"

    @app.middleware("http")
    async def middleware(request, call_next):
        with outer if place == "middleware" else contextlib.nullcontext():
            return await call_next(request)

    @app.get("/")
    async def view(background: fastapi.BackgroundTasks):
        with outer if place == "view" else contextlib.nullcontext():
            if later == "generator":
                return StreamingResponse(generate())
            background.add_task(work_async)

    assert run(ask(app)) == 200
    assert keeps_the_parent(spans) is (place == "middleware")


def test_a_span_in_the_view_knows_nothing_of_what_no_view_gets(spans):
    app = fastapi.FastAPI()

    @app.get("/book/{number}")
    async def view(number: int):
        with spans.tracer.start_as_current_span("outer", kind=SpanKind.SERVER):
            raise fastapi.HTTPException(404)

    assert [run(ask(app, path)) for path in ("/nothing", "/book/x")] == [404, 422]
    assert spans() == {}
    assert run(ask(app, "/book/7")) == 404
    assert (spans()["outer"].status.status_code.name, len(spans()["outer"].events)) == ("ERROR", 1)


HAND_ON = "jobs.put((copy_context(), item))"


def test_a_task_that_reads_a_queue_keeps_its_own_parent_unless_a_task_is_given_the_context(spans, work_async):
    async def consume(jobs):
        context, work = await jobs.get()
        await context.run(work)  # it makes the coroutine, but does not run it
        parents.append(spans()["work"].parent)
        await asyncio.create_task(work(), context=context)
        parents.append(spans()["work"].parent)

    async def main():
        jobs = asyncio.Queue()
        with spans.tracer.start_as_current_span("start"):
            task = asyncio.create_task(consume(jobs))
        with spans.tracer.start_as_current_span("outer"):
            jobs.put_nowait((copy_context(), work_async))
        await task

    parents = []
    run(main())
    assert [parent.span_id for parent in parents] == [spans()[name].context.span_id for name in ("start", "outer")]
    assert HAND_ON in PAGE and "`await asyncio.create_task(work(item), context=context)`" in PAGE


def test_a_thread_that_reads_a_queue_is_handed_the_context_with_each_item(spans, work):
    def read():
        context, work = jobs.get()
        context.run(work)

    jobs = queue.Queue()
    reader = threading.Thread(target=read)
    reader.start()
    with spans.tracer.start_as_current_span("outer"):
        jobs.put((copy_context(), work))
    reader.join()
    assert keeps_the_parent(spans)
    assert HAND_ON in PAGE and "`context, item = jobs.get()` and `context.run(work, item)`" in PAGE


def column(framework):
    """Return the expressions (dict) by which the page reads the attributes of one framework's request."""
    lines = PAGE[PAGE.index("| attribute |") :].split("\n\n")[0].splitlines()
    head, _, *rows = [[cell.strip("` ") for cell in line.strip("|").split(" | ")] for line in lines]
    return {re.match(r"[\w.]+", row[0])[0]: row[head.index(framework)] for row in rows}


ANSWERED = {
    "http.request.method": "GET",
    "url.scheme": "http",
    "url.path": "/api/book/7",
    "server.address": "localhost",
    "server.port": 8083,
}


def test_flask_tells_the_attributes_of_the_page_also_below_a_mount_point():
    app = Flask(__name__)

    @app.route("/book/<number>")
    def view(number):
        names = {"request": request, "urlsplit": urlsplit}
        found.update({name: eval(column("Flask")[name], names) for name in [*ANSWERED, "http.route"]})
        return "a book"

    found = {}
    app.test_client().get("/book/7", base_url="http://localhost:8083/api")
    assert found == ANSWERED | {"http.route": "/api/book/<number>"}


def test_http_server_tells_them_and_send_response_its_status_code_and_answers_nothing_when_a_view_raises():
    class Handler(BaseHTTPRequestHandler):
        def send_response(self, code, message=None):
            codes.append(code)
            super().send_response(code, message)

        def do_GET(self):
            if self.path == "/raises":
                raise ValueError
            names = {"self": self, "urlsplit": urlsplit}
            found.update({name: eval(column("http.server")[name], names) for name in ANSWERED})
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    codes, found = [], {}
    with HTTPServer(("127.0.0.1", 0), Handler) as server, ThreadPoolExecutor() as pool:
        server.handle_error = lambda *_: None
        pool.submit(server.serve_forever)
        try:
            url = f"http://localhost:{server.server_port}"
            assert requests.get(f"{url}/api/book/7?token=secret", timeout=30).status_code == 204
            with pytest.raises(HTTPError) as raised:  # by urllib, for 400 and above
                urlopen(url, data=b"", timeout=30)
            with raised.value as error:
                assert error.code == 501
            with pytest.raises(requests.ConnectionError):
                requests.get(f"{url}/raises", timeout=30)
        finally:
            server.shutdown()
    assert found == ANSWERED | {"server.port": server.server_port}
    assert codes == [204, 501]


def test_the_headers_of_a_wsgi_environ_have_other_names():
    [carrier] = re.findall(r"`(\{\"traceparent\": environ.*?\})`", PAGE)
    environ = {"HTTP_TRACEPARENT": CALLER["traceparent"], "HTTP_TRACESTATE": "vendor=1"}
    assert TraceContextTextMapPropagator().extract(environ) == {}
    parent = trace.get_current_span(TraceContextTextMapPropagator().extract(eval(carrier))).get_span_context()
    assert trace.format_span_id(parent.span_id) == "b7ad6b7169203331"
    assert parent.trace_state == {"vendor": "1"}
    assert TraceContextTextMapPropagator().extract(eval(carrier, {"environ": {}})) == {}


@pytest.mark.parametrize("records", [True, False])
@pytest.mark.parametrize("marks", [True, False])
def test_two_arguments_say_what_an_exception_does_to_the_span_that_it_leaves(spans, records, marks):
    arguments = {"record_exception": records, "set_status_on_exception": marks}
    with pytest.raises(ValueError), spans.tracer.start_as_current_span("outer", **arguments):
        raise ValueError
    assert spans()["outer"].status.status_code.name == ("ERROR" if marks else "UNSET")
    assert len(spans()["outer"].events) == records


def test_an_answer_that_is_raised_again_below_the_block_is_no_error(spans):
    with pytest.raises(fastapi.HTTPException):
        with spans.tracer.start_as_current_span("outer"):
            try:
                raise fastapi.HTTPException(404)  # as aiohttp and Bottle do, through a middleware
            except fastapi.HTTPException as error:
                answer = error
        raise answer
    assert (spans()["outer"].status.status_code.name, len(spans()["outer"].events)) == ("UNSET", 0)


def test_a_timeout_inside_the_block_is_an_error_and_one_around_it_only_cancels(spans):
    async def call(name, timeout=None):
        with spans.tracer.start_as_current_span(name):
            async with asyncio.timeout(timeout):
                await asyncio.sleep(60)

    async def main():
        with pytest.raises(TimeoutError):
            await call("inside", timeout=0.01)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await call("around")

    run(main())
    assert [spans()[name].status.status_code.name for name in ("inside", "around")] == ["ERROR", "UNSET"]


@pytest.mark.parametrize("library", [requests.Session, httpx.Client])
def test_a_carrier_in_the_headers_of_a_session_is_the_parent_of_all_its_calls(library):
    def sent(session, **options):
        if library is httpx.Client:
            return session.build_request("GET", "http://app", **options).headers["traceparent"]
        return session.prepare_request(requests.Request("GET", "http://app", **options)).headers["traceparent"]

    with library() as session:
        session.headers.update({"traceparent": "first"})
        assert {sent(session), sent(session)} == {"first"}
        assert sent(session, headers={"traceparent": "second"}) == "second"
