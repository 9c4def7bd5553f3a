"""Beyond the post: what makes the three files right and sturdy, and teaches nothing about tracing.

settings     reads the environment, and says in one line what cannot be used
conventions  the attributes, status codes and error types of the semantic conventions
databases    the two clients, bounded in time, with the attributes of their spans; the answer when one fails
leaving      signals and the last export: nothing lost, nobody kept waiting

No span starts in here, and no context is carried: those stand in the three files, in full view. They import this
package before any other, so that it has looked at the settings when the SDK reads them.
"""

import os
import signal
import sys

here = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
program = os.path.realpath(getattr(sys.modules["__main__"], "__file__", None) or "")

# Ctrl+C while a program of this folder is still being imported is no stack trace. (Other programs keep their handler.)
if os.path.dirname(program) == here and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
