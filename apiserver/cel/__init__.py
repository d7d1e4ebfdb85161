"""Evaluate CEL, the Common Expression Language, as kube-apiserver does, at a bounded cost."""
