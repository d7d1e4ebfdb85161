"""Check that docs/classes.md has every provisioner, and every parameter of each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from controllers.providers.base import find_provider, provisioners

PAGE = (Path(__file__).parents[3] / "docs" / "classes.md").read_text()


@pytest.mark.parametrize("provisioner", provisioners())
def test_every_parameter_is_there(provisioner: str) -> None:
    found = re.search(rf"^## {re.escape(provisioner)}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, f"docs/classes.md has no section {provisioner}"
    named = {name for row in re.findall(r"^\| (`.*?) \|", found[1], re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    wanted = {field.alias for field in find_provider(provisioner).parameters_model.model_fields.values()}
    assert wanted <= named, f"docs/classes.md, section {provisioner}, lacks {', '.join(sorted(map(str, wanted - named)))}"
