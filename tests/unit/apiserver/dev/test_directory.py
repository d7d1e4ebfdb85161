"""Cover the dev folder: one process at a time, the same ports and authority again, and clear errors
when that is impossible."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from apiserver.dev.directory import BadDirectory, Directory
from apiserver.dev.kubeconfigs import Context, client_certificate, kubeconfig, servers
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


def test_ports_are_kept(directory: Directory) -> None:
    assert directory.ports() == {"management": 0, "hardware": 0}
    directory.keep_ports(management=1234, hardware=1235)
    assert Directory(directory.path).ports() == {"management": 1234, "hardware": 1235}


@pytest.mark.parametrize("text", ["", "[]", '{"management": "x"}', "{"])
def test_broken_ports_are_chosen_again(directory: Directory, text: str) -> None:
    directory.write("ports.json", text)
    assert directory.ports() == {"management": 0, "hardware": 0}


def test_the_authority_stays_the_same(directory: Directory) -> None:
    first = directory.authority()
    assert directory.authority().pair == first.pair
    assert stat.S_IMODE((directory.path / "ca.key").stat().st_mode) == 0o600


def test_a_certificate_that_does_not_match_its_key_is_refused(directory: Directory) -> None:
    directory.authority()
    (directory.path / "ca.crt").write_bytes(Authority.create("other").pair.certificate)
    with pytest.raises(BadDirectory, match=r"delete both"):
        directory.authority()


def test_an_authority_half_made_is_completed(directory: Directory) -> None:
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
    assert servers(made) == {"https://127.0.0.1:1", "https://127.0.0.1:2"}
    assert servers({"clusters": [None]}) == servers({}) == set()
    assert client_certificate({}) == b""
    assert not authority.vouches(b"")
