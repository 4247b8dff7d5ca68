"""The motion model of a track: the library's Kalman filter of corners, whose coordinates do not depend on each other.

In `XYXYStateEstimator` each coordinate of a corner has its own position and speed, with the same noise, and their
covariance does not depend on the measurements. So four filters of two numbers with one common covariance give the same
result as one of eight numbers, in a fifth of the time.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from trackers.utils.state_representations import XYXYStateEstimator

_Corners = npt.NDArray[np.float64]


class CornersEstimator(XYXYStateEstimator):
    """The library's filter of corners at a constant rate of frames."""

    def __init__(self, bbox: _Corners) -> None:  # its own __init__ would make the filter of eight numbers
        """Begin at the first box, x1, y1, x2, y2, at rest and with variances of 1."""
        self.kf: Any = SimpleNamespace(measurement_noise=1.0, process_noise=1.0)  # as the library's begins
        self._at = np.array(bbox, np.float64)
        self._speed = np.zeros(4)
        self._place, self._both, self._pace = 1.0, 0.0, 1.0

    def set_kf_covariances(
        self, measurement_noise: Any = None, process_noise: Any = None, state_covariance: Any = None
    ) -> None:
        """Take the variances of a measurement and of a step, each a number for all coordinates.

        Raises:
            ValueError: a variance of the state is given, which this filter does not take.
        """
        if state_covariance is not None:
            raise ValueError("the state's covariance is given; expected none, as for ByteTrack")
        self.kf = SimpleNamespace(measurement_noise=float(measurement_noise), process_noise=float(process_noise))

    def predict(self, frame_step: float = 1.0, frame_rate: float | None = None) -> None:
        """Go on by one step.

        Raises:
            ValueError: the step is not 1.
        """
        if frame_step != 1.0:
            raise ValueError(f"a step of {frame_step}; expected 1, as frames are evenly spaced")
        noise = self.kf.process_noise
        self._at = self._at + self._speed
        self._place += 2 * self._both + self._pace + noise
        self._both += self._pace
        self._pace += noise

    def update(self, bbox: _Corners | None) -> None:
        """Take where the animal was seen."""
        if bbox is None:
            return
        total = self._place + self.kf.measurement_noise
        of_place, of_pace = self._place / total, self._both / total
        off = bbox - self._at
        self._at = self._at + of_place * off
        self._speed = self._speed + of_pace * off
        self._pace -= of_pace * self._both
        self._both *= 1 - of_place
        self._place *= 1 - of_place

    def state_to_bbox(self) -> _Corners:
        """Return the estimated position of the animal, as x1, y1, x2, y2."""
        return self._at
