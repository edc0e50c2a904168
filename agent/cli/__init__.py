"""The `earshot` command, one small file per command group."""
