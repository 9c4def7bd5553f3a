"""docs/your-project.md shows programs that work: they stand in tests/docs/your_project/, and what it says is tried."""

import asyncio
import contextlib
import contextvars
import queue
import re
import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import fastapi
import httpx
import pytest
import requests
from flask import Flask, copy_current_request_context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tests.docs.pages import shape
from tests.support import ROOT, free_port, wait_until

PAGE = (ROOT / "docs" / "your-project.md").read_text()
SOLUTION = Path(__file__).parent / "your_project"
PROGRAMS = ["common.py", "service.py", "caller.py"]
LATER = {"OTEL_BSP_SCHEDULE_DELAY": 60_000}  # spans leave at the end, or not at all
CALLER = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


def run(coroutine):
    """Return what a coroutine returns. It runs in a thread: in this one a browser of other tests has a loop already."""
    with ThreadPoolExecutor() as pool:
        return pool.submit(asyncio.run, coroutine).result()


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_blocks_of_the_page_are_the_program(name):
    [block] = re.findall(rf"^`{name}`:\n\n```python\n(.*?)^```$", PAGE, re.M | re.S)
    assert block == (SOLUTION / name).read_text()


def test_every_block_of_python_on_the_page_is_a_program():
    assert PAGE.count("```python") == len(PROGRAMS) + 1  # and the call of a database


def test_the_commands_of_the_page_start_these_programs():
    commands = re.findall(r"^OTEL_SERVICE_NAME=(\w+) (.*)$", PAGE, re.M)
    assert commands == [("service", "uvicorn service:app --port 8083"), ("caller", "python caller.py")]


def test_what_to_take_is_short_and_stands_alone():
    text = (SOLUTION / "common.py").read_text()
    assert len(text.splitlines()) < 25
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


def test_the_viewer_shows_the_picture_and_advises_nothing_but_what_is_meant(start, service, tmp_path):
    [picture] = re.findall(r"^```\n(trace .*?)^```$", PAGE, re.M | re.S)
    otlp, web = free_port(), free_port()
    viewer = start("-m", "viewer", VIEWER_OTLP_PORT=otlp, VIEWER_WEB_PORT=web, COLUMNS=80).wait_for_port(otlp)
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{otlp}", "OTEL_BSP_SCHEDULE_DELAY": 100}
    url = f"{service(**settings).url}/book/7"
    caller = start("caller.py", cwd=tmp_path, OTEL_SERVICE_NAME="caller", BOOK_URL=url, **settings)
    assert (caller.wait(), caller.out) == (0, '{"title":"The Castle","copies":2}\n')
    wait_until(lambda: shape(picture) in shape(viewer.out), "the picture of the page")
    api = f"http://127.0.0.1:{web}"
    [trace] = requests.get(f"{api}/api/v3/trace-summaries", timeout=30).json()["summaries"]
    [piece] = requests.get(f"{api}/viewer/advice/{trace['traceId']}", timeout=30).json()["advice"]
    assert piece["rule"] == "outlives"
    assert re.match("“remember” begins .* right for a streamed answer or work that is put off;", piece["text"])


def test_the_middleware_has_a_span_for_what_no_view_gets_and_for_what_raises(service, sink):
    changes = {"    await asyncio.sleep(0.02)\n    return 2": "    return 1 // (number - 3)"}
    url = service(changes, OTEL_BSP_SCHEDULE_DELAY=100).url
    for method, path in [
        ("GET", "/nothing"),
        ("POST", "/book/7"),
        ("GET", "/book/x"),
        ("GET", "/book/8"),
        ("GET", "/book/3"),
    ]:
        requests.request(method, url + path, headers=CALLER, timeout=30)
    spans = [span for span in sink.wait_for(5 + 4) if span.kind == "SERVER"]
    assert {span.parent_id for span in spans} == {"b7ad6b7169203331"}
    seen = {(span.name, span.attributes["http.response.status_code"], span.status) for span in spans}
    assert seen == {
        ("GET", 404, "UNSET"),
        ("POST /book/{number}", 405, "UNSET"),
        ("GET /book/{number}", 422, "UNSET"),
        ("GET /book/{number}", 404, "UNSET"),
        ("GET /book/{number}", 500, "ERROR"),
    }
    assert [span.attributes["error.type"] for span in spans if span.status == "ERROR"] == ["ZeroDivisionError"]


STARLETTE = """
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def view(request):
    return PlainTextResponse(str(1 // (request.path_params["number"] - 3)))


app = Starlette(routes=[Route("/book/{number:int}", view)])
"""


def test_starlette_takes_the_same_middleware(service, sink):
    [line] = re.findall(r"`(app\.add_middleware\(.*?\))`", PAGE)
    last = '    """Note down, after the answer, that somebody asked."""\n    await asyncio.sleep(0.01)\n'
    url = service({last: f"{last}\n{STARLETTE}{line}\n"}, OTEL_BSP_SCHEDULE_DELAY=100).url
    for path in ("/book/7", "/book/3", "/nothing"):
        requests.get(url + path, headers=CALLER, timeout=30)
    spans = sink.wait_for(3)
    assert {span.parent_id for span in spans} == {"b7ad6b7169203331"}
    assert {(span.name, span.attributes["http.response.status_code"], span.status) for span in spans} == {
        ("GET /book/{number:int}", 200, "UNSET"),
        ("GET /book/{number:int}", 500, "ERROR"),
        ("GET", 404, "UNSET"),
    }


def test_with_fastapis_own_spans_a_request_has_two_of_kind_server_whose_scopes_differ(service, sink):
    [off] = set(re.findall(r'`(, telemetry=\{"tracing": False\})`', PAGE))
    requests.get(service({off: ""}, OTEL_BSP_SCHEDULE_DELAY=100).url, timeout=30)
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
import time
from common import get_tracer

with get_tracer("plain").start_as_current_span("work"):
    pass
try:
    print("worked", flush=True)
    time.sleep(60)
finally:
    print("finally", flush=True)
"""


def test_plain_python_loses_the_last_spans_at_sigterm(start, sink, tmp_path):
    shutil.copy(SOLUTION / "common.py", tmp_path)
    (tmp_path / "plain.py").write_text(PLAIN)
    process = start("plain.py", cwd=tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint, **LATER)
    process.wait_for("worked")
    assert (process.stop(), "finally" in process.out, sink.spans) == (-15, False, [])


def test_with_leaving_it_sends_them_and_ends_in_order(start, sink, tmp_path):
    [line, call] = re.findall(r"`(from beyond\.leaving import .*?|send_the_rest_at_exit\(.*?\))`", PAGE)
    (tmp_path / "beyond").mkdir()
    shutil.copy(ROOT / "beyond" / "leaving.py", tmp_path / "beyond")
    text = (SOLUTION / "common.py").read_text()
    text = re.sub(r"^( +)trace\.set_tracer_provider.*\n", rf"\g<0>\g<1>{call}\n", f"{line}\n{text}", flags=re.M)
    assert text.count(call) == 1
    (tmp_path / "common.py").write_text(text)
    (tmp_path / "plain.py").write_text(PLAIN)
    process = start("plain.py", cwd=tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint, **LATER)
    process.wait_for("worked")
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


async def await_it(work):
    await work()


async def gather(work):
    await asyncio.gather(work())


async def create_task(work):
    await asyncio.create_task(work())


async def task_group(work):
    async with asyncio.TaskGroup() as group:
        group.create_task(work())


@pytest.mark.parametrize("hand_on", [await_it, gather, create_task, task_group])
def test_a_task_inherits_the_current_span(spans, work_async, hand_on):
    async def main():
        with spans.tracer.start_as_current_span("outer"):
            await hand_on(work_async)

    run(main())
    assert keeps_the_parent(spans)


async def to_thread(work):
    await asyncio.to_thread(work)


async def run_in_executor(work):
    await asyncio.get_running_loop().run_in_executor(None, work)


async def thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


async def submit(work):
    with ThreadPoolExecutor() as pool:
        pool.submit(work).result()


async def map_of_a_pool(work):
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: work(), [1]))


async def submit_a_copy(work):
    with ThreadPoolExecutor() as pool:
        pool.submit(contextvars.copy_context().run, work).result()


@pytest.mark.parametrize(
    ("hand_on", "kept"),
    [
        (to_thread, True),
        (submit_a_copy, True),
        (run_in_executor, False),
        (thread, False),
        (submit, False),
        (map_of_a_pool, False),
    ],
)
def test_a_thread_inherits_nothing_unless_the_context_is_copied(spans, work, hand_on, kept):
    async def main():
        with spans.tracer.start_as_current_span("outer"):
            await hand_on(work)

    run(main())
    assert keeps_the_parent(spans) is kept


def test_flask_copies_its_own_context_alone(spans, work):
    app = Flask(__name__)

    @app.route("/")
    def view():
        with spans.tracer.start_as_current_span("outer"):
            run(thread(copy_current_request_context(work)))
        return "done"

    app.test_client().get("/")
    assert not keeps_the_parent(spans)


def ask(app, path="/"):
    """Return the answer of a FastAPI app."""

    async def get():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
            return await client.get(path)

    return run(get())


def test_a_plain_view_of_fastapi_runs_in_a_thread_that_inherits(spans, work):
    app = fastapi.FastAPI()

    @app.middleware("http")
    async def outer(request, call_next):
        with spans.tracer.start_as_current_span("outer"):
            return await call_next(request)

    @app.get("/")
    def view():
        work()

    assert ask(app).status_code == 200
    assert keeps_the_parent(spans)


def test_a_background_task_loses_the_span_that_starts_in_the_view(spans, work_async):
    app = fastapi.FastAPI()

    @app.get("/")
    async def view(background: fastapi.BackgroundTasks):
        with spans.tracer.start_as_current_span("outer"):
            background.add_task(work_async)

    assert ask(app).status_code == 200
    assert not keeps_the_parent(spans)


def test_a_span_in_the_view_knows_nothing_of_what_no_view_gets(spans):
    app = fastapi.FastAPI()

    @app.get("/book/{number}")
    async def view(number: int):
        with spans.tracer.start_as_current_span("outer", kind=SpanKind.SERVER):
            raise fastapi.HTTPException(404)

    assert [ask(app, path).status_code for path in ("/nothing", "/book/x")] == [404, 422]
    assert spans() == {}
    assert ask(app, "/book/7").status_code == 404
    assert (spans()["outer"].status.status_code.name, len(spans()["outer"].events)) == ("ERROR", 1)


def test_a_consumer_keeps_the_parent_that_it_was_started_with_unless_it_has_a_context_of_its_own(spans, work_async):
    async def consume(queue):
        while await queue.get():
            await work_async()

    async def main(**options):
        queue = asyncio.Queue()
        with spans.tracer.start_as_current_span("outer"):
            task = asyncio.create_task(consume(queue), **options)
        with spans.tracer.start_as_current_span("another"):
            queue.put_nowait(1)
            queue.put_nowait(0)
            await task

    run(main())
    assert keeps_the_parent(spans)
    assert "asyncio.create_task(consume(), context=contextvars.Context())" in PAGE
    run(main(context=contextvars.Context()))
    assert not keeps_the_parent(spans)


def test_a_thread_that_reads_a_queue_is_handed_the_context_with_each_item(spans):
    jobs = queue.Queue()

    @spans.tracer.start_as_current_span("work")
    def work(item):
        assert item == "a book"

    def read():
        context, item = jobs.get()
        context.run(work, item)

    for line in ("jobs.put((copy_context(), item))", "context, item = jobs.get()", "context.run(work, item)"):
        assert f"`{line}`" in PAGE
    reader = threading.Thread(target=read)
    reader.start()
    with spans.tracer.start_as_current_span("outer"):
        jobs.put((contextvars.copy_context(), "a book"))
    reader.join()
    assert keeps_the_parent(spans)


def test_a_call_of_a_database_has_a_span_and_says_what_went_wrong(spans):
    [block] = re.findall(r"^```python\n(def find_title.*?)^```$", PAGE, re.M | re.S)
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        names = {"sqlite3": sqlite3, "SpanKind": SpanKind, "tracer": spans.tracer, "database": database}
        exec(block, names)
        with pytest.raises(sqlite3.OperationalError):
            names["find_title"](7)
        failed = spans()["SELECT books"]
        assert (failed.status.status_code.name, failed.attributes["error.type"]) == ("ERROR", "OperationalError")
        database.execute("CREATE TABLE books (number, title)")
        database.execute("INSERT INTO books VALUES (7, 'The Castle')")
        assert [names["find_title"](number) for number in (7, 8)] == ["The Castle", None]
    span = spans()["SELECT books"]
    assert (span.kind, span.status.status_code.name) == (SpanKind.CLIENT, "UNSET")
    attributes = {"db.system.name": "sqlite", "db.operation.name": "SELECT", "db.collection.name": "books"}
    assert span.attributes == attributes


def test_http_server_tells_its_status_code_to_send_response_and_answers_nothing_when_a_view_raises():
    class Handler(BaseHTTPRequestHandler):
        def send_response(self, code, message=None):
            self.code = code
            codes.append(self.code)
            super().send_response(code, message)

        def do_GET(self):
            if self.path == "/raises":
                raise ValueError
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    class Server(HTTPServer):
        def handle_error(self, *_):
            pass

    codes = []
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            assert requests.get(url, timeout=30).status_code == 204
            assert requests.post(url, timeout=30).status_code == 501
            with pytest.raises(requests.ConnectionError):
                requests.get(f"{url}/raises", timeout=30)
        finally:
            server.shutdown()
            thread.join()
    assert codes == [204, 501]


@pytest.mark.parametrize(
    ("arguments", "status", "events"),
    [
        ({}, "ERROR", 1),
        ({"record_exception": False}, "ERROR", 0),
        ({"set_status_on_exception": False}, "UNSET", 1),
        ({"record_exception": False, "set_status_on_exception": False}, "UNSET", 0),
    ],
)
def test_two_arguments_say_what_an_exception_does_to_the_span_that_it_leaves(spans, arguments, status, events):
    with pytest.raises(ValueError), spans.tracer.start_as_current_span("outer", **arguments):
        raise ValueError
    assert (spans()["outer"].status.status_code.name, len(spans()["outer"].events)) == (status, events)


def test_a_task_that_is_cancelled_is_no_error(spans):
    async def wait():
        with spans.tracer.start_as_current_span("outer"):
            await asyncio.sleep(60)

    async def main():
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    run(main())
    assert spans()["outer"].status.status_code.name == "UNSET"


@pytest.mark.parametrize("library", [requests.Session, httpx.Client])
def test_a_carrier_in_the_headers_of_a_session_is_the_parent_of_all_its_calls(spans, library):
    def sent(session, **options):
        if library is httpx.Client:
            return session.build_request("GET", "http://app", **options).headers["traceparent"]
        return session.prepare_request(requests.Request("GET", "http://app", **options)).headers["traceparent"]

    def carrier():
        carrier = {}
        with spans.tracer.start_as_current_span("call"):
            TraceContextTextMapPropagator().inject(carrier)
        return carrier

    with library() as session:
        first, second = carrier(), carrier()
        session.headers.update(first)
        assert {sent(session), sent(session)} == {first["traceparent"]}
        assert sent(session, headers=second) == second["traceparent"]
