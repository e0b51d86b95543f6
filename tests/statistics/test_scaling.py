"""Classical scaling: points of a plane from inner products."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from flstore_core.statistics.scaling import scale


def test_points_of_a_line_keep_their_distances() -> None:
    plane = scale(np.outer([0.0, 3.0, 4.0], [0.0, 3.0, 4.0]))
    assert np.sort(np.abs(np.diff(plane.points[:, 0]))) == pytest.approx([1.0, 3.0])
    assert plane.points[:, 1] == pytest.approx(0.0, abs=1e-6)
    assert plane.stress == pytest.approx(0.0, abs=1e-6)


def test_the_corners_of_a_square_stay_a_square() -> None:
    corners = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])
    points = scale(corners @ corners.T).points
    assert sorted(np.linalg.norm(points - points[0], axis=1)) == pytest.approx([0.0, 2.0, 2.0, 8**0.5])


def test_what_no_plane_can_hold_has_stress() -> None:
    plane = scale(np.eye(10))
    assert 0.5 < plane.stress < 0.8
    assert scale(np.eye(3)).stress == pytest.approx(0.0, abs=1e-7)


def test_the_farthest_point_lies_on_the_positive_side() -> None:
    gram = np.outer([1.0, 0.0, -5.0], [1.0, 0.0, -5.0])
    assert scale(gram).points[2, 0] > 0.0


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_points_are_points(count: int) -> None:
    plane = scale(np.eye(count))
    assert (plane.points.shape, round(plane.stress, 9)) == ((count, 2), 0.0)


def test_points_that_are_all_alike_are_one_place() -> None:
    plane = scale(np.ones((4, 4)))
    assert plane.points == pytest.approx(np.zeros((4, 2)), abs=1e-7)
    assert plane.stress == 0.0


@given(arrays.arrays(np.float64, (6, 2), elements=st.floats(-100, 100)))
def test_a_plane_holds_what_lies_in_a_plane(vectors: np.ndarray) -> None:
    points = scale(vectors @ vectors.T).points
    wanted = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    reached = np.linalg.norm(points[:, None] - points, axis=2)
    assert reached == pytest.approx(wanted, abs=1e-3)
