"""Whatever a database does, a ping has its answer in 3 s, and the first one after the fault is healthy."""

import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
import requests

from tests.proxy import MongoDBThatRefuses, Proxy
from tests.support import MongoDB, Redis, free_port, wait_until

DATABASES = pytest.mark.parametrize(
    ("name", "variable", "scheme"),
    [("Redis", "REDIS_URL", "redis"), ("MongoDB", "MONGODB_URI", "mongodb")],
    ids=["Redis", "MongoDB"],
)


def get(process):
    return requests.get(f"{process.url}/ping", timeout=20)


def fails_in_time(process, name):
    """Ping; the answer must blame the database `name`, within 3 s."""
    answer = get(process)
    assert answer.status_code == 500
    assert answer.text.startswith(f"{name} could not be reached at ")
    assert answer.elapsed.total_seconds() < 6  # promised: 3
    return answer


@pytest.fixture
def proxies(redis_server, mongodb_server):
    """A proxy in front of each database, by the name of the database."""
    with Proxy(redis_server.port) as to_redis, Proxy(mongodb_server.port) as to_mongodb:
        yield {"Redis": to_redis, "MongoDB": to_mongodb}


@pytest.fixture
def pinged(server, proxies):
    """A server behind the two proxies."""
    urls = {
        "REDIS_URL": f"redis://localhost:{proxies['Redis'].port}",
        "MONGODB_URI": f"mongodb://localhost:{proxies['MongoDB'].port}",
    }
    return server(**urls)


@DATABASES
def test_down(server, name, variable, scheme):
    process = server(**{variable: f"{scheme}://localhost:{free_port()}"})
    fails_in_time(process, name)
    fails_in_time(process, name)


@DATABASES
def test_unresolvable_host(server, name, variable, scheme):
    process = server(**{variable: f"{scheme}://no-such-host.invalid:1234"})
    assert "no-such-host.invalid:1234" in fails_in_time(process, name).text


@DATABASES
def test_hanging_and_back(pinged, proxies, name, variable, scheme):
    assert get(pinged).status_code == 200
    proxies[name].mode = "hang"
    fails_in_time(pinged, name)
    proxies[name].mode = "pass"
    assert get(pinged).status_code == 200


@DATABASES
def test_hanging_from_the_start_and_back(pinged, proxies, name, variable, scheme):
    proxies[name].mode = "hang"
    fails_in_time(pinged, name)
    proxies[name].mode = "pass"
    assert get(pinged).status_code == 200


@DATABASES
def test_cut_in_mid_answer_and_back(pinged, proxies, name, variable, scheme):
    assert get(pinged).status_code == 200
    proxies[name].mode = "cut"
    fails_in_time(pinged, name)
    fails_in_time(pinged, name)
    proxies[name].mode = "pass"
    assert get(pinged).status_code == 200


@pytest.mark.parametrize("kind", [Redis, MongoDB])
def test_frozen_and_thawed(server, tmp_path, kind):
    with kind(free_port(), tmp_path) as database:
        process = server(**({"REDIS_URL": database.url} if kind is Redis else {"MONGODB_URI": database.uri}))
        assert get(process).status_code == 200
        os.killpg(database.pid, signal.SIGSTOP)
        wait_until(lambda: get(process).status_code == 500, "it is frozen")
        fails_in_time(process, kind.__name__)
        os.killpg(database.pid, signal.SIGCONT)
        assert get(process).status_code == 200


def test_wrong_password_of_redis_and_the_right_one(server, tmp_path):
    with Redis(free_port(), tmp_path) as database:
        with redis.Redis.from_url(database.url) as owner:
            owner.acl_setuser("reader", enabled=True, passwords=["+right-password"], keys="*", categories=["+@all"])
        url = f"redis://reader:{{}}@localhost:{database.port}".format
        answer = fails_in_time(server(REDIS_URL=url("wrong-password")), "Redis")
        assert "AuthenticationError" in answer.text
        assert get(server(REDIS_URL=url("right-password"))).status_code == 200


def test_wrong_password_of_mongodb(server):
    with MongoDBThatRefuses() as database:
        process = server(MONGODB_URI=f"mongodb://somebody:wrong-password@localhost:{database.port}")
        assert "OperationFailure" in fails_in_time(process, "MongoDB").text
        assert "Authentication failed., full error: {" in process.err


def usage(process):
    """The threads, the open files and the memory in MB of a process."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    threads, kilobytes = (int(re.search(rf"{field}:\s+(\d+)", status)[1]) for field in ("Threads", "VmRSS"))
    return threads, len(os.listdir(f"/proc/{process.pid}/fd")), kilobytes // 1024


def test_50_pings_at_once_with_mongodb_hanging_leave_nothing_behind(pinged, proxies):
    def round_of_pings():
        proxies["MongoDB"].mode = "hang"
        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(lambda _: get(pinged), range(50)))
        assert {answer.status_code for answer in answers} == {500}
        assert max(answer.elapsed.total_seconds() for answer in answers) < 6  # promised: 3
        proxies["MongoDB"].mode = "pass"
        assert get(pinged).status_code == 200

    assert get(pinged).status_code == 200
    threads, files, _ = usage(pinged)
    round_of_pings()
    _, _, megabytes = usage(pinged)
    for _ in range(2):
        round_of_pings()
    wait_until(lambda: usage(pinged)[0] <= threads + 2, "the threads of the pings are gone")
    pooled = 50  # what redis-py keeps for the next 50 at once; 150 pings with a socket each would be left otherwise
    wait_until(lambda: usage(pinged)[1] <= files + pooled + 10, "the sockets of the pings are closed")
    assert usage(pinged)[2] <= megabytes + 25
