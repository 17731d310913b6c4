"""Figures out of samples."""

from __future__ import annotations

import pytest

from bench.figures import Figures, figures, shown


def test_the_median_of_an_even_number_of_samples_lies_between_the_two_in_the_middle() -> None:
    assert figures([4.0, 1.0, 3.0, 2.0]) == Figures(median=2.5, smallest=1.0, largest=4.0, runs=4)


def test_one_sample_is_its_own_median_and_both_its_extremes() -> None:
    assert figures([7.0]) == Figures(7.0, 7.0, 7.0, 1)


def test_samples_that_come_as_a_stream_are_all_counted() -> None:
    assert figures(float(number) for number in range(5)).runs == 5


def test_no_samples_have_no_figures() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        figures([])


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234.56, "1235"), (99.95, "100.0"), (12.34, "12.3"), (1.234, "1.23"), (0.0654, "0.065"), (0.0, "0.000")],
)
def test_a_figure_is_shown_with_about_three_digits(value: float, text: str) -> None:
    assert shown(value) == text
