"""The reference centre, as a city could run it: locator, registrar and operator.

Needs the node's own packages and nothing more; knows neither grid nor trial nor any truth.
`contract` writes what both sides put on the wire as JSON Schema and AsyncAPI.
"""
