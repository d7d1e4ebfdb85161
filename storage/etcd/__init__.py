"""Implement the shared backend: an etcd cluster, written to by any number of replicas."""

from storage.etcd.store import EtcdStore
from storage.etcd.tls import TLS

__all__ = ["TLS", "EtcdStore"]
