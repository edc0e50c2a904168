"""Scenes, virtual hardware and the reference centre, around the unmodified agent.

From the ground up: `scene` (the physics), `centre` (locator, registrar, operator), `grid` (nodes in
virtual time), `report` (scores and pages), `trials` (live fire, corpus, timing, clocks), and on top
`cli` and `training`. Imports point down only.
"""
