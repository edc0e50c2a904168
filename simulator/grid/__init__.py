"""The grid: real nodes on virtual hardware, in virtual or real time, over any broker.

`grid.run` runs them from a `scenario`; nothing here knows how well they did.
"""
