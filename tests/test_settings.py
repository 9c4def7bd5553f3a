"""The environment: whose settings do what, what is said of them at the start, and what an import leaves alone."""

import os
import subprocess
import sys

import pytest

import common
from beyond.settings import read_setting, say_where_traces_go
from tests.sink import Sink
from tests.support import ROOT, clean_environment, free_port

SERVICE = "test-py-manual-otlp"
LIGHTSTEP = "https://ingest.lightstep.com:443"


@pytest.fixture
def ping(client, sink):
    """Run one ping against nothing with exactly these settings; return the client, once its spans are sent."""

    def ping(**settings):
        defaults = {"OTEL_RESOURCE_ATTRIBUTES": None, "DESTINATION_URL": f"http://localhost:{free_port()}/ping"}
        process = client("--count", 1, **(defaults | settings))
        assert process.wait() == 1
        return process

    return ping


@pytest.fixture
def environment(monkeypatch):
    """Set the environment of this process: `environment(**settings)`."""

    def environment(**settings):
        for name in os.environ.keys() - clean_environment().keys():
            monkeypatch.delenv(name)
        for name, value in settings.items():
            monkeypatch.setenv(name, value)

    return environment


def run_python(code, **settings):
    """Run `code` beside common.py with these settings, and return what it wrote to stdout and to stderr."""
    command, environment = [sys.executable, "-c", code], clean_environment(**settings)
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout, run.stderr


# Service name and resource


@pytest.mark.parametrize(
    ("settings", "service"),
    [
        ({}, SERVICE),
        ({"OTEL_SERVICE_NAME": "", "OTEL_RESOURCE_ATTRIBUTES": "service.name=,service.version=1"}, SERVICE),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=attribute"}, "attribute"),
        ({"OTEL_SERVICE_NAME": "name", "OTEL_RESOURCE_ATTRIBUTES": "service.name=attribute"}, "name"),
    ],
)
def test_the_service_name_is_never_unknown(ping, sink, settings, service):
    process = ping(**settings)
    assert sink.wait_for(1)[0].service == service
    assert process.err.splitlines()[0] == f"Traces of {service} go to {sink.endpoint}"


def test_every_resource_attribute_is_kept_beside_those_of_the_sdk(ping, sink):
    ping(OTEL_RESOURCE_ATTRIBUTES="service.version=1,team=a%20b")
    resource = sink.wait_for(1)[0].resource
    assert (resource["service.version"], resource["team"]) == ("1", "a b")
    assert (resource["telemetry.sdk.name"], resource["telemetry.sdk.language"]) == ("opentelemetry", "python")


# Where the traces go


@pytest.mark.parametrize(
    ("settings", "endpoint"),
    [
        ({}, "http://localhost:4317"),
        ({"LS_ACCESS_TOKEN": "", "OTEL_EXPORTER_OTLP_ENDPOINT": ""}, "http://localhost:4317"),
        ({"LS_ACCESS_TOKEN": "secret"}, LIGHTSTEP),
        ({"LS_ACCESS_TOKEN": "secret", "OTEL_EXPORTER_OTLP_ENDPOINT": ""}, LIGHTSTEP),
        ({"LS_ACCESS_TOKEN": "secret", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1"}, "http://a:1"),
        (
            {
                "LS_ACCESS_TOKEN": "secret",
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b:2",
            },
            "http://b:2",
        ),
    ],
)
def test_the_exporter_is_told_where_to_send_and_the_token_if_there_is_one(monkeypatch, environment, settings, endpoint):
    environment(**settings)
    monkeypatch.setattr(common, "OTLPSpanExporter", dict)  # its arguments; what they do is the next tests' affair
    headers = (("lightstep-access-token", "secret"),) if settings.get("LS_ACCESS_TOKEN") else None
    assert common.get_otlp_exporter() == {"endpoint": endpoint, "headers": headers}


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({}, "Traces of shop go to http://localhost:4317"),
        ({"LS_ACCESS_TOKEN": "secret"}, f"Traces of shop go to {LIGHTSTEP}"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://a:1"}, "Traces of shop go to https://a:1"),
        ({"LS_ACCESS_TOKEN": "secret", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1"}, "Traces of shop go to http://a:1"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a:2"}, "Traces of shop go to http://a:2"),
        ({"OTEL_SDK_DISABLED": "True"}, "Tracing is off: OTEL_SDK_DISABLED is set."),
    ],
)
def test_the_start_line_says_where_the_traces_go(environment, capsys, settings, line):
    environment(**settings)
    say_where_traces_go("shop", common.get_endpoint())
    assert capsys.readouterr() == ("", line + "\n")


def test_the_token_goes_along_as_a_header_over_tls_in_place_of_other_headers(ping, tls):
    certificate, credentials = tls
    sink = Sink(credentials=credentials)
    process = ping(
        LS_ACCESS_TOKEN="token-secret",
        OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint,  # https://
        OTEL_EXPORTER_OTLP_INSECURE="true",
        OTEL_EXPORTER_OTLP_HEADERS="api-key=abc",
        OTEL_EXPORTER_OTLP_CERTIFICATE=certificate,
    )
    sink.wait_for(1)
    sink.stop()
    assert sink.headers[0]["lightstep-access-token"] == "token-secret"
    assert "api-key" not in sink.headers[0]
    assert "token-secret" not in process.output + str(sink.requests)


# The variables of OpenTelemetry


def test_those_of_the_sdk_and_the_exporter_keep_their_meaning(client, sink):
    pinger = client(
        *("--count", 3, "--interval", 0.01),
        DESTINATION_URL=f"http://localhost:{free_port()}/",
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE=2,
        OTEL_BSP_SCHEDULE_DELAY=60_000,
        OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT=20,
        OTEL_EXPORTER_OTLP_HEADERS="api-key=abc",
    )
    assert pinger.wait() == 1
    assert [len(request.resource_spans[0].scope_spans[0].spans) for request in sink.requests] == [2, 1]
    assert {len(span.attributes["url.full"]) for span in sink.spans} == {20}
    assert sink.headers[0]["api-key"] == "abc"


def test_tracing_can_be_turned_off_and_everything_else_works(server, client, sink):
    process = server(OTEL_TRACES_SAMPLER="always_off")
    pinger = client("--count", 1, DESTINATION_URL=f"{process.url}/ping", OTEL_SDK_DISABLED="true")
    assert (pinger.wait(), process.stop()) == (0, 0)
    assert pinger.err.splitlines() == ["Tracing is off: OTEL_SDK_DISABLED is set.", "{}"]  # an empty carrier
    assert sink.spans == []


def test_those_for_automatic_configuration_do_nothing(ping, sink):
    ping(OTEL_TRACES_EXPORTER="console", OTEL_PROPAGATORS="b3", OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf")
    sink.wait_for(1)


# Our own


def test_an_empty_setting_is_the_default(environment):
    environment(REDIS_URL="")
    assert read_setting("REDIS_URL", "redis://localhost:6379/0", str) == "redis://localhost:6379/0"


# The code around


IMPORT = """
import os, signal
def state():
    return dict(os.environ), [signal.getsignal(number) for number in signal.valid_signals()]
before = state()
import common, beyond.conventions, beyond.databases, beyond.leaving, beyond.pinging, beyond.settings
assert state() == before
"""


def test_an_import_changes_nothing_and_ends_nothing():
    odd = {"OTEL_EXPORTER_OTLP_TIMEOUT": "abc", "SERVER_HOSTNAME": '"web1"', "SERVER_PORTS": "", "LS_ACCESS_TOKEN": ""}
    assert run_python(IMPORT, **odd) == ("", "")


def test_get_tracer_works_without_an_argument_and_sets_up_once():
    code = (
        "from common import get_tracer; from opentelemetry import trace\n"
        "get_tracer(); provider = trace.get_tracer_provider(); get_tracer('x')\n"
        "assert trace.get_tracer_provider() is provider"
    )
    assert run_python(code) == ("", f"Traces of {SERVICE} go to http://localhost:4317\n")
