"""Stories told on real control planes, step by step with what a user would see; each fails when a
step is not so."""
