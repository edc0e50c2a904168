"""Replays the public live-fire dataset through virtual nodes, and scores what was located."""
