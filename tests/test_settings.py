"""Every setting, alone and in the combinations that can disagree."""

import json
import os
import signal
import subprocess
import sys

import grpc
import pytest

from tests.sink import Sink
from tests.support import ROOT, Process, clean_environment, free_port

SERVICE = "test-py-manual-otlp"


def start_line(client):
    return client.err.splitlines()[0]


@pytest.fixture
def ping(client, sink):
    """Run one ping against nothing with exactly these settings; return the client, once its spans are sent."""

    def ping(**settings):
        defaults = {"OTEL_RESOURCE_ATTRIBUTES": None, "DESTINATION_URL": f"http://localhost:{free_port()}/ping"}
        process = client("--count", 1, **(defaults | settings))
        process.wait()
        return process

    return ping


@pytest.mark.parametrize(
    ("settings", "service"),
    [
        ({}, SERVICE),
        ({"OTEL_SERVICE_NAME": ""}, SERVICE),
        ({"OTEL_SERVICE_NAME": "  "}, SERVICE),
        ({"OTEL_RESOURCE_ATTRIBUTES": ""}, SERVICE),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.version=1"}, SERVICE),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name="}, SERVICE),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=attribute"}, "attribute"),
        ({"OTEL_SERVICE_NAME": "name"}, "name"),
        ({"OTEL_SERVICE_NAME": "name", "OTEL_RESOURCE_ATTRIBUTES": "service.name=attribute"}, "name"),
        ({"OTEL_SERVICE_NAME": "", "OTEL_RESOURCE_ATTRIBUTES": "service.name=attribute"}, "attribute"),
    ],
)
def test_the_service_name_is_never_unknown(ping, sink, settings, service):
    process = ping(**settings)
    assert sink.wait_for(1)[0].service == service
    assert start_line(process) == f"Traces of {service} go to {sink.endpoint}"


def test_every_resource_attribute_is_kept(ping, sink):
    ping(OTEL_RESOURCE_ATTRIBUTES="service.version=1,deployment.environment.name=test,team=a%20b")
    resource = sink.wait_for(1)[0].resource
    assert (resource["service.version"], resource["deployment.environment.name"]) == ("1", "test")
    assert resource["team"] == "a b"


def test_the_resource_names_the_sdk(ping, sink):
    ping()
    resource = sink.wait_for(1)[0].resource
    assert resource["telemetry.sdk.language"] == "python"
    assert resource["telemetry.sdk.name"] == "opentelemetry"
    assert resource["telemetry.sdk.version"]


def run_python(code, **settings):
    """Run `code` beside common.py with these settings."""
    command, environment = [sys.executable, "-c", code], clean_environment(**settings)
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)


TOKEN = {"LS_ACCESS_TOKEN": "secret"}
HEADER = {"lightstep-access-token": "secret"}
LIGHTSTEP = "ingest.lightstep.com:443"


@pytest.mark.parametrize(
    ("settings", "endpoint", "tls", "headers"),
    [
        ({}, "localhost:4317", False, {}),
        ({"LS_ACCESS_TOKEN": ""}, "localhost:4317", False, {}),
        ({"LS_ACCESS_TOKEN": "  "}, "localhost:4317", False, {}),
        (TOKEN, LIGHTSTEP, True, HEADER),
        ({"LS_ACCESS_TOKEN": " secret\n"}, LIGHTSTEP, True, HEADER),
        (TOKEN | {"OTEL_EXPORTER_OTLP_INSECURE": "true"}, LIGHTSTEP, True, HEADER),
        (TOKEN | {"OTEL_EXPORTER_OTLP_TRACES_INSECURE": "true"}, LIGHTSTEP, True, HEADER),
        (TOKEN | {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, LIGHTSTEP, True, HEADER),
        (TOKEN | {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://satellite:8360"}, "satellite:8360", True, HEADER),
        (TOKEN | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://satellite:8360"}, "satellite:8360", False, HEADER),
        (TOKEN | {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://satellite:8360"}, "satellite:8360", True, HEADER),
        (TOKEN | {"OTEL_EXPORTER_OTLP_HEADERS": "a=b"}, LIGHTSTEP, True, HEADER),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "a=b"}, "localhost:4317", False, {"a": "b"}),
        ({"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "a=b"}, "localhost:4317", False, {"a": "b"}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, "localhost:4317", False, {}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, "localhost:4317", False, {}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1"}, "a:1", False, {}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://a:1"}, "a:1", True, {}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "a:1"}, "a:1", True, {}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "a:1", "OTEL_EXPORTER_OTLP_INSECURE": "TRUE"}, "a:1", False, {}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "a:1", "OTEL_EXPORTER_OTLP_TRACES_INSECURE": "true"}, "a:1", False, {}),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "a:1",
                "OTEL_EXPORTER_OTLP_INSECURE": "true",
                "OTEL_EXPORTER_OTLP_TRACES_INSECURE": "false",
            },
            "a:1",
            True,
            {},
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1", "OTEL_EXPORTER_OTLP_INSECURE": "false"}, "a:1", False, {}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://a:1", "OTEL_EXPORTER_OTLP_INSECURE": "true"}, "a:1", True, {}),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b:2"},
            "b:2",
            False,
            {},
        ),
    ],
)
def test_the_exporter_and_the_start_line_follow_the_settings(settings, endpoint, tls, headers):
    code = (
        "import common, json; exporter = common.get_otlp_exporter(); common.get_tracer()\n"
        "print(json.dumps([exporter._endpoint, not exporter._insecure, dict(exporter._headers)]))"
    )
    run = run_python(code, **settings)
    assert json.loads(run.stdout) == [endpoint, tls, headers]
    assert run.stderr == f"Traces of {SERVICE} go to {'https' if tls else 'http'}://{endpoint}\n"


def test_the_start_line_names_lightstep_and_not_the_token(ping):
    process = ping(LS_ACCESS_TOKEN="secret-token", OTEL_EXPORTER_OTLP_ENDPOINT=None)
    assert start_line(process) == f"Traces of {SERVICE} go to https://ingest.lightstep.com:443"
    assert "secret-token" not in process.output


def test_the_token_goes_along_as_a_header_to_a_satellite(ping, sink):
    ping(LS_ACCESS_TOKEN="secret-token")
    [span] = sink.wait_for(1)
    assert sink.headers[0]["lightstep-access-token"] == "secret-token"
    assert "secret-token" not in str([span.attributes, span.resource, span.events, span.message])


def test_the_token_goes_along_over_tls(ping, tls):
    sink = Sink(credentials=tls.credentials)
    ping(
        LS_ACCESS_TOKEN="secret-token",
        OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint,
        OTEL_EXPORTER_OTLP_INSECURE="true",
        OTEL_EXPORTER_OTLP_CERTIFICATE=tls.certificate,
    )
    sink.wait_for(1)
    sink.stop()
    assert sink.headers[0]["lightstep-access-token"] == "secret-token"


@pytest.fixture
def tls(tmp_path):
    """A certificate for localhost, and the credentials of a server that shows it."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    return type("TLS", (), {"certificate": certificate, "credentials": credentials})


def test_headers_from_the_environment_are_sent_without_a_token(ping, sink):
    ping(OTEL_EXPORTER_OTLP_HEADERS="api-key=abc")
    sink.wait_for(1)
    assert sink.headers[0]["api-key"] == "abc"


def test_the_sampler_of_the_environment_is_used(ping, sink):
    process = ping(OTEL_TRACES_SAMPLER="always_off")
    assert process.returncode == 1  # it ended by itself, so its last export is over
    assert sink.spans == []


def test_the_batch_settings_of_the_environment_are_used(client, sink):
    url = f"http://localhost:{free_port()}/"
    settings = {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": 1, "OTEL_BSP_SCHEDULE_DELAY": 60_000}
    client("--count", 3, "--interval", 0.01, DESTINATION_URL=url, **settings).wait()
    assert [len(request.resource_spans[0].scope_spans[0].spans) for request in sink.requests] == [1, 1, 1]


def test_span_limits_of_the_environment_are_used(ping, sink):
    ping(OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=1)
    assert len(sink.wait_for(1)[0].attributes) == 1


@pytest.mark.parametrize("value", ["true", "True", " TRUE "])
def test_otel_sdk_disabled_turns_tracing_off_and_everything_else_works(server, client, sink, value):
    process = server(OTEL_SDK_DISABLED=value)
    pinger = client("--count", 1, DESTINATION_URL=f"{process.url}/ping", OTEL_SDK_DISABLED=value)
    assert pinger.wait() == 0
    assert process.stop() == 0
    assert sink.spans == []
    assert start_line(pinger) == "Tracing is off: OTEL_SDK_DISABLED is set."


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "abc"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "ten"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[::1"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_PYTHON_TRACER_PROVIDER", "nope"),
    ],
)
@pytest.mark.parametrize("program", ["client.py", "server.py"])
def test_a_setting_that_the_sdk_refuses_is_one_clear_line(start, program, variable, value):
    process = start(program, **{variable: value})
    assert process.wait() == 1
    [line] = process.err.splitlines()
    assert line.startswith("Tracing cannot start: ")
    assert variable in line
    assert "Traceback" not in process.output


def test_with_a_token_the_settings_of_tls_are_looked_at_too(start):
    variable = "OTEL_PYTHON_EXPORTER_OTLP_GRPC_CREDENTIAL_PROVIDER"
    process = start("client.py", LS_ACCESS_TOKEN="token", **{variable: "nope"})
    assert process.wait() == 1
    [line] = process.err.splitlines()
    assert line.startswith("Tracing cannot start: ")
    assert variable in line


REFUSED = [
    ({"LS_ACCESS_TOKEN": "<LS_ACCESS_TOKEN>"}, "LS_ACCESS_TOKEN must be your own token"),
    ({"LS_ACCESS_TOKEN": '"abc"'}, "LS_ACCESS_TOKEN has quotes around its value"),
    ({"OTEL_RESOURCE_ATTRIBUTES": "'service.name=a'"}, "OTEL_RESOURCE_ATTRIBUTES has quotes around its value"),
    (
        {"OTEL_EXPORTER_OTLP_HEADERS": "Authorization: Bearer s3cret"},
        "OTEL_EXPORTER_OTLP_HEADERS must be like",
    ),
    ({"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "a=b,s3cret"}, "OTEL_EXPORTER_OTLP_TRACES_HEADERS must be like"),
    ({"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "-1"}, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT must be a non-negative integer"),
    ({"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "x"}, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT must be a non-negative integer"),
    ({"OTEL_EXPORTER_OTLP_CERTIFICATE": "/no/ca.pem"}, "OTEL_EXPORTER_OTLP_CERTIFICATE must be the path of a file"),
    ({"OTEL_EXPORTER_OTLP_CLIENT_KEY": "/no/key.pem"}, "OTEL_EXPORTER_OTLP_CLIENT_KEY must be the path of a file"),
    (
        {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE": "/"},
        "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE must be the path of a file",
    ),
    *(
        ({f"OTEL_EXPORTER_OTLP_{one}": __file__, "OTEL_EXPORTER_OTLP_CERTIFICATE": __file__}, "go together")
        for one in ("CLIENT_KEY", "CLIENT_CERTIFICATE", "TRACES_CLIENT_KEY", "TRACES_CLIENT_CERTIFICATE")
    ),
]


@pytest.mark.parametrize(("settings", "line"), REFUSED, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("program", ["client.py", "server.py"])
def test_what_is_certainly_a_mistake_is_one_line_that_says_what_to_do(start, program, settings, line):
    process = start(program, **settings)
    assert process.wait() == 1
    [said] = process.err.splitlines()
    assert line in said
    assert "s3cret" not in process.output


@pytest.mark.parametrize("program", ["client.py", "server.py"])
def test_without_its_requirements_a_program_says_what_to_do(program):
    with Process.python("-S", program, env=clean_environment()) as process:  # -S: without what pip installed
        assert process.wait() == 1
        assert process.err == "No module named 'opentelemetry': pip install -r requirements.txt -c constraints.txt\n"


@pytest.mark.parametrize("which", ["OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION"])
def test_no_compression_may_be_called_none(ping, sink, which):
    ping(**({"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"} | {which: "none"}))
    sink.wait_for(1)
    assert "grpc-encoding" not in sink.headers[0]


@pytest.mark.parametrize(
    ("endpoint", "where"),
    [
        ("dns:///127.0.0.1:PORT", "dns:///127.0.0.1:PORT (without TLS)"),
        ("dns:127.0.0.1:PORT", "dns:127.0.0.1:PORT (without TLS)"),
        ("ipv4:127.0.0.1:PORT", "ipv4:127.0.0.1:PORT (without TLS)"),
        ("127.0.0.1:PORT", "http://127.0.0.1:PORT"),
        ("//127.0.0.1:PORT", "http://127.0.0.1:PORT"),
        ("HTTP://127.0.0.1:PORT", "http://127.0.0.1:PORT"),
        ("http://user:secret@127.0.0.1:PORT", "http://127.0.0.1:PORT"),
    ],
)
def test_whatever_grpc_takes_as_an_endpoint_is_taken(ping, sink, endpoint, where):
    port = str(sink.port)
    process = ping(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint.replace("PORT", port), OTEL_EXPORTER_OTLP_INSECURE="true")
    assert start_line(process) == f"Traces of {SERVICE} go to {where.replace('PORT', port)}"
    if "secret" not in endpoint:  # gRPC takes a name with a user in it, and does not find it
        sink.wait_for(1)


def test_a_unix_socket_is_taken_as_an_endpoint(ping, tmp_path):
    socket = f"unix:{tmp_path}/otlp.sock"
    sink = Sink(address=socket)
    process = ping(OTEL_EXPORTER_OTLP_ENDPOINT=socket, OTEL_EXPORTER_OTLP_INSECURE="true")
    assert start_line(process) == f"Traces of {SERVICE} go to {socket} (without TLS)"
    sink.wait_for(1)
    sink.stop()


def test_an_endpoint_in_grpcs_own_words_has_tls_unless_it_is_said_to_be_insecure(ping):
    process = ping(OTEL_EXPORTER_OTLP_ENDPOINT="dns:///localhost:1")
    assert start_line(process) == f"Traces of {SERVICE} go to dns:///localhost:1 (with TLS)"


@pytest.mark.parametrize("variable", ["grpc_proxy", "https_proxy", "http_proxy"])
def test_the_start_says_when_traces_go_through_a_proxy(ping, sink, variable):
    settings = {variable: "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TIMEOUT": 1, "NO_PROXY": "localhost"}
    process = ping(**settings)
    assert (
        process.err.splitlines()[1] == f"through the proxy of {variable}; no_proxy=localhost,127.0.0.1 goes around it"
    )
    assert sink.spans == []
    process = ping(**settings, no_proxy="localhost,127.0.0.1")
    assert "proxy" not in process.err
    sink.wait_for(1)


def test_a_provider_that_is_not_ours_is_said_in_one_line(ping, sink):
    process = ping(OTEL_PYTHON_TRACER_PROVIDER="sdk_tracer_provider")
    assert start_line(process).startswith("Somebody else has set up tracing: OTEL_PYTHON_TRACER_PROVIDER")
    assert len(process.err.splitlines()) == 3  # the ping is told of in two
    assert sink.spans == []


def test_with_a_provider_that_is_not_ours_ctrl_c_still_sums_up(client):
    url = f"http://localhost:{free_port()}/"
    pinger = client("--interval", 60, DESTINATION_URL=url, OTEL_PYTHON_TRACER_PROVIDER="sdk_tracer_provider")
    pinger.wait_for("  trace ")
    assert pinger.stop(signal.SIGINT) == 1
    assert pinger.out == "1 pings, 1 failed\n"


def test_no_control_character_of_a_setting_reaches_the_terminal(ping, sink):
    process = ping(OTEL_SERVICE_NAME="a\x1b[31m\x07b")
    assert start_line(process) == rf"Traces of a\x1b[31m\x07b go to {sink.endpoint}"
    assert sink.wait_for(1)[0].service == "a\x1b[31m\x07b"


def test_settings_for_automatic_configuration_do_nothing(ping, sink):
    ping(OTEL_TRACES_EXPORTER="console", OTEL_PROPAGATORS="b3", OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf")
    sink.wait_for(1)


def test_get_tracer_works_without_an_argument_and_more_than_once():
    code = (
        "from common import get_tracer; from opentelemetry import trace\n"
        "first = get_tracer(); provider = trace.get_tracer_provider(); get_tracer('x')\n"
        "assert trace.get_tracer_provider() is provider"
    )
    run = run_python(code)
    assert run.stderr == f"Traces of {SERVICE} go to http://localhost:4317{os.linesep}"
