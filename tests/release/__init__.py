"""Test the image, the release's files, and the life cycle of an installation that uses only
these."""
