"""A u-blox receiver's own language: its warnings, the time it tells, and what it is asked for."""

from agent.adapters.ubx.frames import (
    UbxFrames,
    UbxParser,
    checksum,
    frame,
    is_answer,
    question,
    speak_sentences,
    switch_on,
)

__all__ = [
    "UbxFrames",
    "UbxParser",
    "checksum",
    "frame",
    "is_answer",
    "question",
    "speak_sentences",
    "switch_on",
]
