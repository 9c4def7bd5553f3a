"""Whatever a database does, a ping has its answer in 3 s, and is well again after the fault."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.conftest import server_settings
from tests.proxy import Proxy
from tests.support import Process, clean_environment, wait_until


def get(process, path="/ping"):
    return requests.get(f"{process.url}{path}", timeout=20)


def assert_fails_in_time(process, path="/ping"):
    """A ping is answered by a 500 within 3 s (with time to spare for a busy machine)."""
    answer = get(process, path)
    assert answer.status_code == 500
    assert answer.elapsed.total_seconds() < 6


@pytest.fixture(scope="module")
def proxies(redis_server, mongodb_server):
    """A proxy in front of each database, by the name of the database."""
    with Proxy(redis_server.port) as to_redis, Proxy(mongodb_server.port) as to_mongodb:
        yield {"Redis": to_redis, "MongoDB": to_mongodb}


@pytest.fixture(scope="module")
def pinged(proxies, shared_sink, redis_server, mongodb_server):
    """A server behind the two proxies, and well."""
    urls = {
        "REDIS_URL": f"redis://localhost:{proxies['Redis'].port}",
        "MONGODB_URI": f"mongodb://localhost:{proxies['MongoDB'].port}",
    }
    settings = server_settings(shared_sink, redis_server, mongodb_server) | urls
    with Process.python("server.py", env=clean_environment(**settings)) as process:
        process.wait_for_port(settings["SERVER_PORT"])
        wait_until(lambda: get(process).status_code == 200, "a ping that is well")
        yield process


@pytest.fixture
def fault(proxies, pinged):
    """Put a fault before a database, and take it away: `fault(name, mode)`; then a ping is well again."""
    names = []

    def fault(name, mode):
        names.append(name)
        proxies[name].mode = mode

    yield fault
    for name in names:
        proxies[name].mode = "pass"
        # MongoDB may need a second ping: pymongo may still wait for an answer from before.
        assert get(pinged).status_code == 200 or (name == "MongoDB" and get(pinged).status_code == 200)


@pytest.mark.parametrize("mode", ["refuse", "hang", "cut"])
@pytest.mark.parametrize("name", ["Redis", "MongoDB"])
def test_a_ping_fails_in_time_and_is_well_after_the_fault(pinged, fault, name, mode):
    fault(name, mode)
    assert_fails_in_time(pinged)
    assert_fails_in_time(pinged)


def test_20_pings_at_once_with_mongodb_hanging_leave_no_thread_and_no_socket_behind(pinged, fault):
    def threads_and_files():
        status = Path(f"/proc/{pinged.pid}/status").read_text()
        return int(re.search(r"Threads:\s+(\d+)", status)[1]), len(os.listdir(f"/proc/{pinged.pid}/fd"))

    threads, files = threads_and_files()
    fault("MongoDB", "hang")
    for _ in range(2):
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda _: assert_fails_in_time(pinged), range(20)))
    pooled = 20  # what redis-py keeps for the next 20 at once
    wait_until(lambda: threads_and_files()[0] <= threads + 2, "the threads of the pings are gone")
    wait_until(lambda: threads_and_files()[1] <= files + pooled + 10, "the sockets of the pings are closed")


def test_a_host_that_nobody_knows(server):
    resolver = {"RES_OPTIONS": "timeout:1 attempts:1"}  # not ours: by default it asks a server that is slow for 10 s
    process = server(REDIS_URL="redis://no-such-host.invalid", MONGODB_URI="mongodb://no-such-host.invalid", **resolver)
    assert_fails_in_time(process, "/redis/1")
    assert_fails_in_time(process, "/pymongo/1")
