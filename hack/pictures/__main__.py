"""Write docs/images/*.svg. With `--modes FOLDER`, also write one file for each mode, for programs
that know no modes."""

from __future__ import annotations

import argparse
from pathlib import Path

from hack.pictures.diagrams import PICTURES
from hack.pictures.drawing import svg

IMAGES = Path(__file__).parents[2] / "docs" / "images"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hack.pictures", description=__doc__)
    parser.add_argument("--modes", type=Path, metavar="FOLDER", help="write NAME-light.svg and NAME-dark.svg there")
    folder = parser.parse_args().modes
    for picture in PICTURES:
        (IMAGES / f"{picture.name}.svg").write_text(svg(picture))
        if folder is not None:
            (folder / f"{picture.name}-light.svg").write_text(svg(picture, dark=False))
            (folder / f"{picture.name}-dark.svg").write_text(svg(picture, dark=True))


if __name__ == "__main__":
    main()
