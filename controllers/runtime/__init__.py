"""Run controllers: work queues, the reconcile loop, their manager, leader election, events and
conditions. The package knows no kind of this project."""
