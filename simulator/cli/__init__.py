"""The `earshot-sim` command, one small file per command."""
