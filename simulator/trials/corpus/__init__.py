"""Runs the node's hearing over a folder of labelled clips, and says what it found and missed."""
