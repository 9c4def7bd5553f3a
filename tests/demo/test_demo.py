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

from demo.__main__ import PORTS, is_mongodb, is_redis
from tests.clone import clone, files_in, processes_in
from tests.support import Process, clean_environment, free_port, wait_until

HEALTHY = r"6 spans, 2 services, [\d.]+ \w?s\n"  # and no errors
FAILED = r"2 services, [\d.]+ \w?s, \d errors\n"

# Makes the terminal on stdin that of its session, as a shell's is, then becomes the command.
IN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)

COMMAND = (sys.executable, "-B", "-m", "demo")


class Demo(Process):
    """A demo in `folder / "clone"`, with its temporary files in `folder / "tmp"`."""

    def __init__(self, folder, settings, command=COMMAND, **streams):
        self.folder, self.tmp = folder, folder / "tmp"
        self.ports = {name: settings.get(name, free_port()) for name in PORTS}
        environment = clean_environment(TMPDIR=self.tmp, **(self.ports | settings))
        super().__init__(*command, env=environment, cwd=folder / "clone", **streams)

    def wait_until_up(self):
        """Wait until its last part has started."""
        self.part("client.py test")
        return self

    def part(self, command):
        """Return the process id of the part with this command, once it is there."""

        def found():
            assert self.returncode is None, f"the demo ended ({self.returncode}):\n{self.output}"
            return [pid for pid, line in processes_in(self.folder).items() if line.rstrip().endswith(command)]

        return wait_until(found, f"{command} runs")[0]

    def log(self, name):
        """Return what is in a log so far."""
        logs = list(self.tmp.glob(f"*/{name}"))
        return logs[0].read_text() if logs else ""

    def assert_all_gone(self):
        """Nothing runs, and no file is left. The kernel may need a moment for what was killed."""
        wait_until(lambda: not processes_in(self.folder), f"{processes_in(self.folder)} are gone")
        assert not files_in(self.tmp)


class TerminalDemo(Demo):
    """A demo with a terminal to itself."""

    def __init__(self, folder, settings):
        self.keyboard, terminal = pty.openpty()
        os.set_blocking(self.keyboard, False)
        self.mode = termios.tcgetattr(terminal)
        self.text = b""
        command = (sys.executable, "-c", IN_TERMINAL, *COMMAND)
        super().__init__(folder, settings, command, stdin=terminal, stdout=terminal, stderr=terminal)
        self.terminal = terminal

    def press(self, keys):
        os.write(self.keyboard, keys.encode())

    def hang_up(self):
        """Close the terminal."""
        os.close(self.terminal)
        os.close(self.keyboard)
        self.keyboard = None

    @property
    def out(self):
        """What it showed so far, without colours."""
        with contextlib.suppress(BlockingIOError):
            while self.keyboard and (more := os.read(self.keyboard, 65_536)):
                self.text += more
        return re.sub(r"\x1b\[[\d;]*m|\r", "", self.text.decode(errors="replace"))

    def __exit__(self, *details):
        super().__exit__(*details)
        if self.keyboard:
            self.hang_up()


@pytest.fixture
def folder(tmp_path):
    """A folder with a clone in it, and a folder for temporary files."""
    (tmp_path / "tmp").mkdir()
    with clone(tmp_path):
        yield tmp_path


@pytest.fixture
def start_demo(folder):
    """Start demos that end with the test: `start_demo(in_terminal=False, **settings)`."""
    with contextlib.ExitStack() as demos:
        # Where these tests run under nohup, the demo would heed it.
        demos.callback(signal.signal, signal.SIGHUP, signal.signal(signal.SIGHUP, signal.SIG_DFL))
        yield lambda in_terminal=False, command=COMMAND, **settings: demos.enter_context(
            TerminalDemo(folder, settings) if in_terminal else Demo(folder, settings, command)
        )


# What it shows


def test_a_stopped_redis_is_in_the_next_trace_and_a_started_one_heals_it(start_demo):
    demo = start_demo()
    demo.wait_for(HEALTHY)
    demo.send(signal.SIGUSR1)
    demo.wait_for(f"Redis is stopped(?s:.)*{FAILED}")
    demo.send(signal.SIGUSR1)
    demo.wait_for(f"Redis is back(?s:.)*{HEALTHY}")


def test_the_first_trace_is_whole_and_healthy(start_demo):
    first = start_demo().wait_for(r"trace \w{32}.*\n")
    assert re.search(HEALTHY, first.group())


def test_the_last_trace_is_shown_too(start_demo):
    demo = start_demo()
    wait_until(lambda: "Request to" in demo.log("client.log"), "the first ping")
    demo.stop(signal.SIGINT)
    assert re.search(HEALTHY, demo.out)


def test_settings_for_other_backends_and_proxies_stay_outside(start_demo):
    nowhere = f"http://127.0.0.1:{free_port()}"
    demo = start_demo(
        LS_ACCESS_TOKEN="secret",
        OTEL_SDK_DISABLED="true",
        OTEL_TRACES_SAMPLER="always_off",
        OTEL_SERVICE_NAME="mine",
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=nowhere,
        OTEL_EXPORTER_OTLP_HEADERS="Bad Header=1",
        REDIS_URL="redis://nowhere.invalid",
        MONGODB_URI="mongodb://nowhere.invalid",
        DESTINATION_URL=nowhere,
        SERVER_HOST="192.0.2.1",
        http_proxy=nowhere,
        HTTP_PROXY=nowhere,
        grpc_proxy=nowhere,
    )
    demo.wait_for(HEALTHY)


def test_two_demos_run_side_by_side(start_demo):
    demos = [start_demo(), start_demo()]
    for demo in demos:
        demo.wait_for(HEALTHY)


def test_its_own_lines_fit_in_80_columns(start_demo):
    demo = start_demo().wait_until_up()
    own, _, _ = demo.out.replace(str(demo.tmp), "/tmp").partition("The viewer takes")
    assert f"\n  kill -USR1 {demo.pid} stops and starts Redis,\n" in own
    assert re.search("^  /tmp/otel-demo-.*$", own, re.M)
    assert max(map(len, own.splitlines())) <= 80


def test_a_locale_without_utf_8_is_no_obstacle(start_demo):
    poor = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    start_demo(**poor, PYTHONIOENCODING="iso-8859-1").wait_for(r"6 spans, 2 services")


@pytest.mark.parametrize("module", ["demo", "viewer"])
def test_help_starts_nothing(start, module):
    process = start("-m", module, "--help")
    assert process.wait() == 0
    assert process.out.startswith(f"usage: python -m {module}")
    assert max(map(len, process.out.splitlines())) <= 80


@pytest.mark.parametrize("module", ["demo", "viewer"])
def test_without_its_requirements_it_says_what_to_do(start, module):
    process = start("-S", "-m", module)  # -S: without what pip installed
    assert process.wait() == 1
    assert "Traceback" not in process.err
    what = {"demo": "`make demo` installs them", "viewer": "pip install -r requirements-demo.txt"}
    assert what[module] in process.err


# Ports


@pytest.mark.parametrize("variable", PORTS)
def test_a_taken_port_starts_nothing_and_names_its_variable(start_demo, variable):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        demo = start_demo(**{variable: port})
        assert demo.wait() == 1
    assert demo.output == f"Port {port} is taken: use another with {variable}=<port>.\n"


@pytest.mark.parametrize("value", ["x", "0", "65536", "-1", "1e3", "٣", "9" * 5_000, "\x1b[2J"])
def test_what_is_no_port_is_refused_in_one_line(start_demo, value):
    demo = start_demo(REDIS_PORT=value)
    assert demo.wait() == 1
    assert demo.output == f"REDIS_PORT must be a port, from 1 to 65535, not {value[:40]!r}.\n"


def test_the_same_port_twice_is_refused(start_demo):
    port = free_port()
    demo = start_demo(REDIS_PORT=port, SERVER_PORT=port)
    assert demo.wait() == 1
    assert demo.output == f"Port {port} is asked for twice: use another with SERVER_PORT=<port>.\n"


def test_a_database_whose_port_was_taken_meanwhile_is_not_said_to_be_back(start_demo):
    demo = start_demo().wait_until_up()
    demo.send(signal.SIGUSR1)
    demo.wait_for("Redis is stopped")
    port = demo.ports["REDIS_PORT"]
    with socket.create_server(("127.0.0.1", port)):
        demo.send(signal.SIGUSR1)
        demo.wait_for(f"Port {port} is taken; free it, and kill -USR1 {demo.pid} starts Redis.")
    assert "back" not in demo.out
    demo.send(signal.SIGUSR1)
    demo.wait_for("Redis is back")


@pytest.mark.parametrize(("is_it", "database"), [(is_redis, "redis_server"), (is_mongodb, "mongodb_server")])
def test_a_database_is_up_only_when_it_answers_as_one(request, is_it, database):
    assert is_it(request.getfixturevalue(database).port)
    assert not is_it(free_port())
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert not is_it(other.getsockname()[1])


# The end


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_leaves_no_process_and_no_file(start_demo, folder, number):
    before = files_in(folder / "clone")
    demo = start_demo().wait_until_up()
    assert demo.stop(number) == 0
    demo.assert_all_gone()
    assert files_in(folder / "clone") == before


def test_a_signal_while_it_starts_ends_it_too(start_demo):
    demo = start_demo()
    demo.part("viewer")
    assert demo.stop(signal.SIGTERM) == 0
    demo.assert_all_gone()


def test_a_signal_between_two_looks_at_the_keys_is_not_lost():
    program = """
import os, pathlib, signal, sys
from demo.launcher import Launcher
launcher = Launcher(pathlib.Path(), pathlib.Path("nothing"))
launcher.watch = lambda: os.kill(os.getpid(), signal.SIGTERM)
sys.exit(launcher.run([]))
"""
    with Process(sys.executable, "-c", program) as launcher:
        launcher.wait_for("Stopped")


def test_a_closed_terminal_ends_it(start_demo):
    demo = start_demo(in_terminal=True).wait_until_up()
    demo.hang_up()
    demo.wait()
    demo.assert_all_gone()


def test_parts_that_do_not_end_are_killed(start_demo):
    demo = start_demo().wait_until_up()
    for command in ("server.py", "client.py test", "viewer"):
        os.kill(demo.part(command), signal.SIGSTOP)
    assert demo.stop(signal.SIGTERM) == 0
    demo.assert_all_gone()


@pytest.mark.parametrize("moment", ["viewer", "client.py test"])
def test_a_killed_demo_leaves_no_process_and_no_file(start_demo, moment):
    demo = start_demo()
    demo.part(moment)
    demo.send(signal.SIGKILL)
    demo.wait()
    demo.assert_all_gone()


def test_a_killed_demo_leaves_no_database_that_it_started_again(start_demo):
    demo = start_demo().wait_until_up()
    for said in ("Redis is stopped", "Redis is back"):
        demo.send(signal.SIGUSR1)
        demo.wait_for(said)
    demo.send(signal.SIGKILL)
    demo.wait()
    demo.assert_all_gone()


def test_a_killed_make_ends_it(start_demo):
    demo = start_demo(command=("make", "--file=/dev/null", f"--eval=it: ; @{' '.join(COMMAND)}", "it"))
    demo.wait_until_up()
    demo.send(signal.SIGKILL)
    demo.assert_all_gone()


def test_a_second_ctrl_c_ends_it_at_once(start_demo):
    demo = start_demo().wait_until_up()
    for command in ("server.py", "client.py test", "viewer"):
        os.kill(demo.part(command), signal.SIGSTOP)
    demo.send(signal.SIGINT)
    demo.wait_for("Stopping")
    assert demo.stop(signal.SIGINT, seconds=5) == 0  # the test above takes 9 s
    demo.assert_all_gone()


@pytest.mark.parametrize(
    ("command", "last_lines"),
    [
        ("viewer", "viewer ended by itself"),  # what it wrote is in the terminal already
        ("server.py", r"server ended by itself.*\n(  server \| .*\n)*  server \| Traces of"),
        ("client.py test", r"client ended by itself.*\n(  client \| .*\n)*  client \| Traces of"),
    ],
)
def test_a_part_that_dies_ends_it_with_status_1_and_its_last_lines(start_demo, command, last_lines):
    demo = start_demo()
    if command != "viewer":
        wait_until(lambda: "Traces of" in demo.log(f"{command[:6]}.log"), "its first line")
    demo.wait_until_up()
    os.kill(demo.part(command), signal.SIGKILL)
    assert demo.wait() == 1
    assert re.search(last_lines, demo.out)
    demo.assert_all_gone()


# Databases that come and go


def test_a_redis_that_dies_is_shown_with_its_log_and_can_be_started_again(start_demo):
    demo = start_demo().wait_until_up()
    os.kill(demo.part(f"127.0.0.1:{demo.ports['REDIS_PORT']}"), signal.SIGTERM)
    demo.wait_for(r"Redis ended by itself.*\n(  Redis \| .*\n)+The demo goes on")
    demo.send(signal.SIGUSR1)
    demo.wait_for("Redis is back")


@pytest.mark.parametrize(("key", "database"), [("r", "Redis"), ("m", "MongoDB")])
def test_a_key_stops_and_starts_a_database(start_demo, key, database):
    demo = start_demo(in_terminal=True).wait_until_up()
    demo.press(key)
    demo.wait_for(f"{database} is stopped; key {key} starts it again")
    demo.press(key)
    demo.wait_for(f"{database} is back")


def test_sigusr2_stops_mongodb(start_demo):
    demo = start_demo().wait_until_up()
    demo.send(signal.SIGUSR2)
    demo.wait_for("MongoDB is stopped")


def test_keys_pressed_while_it_starts_and_in_haste_do_no_harm(start_demo):
    demo = start_demo(in_terminal=True)
    demo.part("viewer")
    demo.press("rrmmrr")
    demo.wait_for(f"(Redis is stopped(?s:.)*Redis is back(?s:.)*){{2}}{HEALTHY}")


def test_q_ends_it_and_leaves_the_terminal_as_it_was(start_demo):
    demo = start_demo(in_terminal=True).wait_until_up()
    assert termios.tcgetattr(demo.terminal) != demo.mode
    demo.press("q")
    assert demo.wait() == 0
    assert termios.tcgetattr(demo.terminal) == demo.mode
    demo.assert_all_gone()
