"""Earshot node: hears impulses, stamps their time of arrival, signs and delivers them."""

__version__ = "0.2.0.dev0"  # pyproject.toml reads it here; looking it up costs 0.1 s

RELEASED_UTC_S = 1_795_392_000  # 2026-11-23: no receiver's date can be before its software
BELIEVED_UNTIL_UTC_S = RELEASED_UTC_S + 3_660 * 86_400  # nor ten years later, if nobody vouches
