"""The management API server over SQLite as a process: `python -m tests.faults.server FOLDER`. Prints its port once it answers."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from apiserver.dev.directory import Directory
from apiserver.dev.endpoints import management_endpoint
from storage.base import StorageError


async def main(folder: Path) -> None:
    endpoint = management_endpoint(folder / "db", Directory(folder).authority(), 0)
    async with endpoint.app as app:
        print(app.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(main(Path(sys.argv[1])))
    except StorageError as error:
        sys.exit(str(error))
