"""The scene: what sounds, how it travels, and how true the converters and pulses that meet it are.

Knows no node's opinion: what is made of all this is for the agent, and who scores it for `report`.
"""
