"""Scenes, virtual hardware and the reference locator, around the unmodified agent."""
