"""Decides, cheaply and for every frame, whether it is worth a closer look.

Quiet frames cost a handful of numpy calls. Sound is taken in frames that depend on the sample
rate alone, so what is found does not depend on how the driver cuts blocks.
"""

from collections import deque

import numpy as np

from agent.core.audio import Floats
from agent.core.onset import AFTER_S, LEAST_OVER_FLOOR, STEP_S, Wave

_FRAME_S = 1024 / 48_000
_FLOOR_S = 8.0
_SETTLE_S = 1.0
_REFRESH_FRAMES = 16


def frame_samples(rate_hz: int) -> int:
    """Samples per frame: the power of two nearest to 21 ms."""
    return int(2 ** round(np.log2(rate_hz * _FRAME_S)))


class Gate:
    """Compares the step response of each frame with a noise floor that follows the street.

    The floor is the median over the last _FLOOR_S of the frames' mean energies: a siren next
    door raises it, a burst of shots does not. Silent until it has heard _SETTLE_S.
    """

    def __init__(self, rate_hz: int) -> None:
        frames_per_s = rate_hz / frame_samples(rate_hz)
        self._reach = max(1, round(STEP_S * rate_hz))
        self._after = max(1, round(AFTER_S * rate_hz))
        self._energies: deque[float] = deque(maxlen=int(_FLOOR_S * frames_per_s))
        self._powers: deque[float] = deque(maxlen=int(_FLOOR_S * frames_per_s))
        self._least_frames = int(_SETTLE_S * frames_per_s)
        self._carry: Wave = np.zeros(2 * self._reach + self._after)
        self._since_refresh = 0
        self._floor = 0.0

    @property
    def noise_power(self) -> float | None:
        """Median mean square of the frames (full scale 1.0), None before the gate has settled."""
        return float(np.median(self._powers)) if self._floor else None

    def opens(self, frame: Floats) -> bool:
        """True if an impulsive sound may begin in this frame or up to AFTER_S before it."""
        reach = self._reach
        samples: Wave = np.concatenate((self._carry, frame))
        self._carry = samples[-len(self._carry) :]
        total = np.cumsum(samples)
        step = total[2 * reach :] - 2.0 * total[reach:-reach] + total[: -2 * reach]
        recent = step[-len(frame) :]
        energy = float(np.dot(recent, recent)) / len(frame)
        threshold = LEAST_OVER_FLOOR * self._floor
        loudest = max(float(step.max()), -float(step.min())) ** 2
        is_open = threshold > 0.0 and loudest > threshold and self._lasts(step, threshold)
        self._learn(energy, float(np.dot(frame, frame)) / len(frame))
        return is_open

    def _lasts(self, step: Wave, threshold: float) -> bool:
        """One high sample is common in noise; a high mean over AFTER_S is not."""
        total = np.cumsum(step * step)
        return float((total[self._after :] - total[: -self._after]).max()) > (
            threshold * self._after
        )

    def _learn(self, energy: float, power: float) -> None:
        self._energies.append(energy)
        self._powers.append(power)
        self._since_refresh += 1
        settled = len(self._energies) >= self._least_frames
        if settled and (self._floor == 0.0 or self._since_refresh >= _REFRESH_FRAMES):
            self._floor = float(np.median(self._energies))
            self._since_refresh = 0
