"""What every controller stands on: a client, informers, work queues, and their life cycle. Knows no
kind of this project."""
