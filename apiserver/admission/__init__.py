"""Implement admission, which may refuse or change a write after it was authorised and validated."""
