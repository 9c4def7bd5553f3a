"""docs/backends.md: the settings send where it says, and the two files of YAML are what it shows."""

import json
import re
import subprocess
import sys

import grpc
import pytest
import yaml

from tests.sink import Sink
from tests.support import ROOT, clean_environment, free_port
from tests.test_processes import SIGNALS, ping, ping_until, whole_traces

PAGE = (ROOT / "docs" / "backends.md").read_text()
COLLECTOR = (ROOT / "collector.yaml").read_text()
TOOL = (ROOT / "tools" / "real_backends.py").read_text()


def section(heading):
    """Return the part of the page below `heading`, up to the next one."""
    return PAGE.split(f"# {heading}\n")[1].split("\n#")[0]


def exports(heading, block=0):
    """Return the settings (dict) that a block of commands in a section exports."""
    blocks = re.findall(r"^```\n((?:export .*\n)+)```$", section(heading), re.M)
    return dict(re.findall(r"^export (\w+)=(.*)$", blocks[block], re.M))


@pytest.mark.parametrize(
    ("settings", "endpoint", "tls", "headers"),
    [
        (exports("Jaeger"), "jaeger.example.com:4317", False, {}),
        (exports("Grafana Tempo"), "tempo.example.com:4317", False, {}),
        (exports("Honeycomb"), "api.honeycomb.io:443", True, {"x-honeycomb-team": "YOUR_API_KEY"}),
        (exports("Lightstep"), "ingest.lightstep.com:443", True, {"lightstep-access-token": "YOUR_TOKEN"}),
        (exports("Lightstep", 1), "ingest.eu.lightstep.com:443", True, {"lightstep-access-token": "YOUR_TOKEN"}),
        (exports("Any other"), "otlp.example.com:443", True, {"api-key": "YOUR_KEY", "x-dataset": "shop"}),
        (
            {"OTEL_EXPORTER_OTLP_HEADERS": re.search(r"`(authorization=Basic%20\S+)`", PAGE)[1]},
            "localhost:4317",
            False,
            {"authorization": "Basic dXNlcjprZXk="},
        ),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "Api-Key=abc"}, "localhost:4317", False, {"api-key": "abc"}),
    ],
)
def test_the_settings_of_the_page_send_where_it_says(settings, endpoint, tls, headers):
    code = (
        "import common, json; exporter = common.get_otlp_exporter()\n"
        "print(json.dumps([exporter._endpoint, not exporter._insecure, dict(exporter._headers)]))"
    )
    command, environment = [sys.executable, "-c", code], clean_environment(**settings)
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == [endpoint, tls, headers]


def openssl(folder, *arguments):
    """Run openssl in `folder`."""
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder with an authority's certificate, and a key and a certificate by it for server and client."""
    folder = tmp_path_factory.mktemp("certificates")
    request = ("req", "-newkey", "rsa:2048", "-nodes")
    openssl(folder, *request, "-x509", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    for name in ("server", "client"):
        openssl(folder, *request, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signed = ("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")
        openssl(folder, *signed, "-extfile", "names", "-out", f"{name}.pem")
    return folder


@pytest.fixture
def strict(certificates):
    """A backend that wants a client certificate."""
    pair = [(certificates / f"server.{end}").read_bytes() for end in ("key", "pem")]
    authority = (certificates / "ca.pem").read_bytes()
    sink = Sink(credentials=grpc.ssl_server_credentials([pair], authority, require_client_auth=True))
    yield sink
    sink.stop()


def send_with(start, certificates, sink, settings):
    """Ping nothing once, with the files that `settings` name; return the client when it has ended."""
    paths = {name: certificates / value for name, value in settings.items() if not name.endswith("_ENDPOINT")}
    url = f"http://127.0.0.1:{free_port()}/"
    client = start("client.py", "--count", 1, DESTINATION_URL=url, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint, **paths)
    client.wait()
    return client


def test_the_three_files_of_a_client_certificate_are_enough(start, certificates, strict):
    settings = exports("TLS, client certificates, headers")
    assert len(settings) == 4
    send_with(start, certificates, strict, settings)
    strict.wait_for(1)


def test_without_a_client_certificate_the_backend_closes_the_connection(start, certificates, strict):
    client = send_with(start, certificates, strict, {"OTEL_EXPORTER_OTLP_CERTIFICATE": "ca.pem"})
    assert "Socket closed" in client.err
    assert strict.spans == []


def test_without_the_authoritys_certificate_the_other_two_are_not_looked_at(start, certificates, strict):
    settings = exports("TLS, client certificates, headers")
    del settings["OTEL_EXPORTER_OTLP_CERTIFICATE"]
    client = send_with(start, certificates, strict, settings)
    assert "CERTIFICATE_VERIFY_FAILED" in client.err


def test_the_page_shows_the_collectors_file_line_by_line():
    blocks = re.findall(r"```yaml\n(.*?)```", section("The file, line by line"), re.S)
    without_comment = COLLECTOR.split("\n\n", 1)[1]
    assert "".join(blocks).replace("\n\n", "\n") == without_comment.replace("\n\n", "\n")


def keys(value):
    """Yield every key of a YAML document, at whatever depth."""
    if isinstance(value, list):
        for each in value:
            yield from keys(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from keys(each)


def test_every_key_of_the_collectors_file_is_explained():
    prose = re.sub(r"```.*?```", "", section("The file, line by line"), flags=re.S)
    explained = set(re.findall(r"`([^`]+)`", prose))
    assert set(keys(yaml.safe_load(COLLECTOR))) - {"protocols"} <= explained


def test_the_pipelines_of_the_collector_use_what_the_file_defines():
    config = yaml.safe_load(COLLECTOR)
    for pipeline in config["service"]["pipelines"].values():
        for part in ("receivers", "processors", "exporters"):
            assert set(pipeline[part]) == set(config[part])


def test_the_versions_that_were_tried_are_those_of_the_tool():
    for name in ("COLLECTOR", "JAEGER"):
        version = re.search(rf'^{name} = "(v[\d.]+)"', TOOL, re.M)[1]
        assert f"| {version}" in section("What was tried")
        assert f"{name.title()} {version}" in section("What was tried")


@pytest.mark.parametrize("heading", ["Jaeger", "Grafana Tempo", "Honeycomb", "Lightstep"])
def test_what_was_not_tried_says_so_with_a_link_to_where_it_is_from(heading):
    assert re.search(
        r"(?s)from \[[^]]+\]\(https://\S+\).*not\s+tried here|not tried here;\s+from \[[^]]+\]\(https://",
        section(heading),
        re.I,
    )


def test_the_versions_at_the_top_are_those_of_the_tool():
    top = PAGE.split("\n## ")[0]
    for name in ("COLLECTOR", "JAEGER"):
        assert re.search(rf'^{name} = "(v[\d.]+)"', TOOL, re.M)[1] in top


def test_the_compose_file_is_well_formed_pinned_and_on_loopback():
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert compose.keys() == {"services"}
    assert compose["services"].keys() == {"redis", "mongodb", "jaeger"}
    for service in compose["services"].values():
        assert service.keys() == {"image", "ports"}
        assert re.fullmatch(r"[a-z./]+:\d+\.\d+\.\d+", service["image"])
        for port in service["ports"]:
            assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)
    assert compose["services"]["jaeger"]["image"] in section("Jaeger")


GUNICORN = ["-m", "gunicorn", "--no-control-socket", "-b", "127.0.0.1:{port}"]
GUNICORN += ["--access-logfile", "-", "--access-logformat", "answered by %(p)s"]
SERVERS = {
    "gunicorn -w 4 server:app": [*GUNICORN, "-w", "4"],
    "gunicorn -w 4 --preload server:app": [*GUNICORN, "-w", "4", "--preload"],
    "waitress-serve server:app": ["-m", "waitress", "--listen", "127.0.0.1:{port}"],
    "flask --app server run": ["-m", "flask", "--app", "server", "run", "-p", "{port}"],
    "python server.py": ["server.py"],
}


@SIGNALS
@pytest.mark.parametrize("command", SERVERS)
def test_a_server_for_production_sends_the_spans_of_all_its_workers(
    start, sink, redis_server, mongodb_server, command, number
):
    port = free_port()
    settings = {"SERVER_PORT": port, "REDIS_URL": redis_server.url, "MONGODB_URI": mongodb_server.uri}
    settings |= {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint, "OTEL_BSP_SCHEDULE_DELAY": 60_000}
    arguments = [argument.format(port=port) for argument in SERVERS[command]]
    if command.endswith("server:app"):
        arguments.append("server:app")
    process = start(*arguments, **settings).wait_for_port(port)
    process.url = f"http://127.0.0.1:{port}"
    traces = {ping(process) for _ in range(20)}
    if "gunicorn" in arguments:  # which passes over a signal for a worker that is still in its fork
        all_four = "all four workers have answered"
        traces |= {*ping_until(process, lambda: len(set(re.findall(r"answered by <\d+>", process.out))) == 4, all_four)}
    assert process.stop(number) == 0
    assert whole_traces(sink) == traces


def test_the_page_says_so_of_these_servers():
    rows = re.findall(r"^\| `([^`]+)` \| 20 \| 20 \|$", section("Servers for production"), re.M)
    assert rows == list(SERVERS)
