"""Generate the files of a release from the manifests, the pins and the documents: `make
release`."""
