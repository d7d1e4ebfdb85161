"""Check how commands run, stop and complain."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import aiohttp
import pytest

from apiserver.cli import main as command_line
from apiserver.cli.health import HealthServer
from apiserver.cli.running import UsageError, run_until_stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path


def _signal_when_started(number: int) -> tuple[list[str], Callable[[], Coroutine[object, object, None]]]:
    happened: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            happened.append("tidied up")

    return happened, main


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_with_status_0(number: int) -> None:
    happened, main = _signal_when_started(number)
    assert run_until_stopped(main) == 0
    assert happened == ["tidied up"]


def test_what_does_not_stop_in_time_is_ended() -> None:
    script = (
        "import asyncio, os, signal; from apiserver.cli.running import run_until_stopped\n"
        "async def main():\n"
        "    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)\n"
        "    try: await asyncio.Event().wait()\n"
        "    finally: await asyncio.Event().wait()\n"
        "run_until_stopped(main, stop_seconds=0.1)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "not stopped within 0.1 s" in done.stderr) == (128 + signal.SIGTERM, True)


def test_a_command_that_ends_by_itself_returns_its_exit_code() -> None:
    async def main() -> None:
        await asyncio.sleep(0)

    assert run_until_stopped(main) == 0


def test_a_crash_is_not_hidden() -> None:
    async def main() -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        run_until_stopped(main)


def test_what_the_user_did_wrong_comes_out_of_groups_of_tasks() -> None:
    async def wrong() -> None:
        raise UsageError("do this instead")

    async def main() -> None:
        async with asyncio.TaskGroup() as outer:
            async with asyncio.TaskGroup() as inner:
                inner.create_task(wrong())
            outer.create_task(asyncio.sleep(10))

    with pytest.raises(UsageError, match="do this instead"):
        run_until_stopped(main)


def test_a_connection_that_is_gone_is_no_error_and_all_else_is(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        transport = writer.transport
        transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        with pytest.raises(RuntimeError, match="the handler is closed"):
            transport.write(b"x")
        loop.call_soon(transport.write, b"x")  # as uvloop's TLS does, which checks too late
        loop.call_soon(int, "no number")
        await asyncio.sleep(0)
        server.close()
        await server.wait_closed()

    with caplog.at_level("ERROR"):
        assert run_until_stopped(main) == 0
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == [
        "invalid literal for int() with base 10: 'no number'"
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "COMMAND"),
        (["--version"], 0, ""),
        (["dev", "--help"], 0, ""),
        (["dev", "--hosts", "many"], 2, "invalid int value"),
        (["dev", "--hosts", "-1"], 1, "--hosts must be between 0 and 10000"),
        (["dev", "--hardware-port", "70000"], 1, "ports are between"),
        (["dev", "--bmo-speed", "-1"], 1, "--bmo-speed: the speed must be zero or more"),
        (["simulate-bmo"], 2, "--kubeconfig"),
        (["simulate-bmo", "--kubeconfig", "/nowhere", "--speed", "-2"], 1, "--speed: the speed must be zero or more"),
        (["simulate-bmo", "--kubeconfig", "/nowhere"], 1, "--kubeconfig /nowhere: there is no kubeconfig at /nowhere"),
        (["controllers", "--leader-elect-renew-deadline", "20"], 1, "leader election: the retry period has to be shorter"),
        (["recover", "--kubeconfig", "/no\x1b[2J\nwhere"], 1, "there is no kubeconfig at /no [2J where"),
        (["controllers", "--kubeconfig", "/nowhere"], 1, "the management cluster cannot be used: there is no kubeconfig at /nowhere"),
    ],
)
def test_wrong_command_lines(
    arguments: list[str], status: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command_line, "log_to", lambda level, form: None)
    try:
        found = command_line.main(arguments)
    except SystemExit as end:  # argparse exits
        found = int(end.code or 0)
    error = capsys.readouterr().err
    assert found == status, error
    assert message in error
    assert list(tmp_path.iterdir()) == []


def test_the_version_names_the_commit_that_the_image_was_built_from(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAL3_WORKLOADS_COMMIT", "0123abcd")
    monkeypatch.setenv("METAL3_WORKLOADS_DATE", "2026-11-29T09:00:00Z")
    with pytest.raises(SystemExit):
        command_line.main(["--version"])
    assert capsys.readouterr().out.endswith(" (commit 0123abcd, 2026-11-29T09:00:00Z)\n")


def test_the_module_is_the_command() -> None:
    command = [sys.executable, "-m", "apiserver.cli.main", "simulate-bmo", "--kubeconfig", "/nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == "metal3-workloads simulate-bmo: --kubeconfig /nowhere: there is no kubeconfig at /nowhere"


def test_every_command_is_documented() -> None:
    text = command_line.parser().format_help()
    for command in ("dev", "serve", "controllers", "simulate-bmo"):
        assert command in text


@pytest.mark.parametrize("command", command_line.COMMANDS)
def test_each_command_has_a_module_that_describes_it(command: str) -> None:
    named = command_line.parser(command)._subparsers
    assert named is not None
    text = named._group_actions[0].choices[command].format_help()  # type: ignore[index] # private to the library, and not in its types
    assert len(text.splitlines()) > 5


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_what_needs_no_command_imports_none(argument: str) -> None:
    script = (
        "import sys; from apiserver.cli.main import main\n"
        f"try: main([{argument!r}])\n"
        "except SystemExit: pass\n"
        "heavy = {'aiohttp', 'asyncio', 'pydantic', 'kubernetes_asyncio', 'cryptography', 'controllers', 'storage'} & set(sys.modules)\n"
        "sys.exit(f'imported: {sorted(heavy)}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


async def test_health(caplog: pytest.LogCaptureFixture) -> None:
    problem = ["cannot follow hosts: https://user:canary@10.0.0.1/"]
    server = HealthServer(0, lambda: problem[0] if problem else None)
    task = asyncio.create_task(server.run())
    try:
        async with asyncio.timeout(60):
            while not server.bound:  # noqa: ASYNC110 - set by another task
                await asyncio.sleep(0.01)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.bound}") as session:
            assert await _get(session, "/healthz") == (503, "not ready: the log says why\n")
            assert await _get(session, "/livez") == (200, "ok\n")
            assert await _get(session, "/readyz") == (503, "not ready: the log says why\n")
            assert caplog.text.count("canary") == 1, "the owner reads it, once"
            problem.clear()
            assert await _get(session, "/healthz") == (200, "ok\n")
            assert (await _get(session, "/metrics"))[0] == 404
            async with session.post("/livez") as response:
                assert response.status == 405
            with pytest.raises(UsageError, match="cannot be used"):
                await HealthServer(server.bound, lambda: None).run()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _get(session: aiohttp.ClientSession, path: str) -> tuple[int, str]:
    async with session.get(path) as response:
        return response.status, await response.text()
