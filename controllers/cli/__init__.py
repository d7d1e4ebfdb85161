"""Implement commands that run controllers.

The command line finds each command by its entry point. A command may import from both packages,
apiserver and controllers."""
