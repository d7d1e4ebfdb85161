"""Run the management API server as in tests.faults.server, with garbage collections as rare as in
`serve`."""

from __future__ import annotations

import sys
from pathlib import Path

import uvloop

from apiserver.server.memory import tune_garbage_collector
from tests.faults.server import main

if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), sys.argv[2], tune_garbage_collector))
