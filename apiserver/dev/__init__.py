"""Parts of dev mode: what a cluster would give, in small. Composed by the command line (apiserver.cli.dev), used nowhere else."""
