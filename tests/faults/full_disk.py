"""Write to a store until no file can grow any more, then remove the limit and continue: `... PATH
LIMIT`.

It prints one line for every acknowledged commit ("key revision"), and one for the error of the full
disk."""

from __future__ import annotations

import asyncio
import resource
import sys

from storage.base import Put, Unavailable
from storage.sqlite import SQLiteStore

MORE = 20


async def main(path: str, limit: int) -> None:
    store = SQLiteStore(path)
    await store.start()
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, unlimited[1]))
    refused, number = 0, 0
    while refused < MORE:
        number += 1
        try:
            print(f"/{number}", await store.commit([Put(f"/{number}", b"x" * 5000), Put(f"/{number}/too", b"x" * 50)]), flush=True)
        except Unavailable:
            refused += 1
    print("refused", refused, len((await store.list("")).items), flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    for later in range(number + 1, number + 1 + MORE):
        print(f"/{later}", await store.commit([Put(f"/{later}", b"x" * 5000), Put(f"/{later}/too", b"x" * 50)]), flush=True)
    await store.close()


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
