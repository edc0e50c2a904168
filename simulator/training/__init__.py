"""Teaches the node's verdict from free recordings: `python -m simulator.training --help`."""
