"""Suites on real parts: libraries and devices as they are installed, or as near as can be made."""
