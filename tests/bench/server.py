"""The management API server as a process, as tests.faults.server has it, which looks for garbage as
seldom as `serve`."""

from __future__ import annotations

import sys
from pathlib import Path

import uvloop

from apiserver.server.memory import settle
from tests.faults.server import main

if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), sys.argv[2], settle))
