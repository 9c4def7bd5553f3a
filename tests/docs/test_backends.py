"""docs/backends.md: the settings send where it says, and the two files of YAML are what it shows."""

import os
import re
import subprocess
import sys

import grpc
import pytest
import yaml

import common
from tests.docs import pages
from tests.sink import Sink
from tests.support import ROOT

PAGE = (ROOT / "docs" / "backends.md").read_text()
COLLECTOR = (ROOT / "collector.yaml").read_text()
TOOL = (ROOT / "tools" / "real_backends.py").read_text()


def section(heading):
    """Return the part of the page below `heading`, up to the next one."""
    return PAGE.split(f"# {heading}\n")[1].split("\n#")[0]


def exports(heading, block=0):
    """Return the settings (dict) that a block of commands in a section exports."""
    return pages.exports([block for block in pages.blocks(section(heading)) if block.startswith("export")][block])


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
def test_the_settings_of_the_page_send_where_it_says(monkeypatch, settings, endpoint, tls, headers):
    for name in [name for name in os.environ if name.startswith(("OTEL_", "LS_"))]:
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    exporter = common.get_otlp_exporter()
    assert (exporter._endpoint, not exporter._insecure, dict(exporter._headers)) == (endpoint, tls, headers)
    exporter.shutdown()


@pytest.fixture
def strict(certificates):
    """A backend that wants a client certificate."""
    pair = [(certificates / f"server.{end}").read_bytes() for end in ("key", "pem")]
    authority = (certificates / "ca.pem").read_bytes()
    sink = Sink(credentials=grpc.ssl_server_credentials([pair], authority, require_client_auth=True))
    yield sink
    sink.stop()


def send_with(start, certificates, sink, settings):
    """Start a client that pings nothing and sends with the files that `settings` name."""
    paths = {name: certificates / value for name, value in settings.items() if not name.endswith("_ENDPOINT")}
    backend = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint, "OTEL_BSP_SCHEDULE_DELAY": 50}
    return start("client.py", "--interval", 1, DESTINATION_URL="http://127.0.0.1:1", **backend, **paths)


def test_the_three_files_of_a_client_certificate_are_enough(start, certificates, strict):
    settings = exports("TLS, client certificates, headers")
    assert len(settings) == 4
    send_with(start, certificates, strict, settings)
    strict.wait_for(1)


def test_without_a_client_certificate_the_backend_closes_the_connection(start, certificates, strict):
    client = send_with(start, certificates, strict, {"OTEL_EXPORTER_OTLP_CERTIFICATE": "ca.pem"})
    client.wait_for("Socket closed")
    assert strict.spans == []


def test_without_the_authoritys_certificate_the_other_two_are_not_looked_at(start, certificates, strict):
    settings = exports("TLS, client certificates, headers")
    del settings["OTEL_EXPORTER_OTLP_CERTIFICATE"]
    client = send_with(start, certificates, strict, settings)
    client.wait_for("CERTIFICATE_VERIFY_FAILED")


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
        assert version in PAGE.split("\n## ")[0]
        assert f"| {version}" in section("What was tried")
        assert f"{name.title()} {version}" in section("What was tried")


def test_the_collector_that_is_fetched_is_of_the_version_that_was_tried():
    version = re.search(r'^COLLECTOR = "v([\d.]+)"', TOOL, re.M)[1]
    fetched = re.findall(r"(?:download/v|otelcol-contrib_|collector-contrib:)([\d.]+\d)", PAGE)
    assert fetched == [version] * 4  # the release's folder and file, the file again, the image


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


def test_the_script_that_tries_backends_needs_no_more_than_the_readme_sets_up():
    of_the_tests = ["pytest", "hypothesis", "playwright", "yaml", "fastapi", "uvicorn", "httpx"]
    code = f"import sys; sys.modules.update(dict.fromkeys({of_the_tests})); import tools.real_backends"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
