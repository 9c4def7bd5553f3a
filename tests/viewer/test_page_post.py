"""The viewer's page: the trace of the post, from the real client and the real server."""

import pytest

from tests.support import free_port
from tests.viewer.browsing import expect

CLIENT, SERVER = "py-opentelemetry-manual-otlp-client", "py-opentelemetry-manual-otlp-server"


@pytest.fixture
def ping(page, real_viewer, server, client):
    """Run the real client once against the real server, and open the page of their trace."""

    def ping(**settings):
        shown = page(viewer=real_viewer)
        to_viewer = {"OTEL_EXPORTER_OTLP_ENDPOINT": real_viewer.endpoint}
        process = server(**to_viewer, **settings)
        client("--count", 1, DESTINATION_URL=f"{process.url}/ping", **to_viewer).wait()
        expect(shown.locator("#traces .chip")).to_have_count(2)
        shown.traces.first.click()
        return shown

    return ping


def test_a_ping_is_the_tree_of_the_post_with_its_attributes(ping):
    page = ping()
    expect(page.rows).to_have_count(6)
    assert page.tree() == [
        (1, "client operation"),
        (2, "/ping"),
        (3, "redis_integration"),
        (4, "server redis operation"),
        (3, "pymongo_integration"),
        (4, "server pymongo operation"),
    ]
    expect(page.rows.locator(".kind")).to_have_text(["client", "server", "internal", "client", "internal", "client"])
    expect(page.locator("#services .chip bdi")).to_have_text([CLIENT, SERVER])
    expect(page.locator(".error-mark")).to_have_count(0)
    page.row("/ping").click()
    expect(page.value("http.route")).to_have_text("/ping")
    expect(page.value("http.response.status_code")).to_have_text("200")
    expect(page.value("service.name")).to_have_text(SERVER)
    expect(page.value("telemetry.sdk.language")).to_have_text("python")


def test_a_stopped_redis_is_an_error_where_it_happened(ping):
    page = ping(REDIS_URL=f"redis://localhost:{free_port()}/0")
    expect(page.rows).to_have_count(4)
    assert [name for _, name in page.tree()] == [
        "client operation",
        "/ping",
        "redis_integration",
        "server redis operation",
    ]
    expect(page.rows.get_by_role("img", name="error", exact=True)).to_have_count(4)
    page.row("server redis operation").click()
    expect(page.told("Status")).to_have_text("Error")
    expect(page.told("exception.type")).to_contain_text("ConnectionError")
    stack = page.told("exception.stacktrace").locator(".value")
    expect(stack).to_contain_text("Traceback (most recent call last):\n")
    assert stack.evaluate("value => getComputedStyle(value).whiteSpace") == "pre-wrap"
