"""The demo's viewer: `python -m demo.viewer`. The programs that fill it are about to start."""

from viewer.__main__ import main

if __name__ == "__main__":
    main(hint="No spans yet: the server and the client are starting. Their logs tell more.")
