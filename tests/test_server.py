"""What the server answers, where it listens, and how it treats its databases."""

import re
import string

import pytest
import redis
import requests


def get(process, path="/ping"):
    return requests.get(process.url + path, timeout=20)


def test_a_ping_answers_up_to_1024_random_letters(shared_server):
    answers = [get(shared_server) for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200}
    assert all(1 <= len(answer.text) <= 1024 for answer in answers)
    assert set("".join(answer.text for answer in answers)) == set(string.ascii_lowercase)
    assert len({answer.text for answer in answers}) > 1


@pytest.mark.parametrize("length", [0, 65_536])
@pytest.mark.parametrize("database", ["redis", "pymongo"])
def test_a_direct_route_answers_that_many_letters(shared_server, database, length):
    assert re.fullmatch(f"[a-z]{{{length}}}", get(shared_server, f"/{database}/{length}").text)


def test_redis_holds_the_length_and_is_connected_to_once(shared_server, redis_server):
    with redis.Redis.from_url(redis_server.url) as observer:

        def connections():  # not the observer's own
            return {client["id"] for client in observer.client_list() if client["cmd"] == "get"}

        get(shared_server)
        before = connections()
        for length in (123, 45):
            get(shared_server, f"/redis/{length}")
            assert observer.get("length") == str(length).encode()
        assert connections() == before != set()


def test_the_log_shows_the_stack_trace_of_what_failed_as_in_the_post(server):
    process = server(REDIS_URL="redis://127.0.0.1:1", MONGODB_URI="mongodb://127.0.0.1:1")
    assert {get(process).status_code, get(process, "/pymongo/1").status_code} == {500}
    process.wait_for(r"(?s)Traceback.*in redis_integration.*redis\.exceptions\.ConnectionError: ")
    process.wait_for(r"(?s)Traceback.*in pymongo_integration.*pymongo\.errors\.ServerSelectionTimeoutError: ")


def test_it_listens_on_loopback(shared_server):
    shared_server.wait_for(r"Running on http://127\.0\.0\.1:\d+")
    assert "0.0.0.0" not in shared_server.output


def test_server_host_moves_it_and_flask_debug_opens_no_debugger(start):
    process = start("server.py", SERVER_HOST="127.0.0.2", SERVER_PORT=0, FLASK_DEBUG=1, OTEL_SDK_DISABLED="true")
    process.url = process.wait_for(r"Running on (http://127\.0\.0\.2:\d+)")[1]
    assert get(process, "/console").status_code == 404
    assert "Debugger is active" not in process.output


def test_a_taken_port_is_said_and_ends_it_with_1(shared_server, start):
    second = start("server.py", SERVER_PORT=shared_server.port, OTEL_SDK_DISABLED="true")
    assert second.wait() == 1
    assert f"Port {shared_server.port} is in use by another program" in second.err
    assert "Traceback" not in second.err
