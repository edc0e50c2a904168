"""Weights that the node's verdict was taught, as data files; README.md is their model card."""
