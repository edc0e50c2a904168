"""Clocks on trial: the agent's timebase against virtual crystals, receivers and mishaps."""
