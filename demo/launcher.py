"""Start processes in order, watch over them, stop them in reverse order.

Written because the runners at hand signal all their children at once, so that the last spans find no viewer
any more, and leave grandchildren behind.
"""

import os
import select
import signal
import subprocess
import sys
import termios
import time
import tty
from collections import deque
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from socket import SO_REUSEADDR, SOL_SOCKET, create_connection, socket

START_BOUND = 60  # seconds for a part to answer; generous, for slow machines
STOP_BOUND = 3  # seconds for a part to end by itself; then it is killed
TICK = 0.05  # seconds between two looks at keys, signals and processes

SIGNALS = {  # the key that each one presses
    signal.SIGINT: "q",
    signal.SIGQUIT: "q",
    signal.SIGTERM: "q",
    signal.SIGHUP: "q",  # the terminal was closed
    signal.SIGUSR1: "r",
    signal.SIGUSR2: "m",
}


def is_taken(port: int) -> bool:
    """Return whether nothing of ours could listen on a port of the loopback interface."""
    with socket() as probe:
        probe.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)  # ended connections do not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def accepts(port: int) -> bool:
    """Return whether something accepts connections on a port of the loopback interface."""
    with suppress(OSError):
        create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


@dataclass
class Part:
    """A process of the demo, in a session of its own: Ctrl+C reaches only the launcher."""

    name: str
    arguments: tuple[str, ...]  # of Python
    env: dict[str, str]
    log: Path | None = None  # none: it writes to the terminal
    ports: tuple[int, ...] = ()
    key: str = ""  # stops and starts it; a part without one must not end by itself
    stop_signal: int = signal.SIGTERM
    process: subprocess.Popen | None = None

    def start(self, cwd: Path) -> None:
        with self.log.open("ab") if self.log else nullcontext() as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.arguments],
                cwd=cwd,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def answers(self) -> bool:
        return all(map(accepts, self.ports))

    def stop(self) -> None:
        """Ask it to end, and kill what is left when it is late."""
        self.process.send_signal(self.stop_signal)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_BOUND)
        self.kill()

    def kill(self) -> None:
        """Kill what is left of its group: one that ended may have left children behind."""
        with suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def last_lines(self) -> str:
        lines = self.log.read_text("utf-8", errors="replace").splitlines() if self.log else []
        return "".join(f"\n  {self.name} | {line}" for line in lines[-15:])


class Asked(Exception):
    """The demo was asked to end."""


class Ended(Exception):
    """A part ended unasked, or never answered."""

    def __init__(self, part: Part, what: str):
        super().__init__(f"{part.name} {what}.{part.last_lines()}")


class Keyboard:
    """Single keys from the terminal on stdin, while we are in its foreground."""

    before = None  # the terminal's settings, to be put back

    def here(self) -> bool:
        try:
            return os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
        except OSError:
            return False

    def read(self, seconds: float) -> str:
        """Return the keys pressed, after waiting this long for the first."""
        with suppress(OSError, termios.error):  # the terminal is gone
            if self.here():
                settings = termios.tcgetattr(0)
                if settings[3] & termios.ICANON:  # at the start, and after Ctrl+Z and `fg`
                    self.before = settings
                    tty.setcbreak(0, termios.TCSANOW)
                ready, _, _ = select.select([0], [], [], seconds)
                return os.read(0, 64).decode(errors="ignore").lower() if ready else ""
        time.sleep(seconds)
        return ""

    def restore(self) -> None:
        with suppress(OSError, termios.error):
            if self.before and self.here():
                termios.tcsetattr(0, termios.TCSANOW, self.before)


class Guard:
    """A process that stays when the launcher is killed; it kills the parts then, and removes their folder.

    It reads which process groups run, a line after each change, and acts when nobody can write any more.
    """

    SCRIPT = """
    while read -r now; do groups=$now; done
    [ -z "$groups" ] || kill -s KILL -- $groups
    rm -rf "$1"
    """

    def __init__(self, folder: Path):
        command = ["sh", "-c", self.SCRIPT, "guard", folder]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self.groups: list[str] = []

    def tell(self, parts: list[Part]) -> None:
        groups = [f"-{part.process.pid}" for part in parts if part.process]
        if groups != self.groups:
            self.groups = groups
            with suppress(OSError):  # somebody has killed it
                os.write(self.process.stdin.fileno(), f"{' '.join(groups)}\n".encode())

    def dismiss(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()


class Launcher:
    """Runs parts until a key, a signal or the end of one of them ends all. What they leave is in `folder`."""

    def __init__(self, cwd: Path, folder: Path):
        self.cwd = cwd
        self.parts: list[Part] = []
        self.guard = Guard(folder)
        self.keyboard = Keyboard()
        self.keys: deque[str] = deque()  # pressed, and not yet acted upon
        pid = os.getpid()
        self.ways = (  # to press a key, for the reader
            {"r": "key r", "m": "key m", "q": "key q"}
            if self.keyboard.here()
            else {"r": f"kill -USR1 {pid}", "m": f"kill -USR2 {pid}", "q": f"kill {pid}"}
        )
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # `nohup` keeps its word
                signal.signal(number, self.note)

    def note(self, number: int, _frame: object) -> None:
        """Handle a signal: only take note, for the loop to act on when that is safe."""
        self.keys.append(SIGNALS[number])

    def run(self, steps: list[list[Part]]) -> int:
        """Start the steps, each when every part of the one before it answers; return the exit status."""
        self.parts = [part for step in steps for part in step]
        try:
            for step in steps:
                self.start(step)
            while True:
                self.tick()
                self.watch()
                while self.keys:
                    self.press(self.keys.popleft())
        except Asked:
            return 0
        except Ended as ended:
            say(ended)
            return 1
        finally:
            self.stop_all()

    def tick(self) -> None:
        """Let a moment pass."""
        self.guard.tell(self.parts)
        self.keys.extend(self.keyboard.read(TICK))
        if "q" in self.keys:
            raise Asked

    def start(self, parts: list[Part]) -> None:
        deadline = time.monotonic() + START_BOUND
        for part in parts:
            part.start(self.cwd)
        for part in parts:
            while not part.answers():
                self.tick()
                if not part.runs():
                    raise Ended(part, f"ended at its start, with status {part.process.returncode}")
                if time.monotonic() > deadline:
                    raise Ended(part, f"did not answer within {START_BOUND} s")

    def watch(self) -> None:
        """Notice parts that ended by themselves."""
        for part in self.parts:
            if part.process and not part.runs():
                ended = Ended(part, f"ended by itself, with status {part.process.returncode}")
                if not part.key:
                    raise ended
                part.kill()
                say(f"{ended}\nThe demo goes on; {self.ways[part.key]} starts {part.name} again.\n")

    def press(self, key: str) -> None:
        """Stop or start the part of this key."""
        if key == "q":  # a signal that came after the last tick
            raise Asked
        for part in self.parts:
            if part.key != key:
                continue
            if part.runs():
                part.stop()
                say(f"{part.name} is stopped; {self.ways[key]} starts it again.\n")
            else:
                try:
                    self.start([part])
                    say(f"{part.name} is back.\n")
                except Ended as ended:
                    part.kill()
                    say(f"{ended}\n")

    def stop_all(self) -> None:
        """Stop in reverse order, one after the other, so that the viewer shows the last spans too."""
        say("Stopping.\n")
        stopped = [part.name for part in reversed(self.parts) if part.runs()]
        for part in reversed(self.parts):
            if part.process:
                part.stop()
        self.keyboard.restore()
        self.guard.dismiss()
        say(f"Stopped {', '.join(stopped) or 'nothing'}.")


def say(text: object) -> None:
    """Print a line, unless nobody can read it: the terminal may be gone."""
    with suppress(OSError):
        os.write(1, f"{text}\n".encode())
