"""Write until the process is killed: one line "key revision" on stdout for every acknowledged
commit."""

from __future__ import annotations

import asyncio
import os
import sys

from storage.base import Delete, Put
from storage.sqlite import SQLiteStore


async def write(store: SQLiteStore, name: str) -> None:
    number = 0
    while True:
        number += 1
        both = f"{name}-{number:06}"
        revision = await store.commit([Put(f"/{both}/a", b"x" * 500), Put(f"/{both}/b", b"y"), Delete(f"/{name}-{number - 50:06}/b")])
        os.write(1, f"{both} {revision}\n".encode())


async def main(path: str, run: str) -> None:
    store = SQLiteStore(path)
    await store.start()
    await asyncio.gather(*(write(store, f"{run}-{n}") for n in range(8)))


asyncio.run(main(*sys.argv[1:3]))
