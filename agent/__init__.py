"""Earshot node: hears impulses, stamps their time of arrival, signs and delivers them."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("earshot-node")
except PackageNotFoundError:  # a source tree on PYTHONPATH, never installed
    __version__ = "0+unknown"

RELEASED_UTC_S = 1_795_392_000  # 2026-11-23: no receiver's date can be before its software
