"""The report: scores against the truth, limits kept or missed, and pages with pictures of both.

The only reader of truth and belief at once. Draws and counts; runs nothing.
"""
