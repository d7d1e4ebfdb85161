"""Test apiserver.cli.numbers."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import pytest

from apiserver.cli import backup, numbers, serve

if TYPE_CHECKING:
    from types import ModuleType


@pytest.mark.parametrize("text", ["0", "443", "65535"])
def test_a_number_within_the_bounds_is_read(text: str) -> None:
    assert numbers.port(text) == int(text)


@pytest.mark.parametrize("text", ["-1", "65536", "1.5", "nan", "", "many"])
def test_other_values_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="a port is a number from 0 to 65535"):
        numbers.port(text)


def test_a_fraction_is_read_where_the_bounds_are_fractions() -> None:
    assert numbers.between(0.0, 1.0, "a ratio")("0.25") == 0.25


def test_a_large_bound_is_not_rounded() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="a number from 1000001 to 4611686018427387904"):
        numbers.between(1_000_001, 1 << 62, "a number")("1000000")


@pytest.mark.parametrize("text", ["nan", "inf", "1.01"])
def test_a_fraction_beyond_the_bounds_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"{text}: a ratio is a number from 0 to 1"):
        numbers.between(0.0, 1.0, "a ratio")(text)


@pytest.mark.parametrize(
    ("command", "flags", "said"),
    [
        (serve, ["--storage", "sqlite:///x", "--secure-port", "70000"], "--secure-port: 70000: a port is a number from 0 to 65535"),
        (serve, ["--storage", "sqlite:///x", "--shutdown-delay-duration", "-1"], "-1: a delay in seconds is a number from 0 to 3600"),
        (serve, ["--storage", "sqlite:///x", "--tracing-sampling-ratio", "2"], "2: a ratio is a number from 0 to 1"),
        (serve, ["--storage", "sqlite:///x", "--watch-history-bytes", "1"], "a size is a number of bytes, such as 512Mi"),
        (backup, ["--storage", "sqlite:///x", "--directory", "/tmp", "--keep", "0"], "0: how many backups to keep is a number from 1"),
    ],
)
def test_the_error_says_what_the_flag_takes(command: ModuleType, flags: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(flags)
    assert said in " ".join(capsys.readouterr().err.split())
