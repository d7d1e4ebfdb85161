"""Admission: what may still refuse or change a write after it was authorised and validated."""
