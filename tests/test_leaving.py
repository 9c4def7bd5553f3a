"""Nothing is lost at exit, and nobody waits for it."""

import re
import shutil
import signal
import sys
import sysconfig
from pathlib import Path

import pytest
import requests
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from beyond.leaving import send_the_rest
from tests.support import free_port, wait_until

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda each: each.name)
LATER = {"OTEL_BSP_SCHEDULE_DELAY": 60_000}  # only the last export can send what the test awaits


@SIGNALS
def test_the_server_delivers_every_ended_span(server, sink, number):
    process = server(**LATER)
    for _ in range(3):
        requests.get(f"{process.url}/ping", timeout=10)
    assert process.stop(number) == 0
    assert len(sink.spans) == 15
    assert "Traceback" not in process.output


@SIGNALS
def test_the_client_sums_up_and_delivers_every_ended_span(shared_server, client, sink, number):
    pinger = client("--interval", 0.2, DESTINATION_URL=f"{shared_server.url}/ping", **LATER)
    wait_until(lambda: pinger.out.count("Request to") >= 3, "three pings")
    assert pinger.stop(number) == 0
    told = re.findall(r"'00-(\w{32})-", pinger.err)
    ended = told[: pinger.out.count("Request to")]  # what is said after a span's end
    assert set(ended) <= {span.trace_id for span in sink.spans}
    assert re.search(r"\d+ pings, 0 failed\n$", pinger.out)  # the signal may come before the end of the line above


@pytest.mark.parametrize(
    ("command", "number"),
    [
        (("waitress", "--listen=127.0.0.1:PORT", "server:app"), signal.SIGTERM),
        (("waitress", "--listen=127.0.0.1:PORT", "server:app"), signal.SIGHUP),
        (("flask", "--app", "server", "run", "--port=PORT"), signal.SIGTERM),
        (("flask", "--app", "server", "run", "--port=PORT"), signal.SIGHUP),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else value.name,
)
def test_whatever_serves_the_app_no_span_is_lost(start, sink, redis_server, mongodb_server, command, number):
    port = free_port()
    settings = {"REDIS_URL": redis_server.url, "MONGODB_URI": mongodb_server.uri}
    command = [part.replace("PORT", str(port)) for part in command]
    process = start("-m", *command, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint, **settings, **LATER)
    process.wait_for_port(port)
    for _ in range(3):
        assert requests.get(f"http://127.0.0.1:{port}/ping", timeout=10).status_code == 200
    assert process.stop(number) == 0
    assert len(sink.spans) == 15
    assert "Traceback" not in process.output


def test_a_second_signal_ends_it_at_once(server):
    process = server(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://localhost:{free_port()}", **LATER)
    requests.get(f"{process.url}/ping", timeout=10)
    process.send(signal.SIGTERM)
    process.wait_for("Transient error")  # the last export has begun
    assert process.stop(signal.SIGTERM) == -signal.SIGTERM


def test_nohup_keeps_its_word(shared_server, start, sink):
    settings = {"DESTINATION_URL": f"{shared_server.url}/ping", "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint}
    code = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(sys.executable, sys.argv[1:])"
    )
    pinger = start("-c", code, sys.executable, "client.py", "--interval", 0.1, **settings)
    pinger.wait_for("got")
    pinger.send(signal.SIGHUP)
    seen = pinger.out.count("got")
    wait_until(lambda: pinger.out.count("got") > seen + 5, "it goes on")
    assert pinger.stop() == 0


def test_a_readers_program_keeps_its_ctrl_c_and_the_signals_that_it_has_taken(start):
    code = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('my SIGTERM'))\n"
        "import common; common.get_tracer()\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT); time.sleep(60)\n"
        "except KeyboardInterrupt: print('my Ctrl+C')"
    )
    process = start("-c", code)
    assert process.wait() == 0
    assert process.out == "my SIGTERM\nmy Ctrl+C\n"


@pytest.fixture(scope="module")
def renamed(tmp_path_factory):
    """A folder with a copy of the SDK and its exporters, whose private attributes have other names; it says so."""
    folder = tmp_path_factory.mktemp("renamed") / "opentelemetry"
    installed = Path(sysconfig.get_path("purelib"), "opentelemetry")
    private = re.compile(r"(?<=\.)_(?=(batch_processor|timeout|worker_thread|endpoint|insecure|exporter|shutdown)\b)")
    for name in ("sdk", "exporter"):
        shutil.copytree(installed / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in folder.rglob("*.py"):
        path.write_text(private.sub("_another_", path.read_text()))
    with (folder / "sdk" / "trace" / "export" / "__init__.py").open("a") as module:
        module.write("\nimport sys\nprint('this is the copy', file=sys.stderr)\n")
    yield folder.parent
    shutil.rmtree(folder.parent)


def test_a_private_method_that_takes_no_time_limit_is_left_to_the_sdk(sink, monkeypatch):
    processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=sink.endpoint), schedule_delay_millis=60_000)
    provider = TracerProvider()
    provider.add_span_processor(processor)
    provider.get_tracer("tests").start_span("last").end()
    with monkeypatch.context() as changed:
        changed.setattr(processor._batch_processor, "shutdown", lambda: None)
        send_the_rest(processor)
    provider.shutdown()
    assert [span.name for span in sink.spans] == ["last"]


def test_an_sdk_with_other_private_names_starts_traces_and_ends_in_order(server, client, sink, renamed):
    settings = {"PYTHONPATH": renamed} | LATER
    process = server(**settings)
    pinger = client("--count", 1, DESTINATION_URL=f"{process.url}/ping", **settings)
    assert pinger.wait() == 0
    assert process.stop() == 0
    assert "this is the copy" in process.err and "this is the copy" in pinger.err
    assert len({span.trace_id for span in sink.spans}) == 1
    assert len(sink.spans) == 6
    assert "Traceback" not in process.output + pinger.output
