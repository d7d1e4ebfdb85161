"""Check that the committed definition of the hardware's kind is the model's, and as strict as
BMO's."""

from __future__ import annotations

from hack.realcluster import crd


def test_the_file_is_up_to_date() -> None:
    assert crd.FILE.read_text() == crd.render(), "the model has changed: run `make crds` and commit the result"


def test_what_bmo_refuses_is_refused() -> None:
    (version,) = crd.definition()["spec"]["versions"]
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    assert "online" in properties["spec"]["required"]
    assert "" not in properties["spec"]["properties"]["image"]["properties"]["format"]["enum"]
    assert set(crd.STATUS_REQUIRED) == set(properties["status"]["required"])
