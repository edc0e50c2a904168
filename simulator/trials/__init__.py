"""Trials: the agent against recordings and worlds that it did not choose.

`livefire` (recorded gunfire with surveyed truth), `corpus` (labelled clips), `timing` (the physical
limit of a time of arrival), `clocks` (crystals, receivers and mishaps), and `inspection` of one
clip. Each only measures; what is good enough stands in its scenarios or with its caller.
"""
