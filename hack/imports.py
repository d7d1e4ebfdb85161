"""Draw the imports between packages as a Mermaid graph, for CONTRIBUTING.md.

    python -m hack.imports            print the graph
    python -m hack.imports --write    put it between the markers in CONTRIBUTING.md

An arrow points from the importing package to the imported one. An arrow that follows from others is
omitted.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import grimp

PAGE = Path(__file__).parents[1] / "CONTRIBUTING.md"
BEGIN, END = "<!-- imports: begin (make imports) -->\n", "<!-- imports: end -->\n"
PACKAGES = ("apiserver", "controllers", "storage")
WHOLE = {"storage"}
"""The packages that are one box. Their contents are described elsewhere."""

Arrows = dict[str, set[str]]


def arrows() -> Arrows:
    """Return the imports between packages: importing package to imported packages."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    found: Arrows = {}
    for importing in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importing):
            source, target = box(importing), box(imported)
            if source != target and "" not in (source, target):
                found.setdefault(source, set()).add(target)
    return found


def box(module: str) -> str:
    """Return the package that represents a module in the graph, such as "controllers.scheduler" for
    "controllers.scheduler.fit"."""
    root, _, rest = module.partition(".")
    return root if root in WHOLE else ".".join((root, rest.partition(".")[0])) if rest else ""


def essential(found: Arrows) -> Arrows:
    """Omit each arrow that a longer path makes superfluous. Raises ValueError if the imports have a
    cycle."""
    reached = {package: _reached(found, package) for package in found}
    cycles = sorted(package for package, others in reached.items() if package in others)
    if cycles:
        raise ValueError(f"these packages import each other in a circle: {', '.join(cycles)}")
    return {
        package: {one for one in direct if not any(one in reached.get(other, set()) for other in direct)}
        for package, direct in sorted(found.items())
    }


def _reached(found: Arrows, start: str) -> set[str]:
    reached, waiting = set[str](), list(found.get(start, ()))
    while waiting:
        package = waiting.pop()
        if package not in reached:
            reached.add(package)
            waiting.extend(found.get(package, ()))
    return reached


def mermaid(found: Arrows) -> str:
    """Render arrows as a Mermaid graph, with a frame around the packages of each root."""
    boxes = sorted({*found, *(one for direct in found.values() for one in direct)})
    lines = ["graph TD"]
    for root in PACKAGES:
        inside = [one for one in boxes if one.startswith(f"{root}.")]
        if inside:
            lines += [f"  subgraph {root}", *(f"    {one}[{one.partition('.')[2]}]" for one in inside), "  end"]
    lines += [f"  {source} --> {target}" for source, direct in sorted(found.items()) for target in sorted(direct)]
    return "```mermaid\n" + "\n".join(lines) + "\n```\n"


def replaced(page: str, picture: str) -> str:
    """Put the picture between the markers of the page."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + picture + END + after


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="put the graph into CONTRIBUTING.md")
    picture = mermaid(essential(arrows()))
    if parser.parse_args().write:
        PAGE.write_text(replaced(PAGE.read_text(), picture))
    else:
        sys.stdout.write(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
