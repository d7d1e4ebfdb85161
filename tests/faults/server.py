"""Run the management API server as a process: `python -m tests.faults.server FOLDER STORAGE`.

It prints its port when it answers."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from apiserver.cli.storage import open_store
from apiserver.dev.directory import Directory
from apiserver.dev.endpoints import management_endpoint
from storage.base import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable


async def main(folder: Path, storage: str, up: Callable[[], None] = lambda: None) -> None:
    endpoint = management_endpoint(open_store(storage), Directory(folder).authority(), 0)
    async with endpoint.app as app:
        up()
        print(app.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        uvloop.run(main(Path(sys.argv[1]), sys.argv[2]))
    except StorageError as error:
        sys.exit(str(error))
