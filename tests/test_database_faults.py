"""Whatever a database does, a ping has its answer in 3 s, and the first one after the fault is healthy."""

import contextlib
import os
import re
import signal
import socket
import threading
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


def fails_in_time(process, name, how="(failed|could not be reached)"):
    """Ping; the answer must blame the database `name`, within 3 s, and say whether it was there."""
    answer = get(process)
    assert answer.status_code == 500
    assert re.match(f"{name} {how} at ", answer.text), answer.text
    assert answer.elapsed.total_seconds() < 6  # promised: 3
    return answer


def is_healthy_again(process, name):
    """Ping after a fault of the database `name`; with MongoDB twice, since pymongo may still wait for an old answer."""
    return get(process).status_code == 200 or (name == "MongoDB" and get(process).status_code == 200)


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
    fails_in_time(process, name, "could not be reached")
    fails_in_time(process, name, "could not be reached")


@DATABASES
def test_unresolvable_host(server, name, variable, scheme):
    process = server(**{variable: f"{scheme}://no-such-host.invalid:1234"})
    assert "no-such-host.invalid:1234" in fails_in_time(process, name, "could not be reached").text


@DATABASES
def test_hanging_and_back(pinged, proxies, name, variable, scheme):
    assert get(pinged).status_code == 200
    proxies[name].mode = "hang"
    fails_in_time(pinged, name)
    proxies[name].mode = "pass"
    assert is_healthy_again(pinged, name)


@DATABASES
def test_hanging_from_the_start_and_back(pinged, proxies, name, variable, scheme):
    proxies[name].mode = "hang"
    fails_in_time(pinged, name)
    proxies[name].mode = "pass"
    assert is_healthy_again(pinged, name)


@DATABASES
def test_cut_in_mid_answer_and_back(pinged, proxies, name, variable, scheme):
    assert get(pinged).status_code == 200
    proxies[name].mode = "cut"
    fails_in_time(pinged, name)
    fails_in_time(pinged, name)
    proxies[name].mode = "pass"
    assert is_healthy_again(pinged, name)


@pytest.mark.parametrize("kind", [Redis, MongoDB])
def test_frozen_and_thawed(server, tmp_path, kind):
    with kind(free_port(), tmp_path) as database:
        process = server(**({"REDIS_URL": database.url} if kind is Redis else {"MONGODB_URI": database.uri}))
        assert get(process).status_code == 200
        os.killpg(database.pid, signal.SIGSTOP)
        wait_until(lambda: get(process).status_code == 500, "it is frozen")
        fails_in_time(process, kind.__name__)
        os.killpg(database.pid, signal.SIGCONT)
        assert is_healthy_again(process, kind.__name__)


def test_wrong_password_of_redis_and_the_right_one(server, tmp_path):
    with Redis(free_port(), tmp_path) as database:
        with redis.Redis.from_url(database.url) as owner:
            owner.acl_setuser("reader", enabled=True, passwords=["+right-password"], keys="*", categories=["+@all"])
        url = f"redis://reader:{{}}@localhost:{database.port}".format
        answer = fails_in_time(server(REDIS_URL=url("wrong-password")), "Redis", "failed")
        assert "AuthenticationError" in answer.text
        assert get(server(REDIS_URL=url("right-password"))).status_code == 200


def test_wrong_password_of_mongodb(server):
    with MongoDBThatRefuses() as database:
        process = server(MONGODB_URI=f"mongodb://somebody:wrong-password@localhost:{database.port}")
        assert "OperationFailure" in fails_in_time(process, "MongoDB", "failed").text
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
        assert is_healthy_again(pinged, "MongoDB")

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


class Scripted:
    """A Redis that gives each command the same answer (bytes)."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        with connection, contextlib.suppress(OSError):
            while command := connection.recv(65_536):
                connection.sendall(self.answer if b"MSET" in command else b"+OK\r\n" * command.count(b"*"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "OutOfMemoryError"),
        (b"-NOPERM this user has no permissions to run the 'mset' command\r\n", "NoPermissionError"),
        (b"-READONLY You can't write against a read only replica.\r\n", "ReadOnlyError"),
    ],
    ids=["out of memory", "not permitted", "read only"],
)
def test_a_redis_that_refuses_has_failed_and_was_reached(server, answer, error):
    with Scripted(answer) as database:
        text = fails_in_time(server(REDIS_URL=database.url), "Redis", "failed").text
        assert text.startswith(f"Redis failed at {database.url.partition('//')[2]}: {error} (trace ")


def test_a_long_error_message_is_cut_and_obeys_no_terminal(server, sink):
    with Scripted(b"-ERR \x1b[31m\x07" + b"x" * 2_000_000 + b"\r\n") as database:
        process = server(REDIS_URL=database.url)
        fails_in_time(process, "Redis", "failed")
        span = {span.name: span for span in sink.wait_for(3)}["server redis operation"]
    event = span.events[0][1]
    for text in (event["exception.message"], event["exception.stacktrace"], span.message, process.err):
        assert r"\x1b[31m\x07xxx" in text
        assert "\x1b[31m\x07" not in text
        assert "xxx… (2000006 characters)" in text
        assert len(text) < 50_000


def test_an_error_message_of_control_characters_is_not_longer_for_it(server, sink):
    with Scripted(b"-ERR " + b"\x1b" * 3_900 + b"\r\n") as database:
        fails_in_time(server(REDIS_URL=database.url), "Redis", "failed")
        span = {span.name: span for span in sink.wait_for(3)}["server redis operation"]
    assert 4_000 < len(span.events[0][1]["exception.message"]) < 4_100


def test_the_error_code_of_mongodb_is_on_its_span(server, sink):
    with MongoDBThatRefuses() as database:
        process = server(MONGODB_URI=f"mongodb://somebody:wrong@localhost:{database.port}")
        assert get(process).status_code == 500
    span = {span.name: span for span in sink.wait_for(5)}["server pymongo operation"]
    assert span.attributes["db.response.status_code"] == "18"  # AuthenticationFailed


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("REDIS_URL", "redis://secret:12#34@localhost:6379/0"),
        ("REDIS_URL", "redis://secret:12/34@localhost:6379/0"),
        ("MONGODB_URI", "mongodb://secret:12#34@localhost:27017"),
    ],
)
def test_a_password_that_was_not_escaped_shows_nothing_of_itself(start, variable, url):
    process = start("server.py", **{variable: url})
    assert process.wait() == 1
    assert process.err.startswith(f"{variable} cannot be read; it must be like ")
    assert "secret" not in process.output
