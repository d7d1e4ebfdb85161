"""Run the steps of the Containerfile's build stage: `install.py dependencies ARCH`, then
`install.py project`.

The script uses the standard library only. The result is below /out, at its paths in the image. It
is an environment in /opt/metal3-workloads with packages for ARCH, for the Python at the path of the
running one. Their list is in CycloneDX format.
"""

from __future__ import annotations

import compileall
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Any

OUT = Path("/out")
PREFIX = Path("opt/metal3-workloads")
SBOM = Path("usr/share/metal3-workloads/sbom.cdx.json")
USER = 65532
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
GLIBC_MINORS = range(28, 16, -1)
LIBRARY = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
QUIET = ("--quiet", "--quiet", "--no-cache-dir", "--disable-pip-version-check", "--no-deps", "--no-compile", "--root-user-action=ignore")


def platforms(arch: str) -> list[str]:
    """Return pip's options for wheels that run on glibc 2.28 on this architecture."""
    machine = MACHINES[arch]
    names = [*(f"manylinux_2_{minor}_{machine}" for minor in GLIBC_MINORS), f"manylinux2014_{machine}"]
    return [option for name in names for option in ("--platform", name)]


def dependencies(arch: str) -> None:
    """Create the environment, with every pinned package."""
    run(sys.executable, "-m", "venv", "--without-pip", "--symlinks", f"/{PREFIX}")
    (OUT / PREFIX).parent.mkdir(parents=True)
    Path(f"/{PREFIX}").rename(OUT / PREFIX)
    options = ("--require-hashes", "--only-binary", ":all:", *platforms(arch))
    run(sys.executable, "-m", "pip", "install", *QUIET, *options, "--target", OUT / PREFIX / LIBRARY, "-r", "requirements.txt")


def project() -> None:
    """Add the project's own wheel, compile everything, and write the list of packages."""
    run("/build/bin/python", "-m", "hatchling", "build", "--target", "wheel")
    (wheel,) = Path("dist").glob("*.whl")
    library = OUT / PREFIX / LIBRARY
    run(sys.executable, "-m", "pip", "install", *QUIET, "--target", library, wheel)
    shutil.rmtree(library / "bin")
    programs = OUT / PREFIX / "bin"
    for script in programs.glob("*ctivate*"):
        script.unlink()
    for name, function in COMMANDS.items():
        (programs / name).write_text(PROGRAM.format(function=function))
        (programs / name).chmod(0o755)
    # The files are not checked at run time, because the image is never written to. With the times
    # of the sources, each build would produce another image.
    compileall.compile_dir(str(library), quiet=1, workers=0, stripdir=str(OUT), invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
    _mount_points()
    sbom = OUT / SBOM
    sbom.parent.mkdir(parents=True)
    sbom.write_text(json.dumps(bill(distributions(path=[str(library)])), indent=1) + "\n")


COMMANDS = {"metal3-workloads": "main", "kubectl-metal3": "main", "kubectl_complete-metal3": "complete_for_kubectl"}
"""The programs, and the functions of apiserver.cli.main that they run."""
PROGRAM = f"""#!/{PREFIX}/bin/python
import sys
from apiserver.cli.main import {{function}}
sys.exit({{function}}())
"""


def _mount_points() -> None:
    """Create the mount points of volumes, because a read-only root gets no folder at run time."""
    for folder, mode in (("tmp", 0o1777), ("var/lib/metal3-workloads", 0o700)):
        made = OUT / folder
        made.mkdir(parents=True)
        made.chmod(mode)
    os.chown(OUT / "var/lib/metal3-workloads", USER, USER)


def bill(found: Any) -> dict[str, Any]:
    """Return the CycloneDX document of these distributions."""
    parts = sorted((_component(each) for each in found), key=lambda part: part["name"])
    (product,) = (part for part in parts if part["name"] == "metal3-workloads")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {**product, "type": "application"}},
        "components": [part for part in parts if part is not product],
    }


def _component(found: Distribution) -> dict[str, Any]:
    name = found.metadata["Name"].lower().replace("_", "-").replace(".", "-")
    purl = f"pkg:pypi/{name}@{found.version}"
    license_ = dict(found.metadata.json).get("license_expression")
    made = {"type": "library", "bom-ref": purl, "name": name, "version": found.version, "purl": purl}
    return {**made, "licenses": [{"expression": license_}]} if license_ else made


def run(*command: str | Path) -> None:
    """Run a command. Its failure ends the build."""
    subprocess.run([str(part) for part in command], check=True)


if __name__ == "__main__":
    if sys.argv[1] == "dependencies":
        dependencies(sys.argv[2])
    else:
        project()
