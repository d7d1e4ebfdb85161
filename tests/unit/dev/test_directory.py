"""The dev folder: one process at a time, the same ports and authority again, clear words when that cannot be."""

from __future__ import annotations

import socket
import stat
from typing import TYPE_CHECKING

import pytest

from apiserver.dev.directory import BadDirectory, Directory
from apiserver.dev.kubeconfigs import Context, client_certificate, kubeconfig
from apiserver.server.pki import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    made = Directory(tmp_path / "dev")
    made.open()
    yield made
    made.close()


def _ports(directory: Directory, **wanted: int) -> dict[str, int]:
    sockets = directory.sockets(wanted)
    ports = {name: sock.getsockname()[1] for name, sock in sockets.items()}
    for sock in sockets.values():
        sock.close()
    return ports


def test_only_one_process_at_a_time(directory: Directory) -> None:
    with pytest.raises(BadDirectory, match=r"in use by process \d+: stop it, or give another folder with --dir"):
        Directory(directory.path).open()
    directory.close()
    again = Directory(directory.path)
    again.open()
    again.close()


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadDirectory, match="cannot be used"):
        Directory(tmp_path / "file" / "dev").open()


def test_ports_stay_the_same(directory: Directory) -> None:
    first = _ports(directory)
    assert first["management"] != first["hardware"]
    assert _ports(directory) == first


def test_a_port_can_be_chosen_and_is_kept(directory: Directory) -> None:
    first = _ports(directory)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    assert _ports(directory, management=free) == {**first, "management": free}
    assert _ports(directory) == {**first, "management": free}


def test_a_taken_port_is_said_to_be_so(directory: Directory) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BadDirectory, match=f"port {port} of the hardware endpoint is taken .* --hardware-port"):
            directory.sockets({"hardware": port})


def test_the_authority_stays_the_same(directory: Directory) -> None:
    first = directory.authority()
    assert directory.authority().pair == first.pair
    assert stat.S_IMODE((directory.path / "ca.key").stat().st_mode) == 0o600


def test_a_broken_authority_is_said_to_be_so(directory: Directory) -> None:
    directory.authority()
    (directory.path / "ca.crt").write_bytes(Authority.create("other").pair.certificate)
    with pytest.raises(BadDirectory, match=r"delete both"):
        directory.authority()


def test_an_authority_half_made_is_made_anew(directory: Directory) -> None:
    directory.authority()
    (directory.path / "ca.key").unlink()
    assert directory.authority().vouches(directory.authority().client("x").certificate)


def test_kubeconfigs_hold_everything() -> None:
    authority = Authority.create("test")
    identity = authority.client("tenant-a", ["group"])
    contexts = [Context("management", "https://127.0.0.1:1", "tenant-a"), Context("hardware", "https://127.0.0.1:2")]
    made = kubeconfig("tenant-a", identity, authority.pair.certificate, contexts)
    assert made["current-context"] == "management"
    assert [context["context"]["namespace"] for context in made["contexts"]] == ["tenant-a", "default"]
    assert client_certificate(made) == identity.certificate
    assert authority.vouches(client_certificate(made))
    assert not Authority.create("other").vouches(client_certificate(made))
    assert client_certificate({}) == b""
    assert not authority.vouches(b"")
