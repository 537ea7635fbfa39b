"""The command line: one file per command group, one row each in `stream.cli.commands`."""
