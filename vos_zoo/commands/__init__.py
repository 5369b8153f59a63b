"""The subcommands of `vos-zoo`, a file each: `add(subparsers)` describes it, `run(args)` does it."""
