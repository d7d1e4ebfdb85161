"""Build the container image: the steps of its build stage, bases from Debian's packages, and the
list of its contents."""
