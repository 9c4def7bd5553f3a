"""Real processes, free ports, and waiting for a condition instead of sleeping."""

import collections
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 50  # seconds for what takes one on an idle machine: a busy one may need ten times as many


_reserved = collections.deque()  # file descriptors


def free_port():
    """Return a TCP port of the loopback interface on which nothing listens, and that nobody else is given.

    The probe stays bound without listening: a server that sets SO_REUSEADDR, as all of ours do, can still take the
    port, but neither another test's probe nor an outgoing connection can.
    """
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    _reserved.append(probe.detach())
    if len(_reserved) > 100:  # who asked so long ago listens by now
        os.close(_reserved.popleft())
    return port


def wait_until(condition, what, seconds=PATIENCE):
    """Call `condition` until it returns something true, and return that; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return result


def answers(port, host="127.0.0.1"):
    """Return whether something accepts connections on `port`."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def ask(port, path="/redis/1", headers=(), method="GET", body=None):
    """Send one HTTP request, whose headers (pairs of str or bytes) may be anything; return the status (int)."""
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.putrequest(method, path, skip_host=any(name == "Host" for name, _ in headers))
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders(body)
        return connection.getresponse().status


def clean_environment(**settings):
    """Return this process's environment without any setting of ours, plus `settings` (None leaves one out).

    Viewers that are not told where take a free port for OTLP/HTTP, because several run at once.
    """
    ours = re.compile(r"(OTEL|LS|VIEWER|FLASK|GUNICORN|GRPC)_|(REDIS|MONGODB|SERVER|DESTINATION)_|\w+_proxy$", re.I)
    environment = {name: value for name, value in os.environ.items() if not ours.match(name)}
    environment |= {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    settings = {"VIEWER_HTTP_PORT": 0} | settings
    return {name: str(value) for name, value in (environment | settings).items() if value is not None}


class Process:
    """A real process in a process group of its own, its output in files, readable while it runs.

    As a context manager it leaves nothing of the group behind.
    """

    def __init__(self, *command, env=None, cwd=ROOT, **popen):
        self.command = [str(part) for part in command]
        self._out, self._err = (tempfile.TemporaryFile("w+b") for _ in range(2))  # noqa: SIM115, closed at exit
        self._popen = subprocess.Popen(
            self.command,
            env=clean_environment() if env is None else env,
            cwd=cwd,
            stdin=popen.pop("stdin", subprocess.DEVNULL),
            stdout=popen.pop("stdout", self._out),
            stderr=popen.pop("stderr", self._err),
            start_new_session=True,
            **popen,
        )
        self.pid = self._popen.pid

    @classmethod
    def python(cls, *arguments, **options):
        """Start this Python with `arguments`."""
        return cls(sys.executable, *arguments, **options)

    @staticmethod
    def _read(file):
        return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")

    @property
    def out(self):
        """What it wrote to stdout so far."""
        return self._read(self._out)

    @property
    def err(self):
        """What it wrote to stderr so far."""
        return self._read(self._err)

    @property
    def output(self):
        """What it wrote so far, stdout first."""
        return self.out + self.err

    @property
    def returncode(self):
        """Its exit status, or None while it runs."""
        return self._popen.poll()

    def wait_for(self, pattern, seconds=PATIENCE):
        """Wait until its output matches the regular expression `pattern`; return the match."""

        def found():
            ended = self.returncode is not None  # asked first: what it wrote last may come between the two
            match = re.search(pattern, self.output)
            assert match or not ended, f"{self} ended ({self.returncode}):\n{self.output}"
            return match

        try:
            return wait_until(found, f"{pattern!r} in the output of {self}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output}") from None

    def wait_for_port(self, port, seconds=PATIENCE):
        """Wait until it accepts connections on `port`, which then is in its `.port` and `.url`; return it."""

        def listening():
            assert self.returncode is None, f"{self} ended ({self.returncode}):\n{self.output}"
            return answers(port)

        wait_until(listening, f"{self} listens on {port}", seconds)
        self.port, self.url = port, f"http://localhost:{port}"
        return self

    def send(self, number):
        """Send a signal to the process alone, not to its group."""
        self._popen.send_signal(number)

    def wait(self, seconds=PATIENCE):
        """Wait for its end and return its exit status."""
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self} still runs after {seconds} s:\n{self.output}") from None

    def stop(self, number=signal.SIGTERM, seconds=PATIENCE):
        """Send a signal, wait for the end, and return the exit status.

        Ctrl+C is pressed again, as a reader does, where it came while a finalizer ran: there Python ignores it.
        """
        self.send(number)
        if number == signal.SIGINT:
            ignored = "Exception ignored (?s:.*)KeyboardInterrupt"
            wait_until(
                lambda: self.returncode is not None or re.search(ignored, self.output),
                f"{self} ends by Ctrl+C",
                seconds,
            )
            if self.returncode is None:
                self.send(number)
        return self.wait(seconds)

    def kill(self):
        """End the whole process group, whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self._out.close()
        self._err.close()

    def __str__(self):
        return " ".join(self.command)


class Redis(Process):
    """A real Redis-protocol server (Valkey) on a port of its own, started as the demo does.

    Its `.url` gives it more time than the second after which our server would take one for hanging that stands still.
    """

    def __init__(self, port, folder):
        self.port, self.url = port, f"redis://localhost:{port}/0?socket_timeout=20&socket_connect_timeout=20"
        super().__init__(sys.executable, "-m", "demo.redis", port, folder, env=clean_environment())
        self.wait_for("Redis listens")


class MongoDB(Process):
    """A real MongoDB-protocol server (NX-27017) on a port of its own."""

    def __init__(self, port, folder):
        self.port, self.uri = port, f"mongodb://localhost:{port}"
        options = ["--db", "memory", "--host", "127.0.0.1", "-p", port]
        files = ["--pid-file", Path(folder) / f"mongodb-{port}.pid", "--log-file", os.devnull]
        module = "nx_27017.nx_27017"
        super().__init__(sys.executable, "-m", module, *options, *files, env=clean_environment(), cwd=folder)
        self.wait_for_port(port)
