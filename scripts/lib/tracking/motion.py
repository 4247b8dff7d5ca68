"""The motion model of a track: the library's Kalman filter of corners, whose coordinates do not depend on each other.

In `XYXYStateEstimator` each coordinate of a corner has a position and a speed, with the same noise for all, and their
covariance does not depend on the measurements. So four filters with two variables and a common covariance have the same
result as one with eight variables, in a fifth of the time.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from trackers.utils.state_representations import XYXYStateEstimator

_Corners = npt.NDArray[np.float64]


class CornersEstimator(XYXYStateEstimator):
    """The library's filter of corners, for a constant frame rate."""

    def __init__(self, bbox: _Corners) -> None:  # without super().__init__, which would make the larger filter
        """Start at the first box, x1, y1, x2, y2, with a speed of 0 and variances of 1."""
        self.kf: Any = SimpleNamespace(measurement_noise=1.0, process_noise=1.0)  # the library's initial values
        self._position = np.array(bbox, np.float64)
        self._speed = np.zeros(4)
        self._position_variance, self._covariance, self._speed_variance = 1.0, 0.0, 1.0

    def set_kf_covariances(
        self, measurement_noise: Any = None, process_noise: Any = None, state_covariance: Any = None
    ) -> None:
        """Set the variances of a measurement and of a step, each the same for all coordinates.

        Raises:
            ValueError: a covariance of the state is given, which this filter does not support.
        """
        if state_covariance is not None:
            raise ValueError("the state's covariance is given; expected none, as for ByteTrack")
        self.kf = SimpleNamespace(measurement_noise=float(measurement_noise), process_noise=float(process_noise))

    def predict(self, frame_step: float = 1.0, frame_rate: float | None = None) -> None:
        """Advance the estimate by one step.

        Raises:
            ValueError: the step is not 1.
        """
        if frame_step != 1.0:
            raise ValueError(f"a step of {frame_step}; expected 1, as frames are evenly spaced")
        noise = self.kf.process_noise
        self._position = self._position + self._speed
        self._position_variance += 2 * self._covariance + self._speed_variance + noise
        self._covariance += self._speed_variance
        self._speed_variance += noise

    def update(self, bbox: _Corners | None) -> None:
        """Update the estimate with a box, or leave it if there is none."""
        if bbox is None:
            return
        total = self._position_variance + self.kf.measurement_noise
        position_gain, speed_gain = self._position_variance / total, self._covariance / total
        residual = bbox - self._position
        self._position = self._position + position_gain * residual
        self._speed = self._speed + speed_gain * residual
        self._speed_variance -= speed_gain * self._covariance
        self._covariance *= 1 - position_gain
        self._position_variance *= 1 - position_gain

    def state_to_bbox(self) -> _Corners:
        """Return the estimated box, x1, y1, x2, y2."""
        return self._position
