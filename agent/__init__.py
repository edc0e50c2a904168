"""Earshot node: hears impulses, stamps their time of arrival, signs and delivers them."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("earshot-node")
except PackageNotFoundError:  # a source tree on PYTHONPATH, never installed
    __version__ = "0+unknown"
