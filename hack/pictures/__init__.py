"""Draw the diagrams of the documentation: `python -m hack.pictures` writes docs/images/*.svg."""
