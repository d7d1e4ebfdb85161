"""Check that the committed definitions of the hardware's kinds are those of the models, and as strict
as BMO's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apiserver.dev.hardware import REAL_HOSTS
from hack.realcluster import crd

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("file", crd.FILES, ids=lambda file: file.stem)
def test_the_file_is_up_to_date(file: Path) -> None:
    assert file.read_text() == crd.render(crd.FILES[file]), "the model has changed: run `make crds` and commit the result"


def test_the_definition_refuses_objects_that_bmo_refuses() -> None:
    (version,) = crd.definition(REAL_HOSTS)["spec"]["versions"]
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    assert "online" in properties["spec"]["required"]
    assert "" not in properties["spec"]["properties"]["image"]["properties"]["format"]["enum"]
    assert set(crd.STATUS_REQUIRED) == set(properties["status"]["required"])
