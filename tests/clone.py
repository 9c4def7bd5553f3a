"""A clone of the working tree, and what runs in it."""

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

from tests.support import ROOT


@contextlib.contextmanager
def clone(folder, name="clone"):
    """Make `folder / name`, as a clone would be after the next commit; end what is left running in `folder`."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for path in subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0"):
        if (ROOT / path).is_file():
            target = folder / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, target)
    yield folder / name
    for pid in processes_in(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def processes_in(folder):
    """Return {process id: command} of what runs in `folder`, or in one below it."""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # it has ended, or is no process
            if (entry / "cwd").readlink().is_relative_to(folder):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def files_in(folder):
    """Return the paths (set) of everything in `folder`, whatever its depth."""
    return {path.relative_to(folder) for path in folder.rglob("*")}
