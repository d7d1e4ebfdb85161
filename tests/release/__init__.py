"""The image, the release's files, and the life of an installation that is made from these alone."""
