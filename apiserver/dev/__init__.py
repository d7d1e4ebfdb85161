"""Parts of dev mode: what a cluster would give, in small. Composed by the command line
(controllers.cli.dev), used nowhere else."""
