"""Numbers and axes, whatever the numbers are."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from fedglmm_secure.report.numbers import NONE, column, number, p_values, power, ratio, short
from fedglmm_secure.report.plots import canvas, caterpillar
from fedglmm_secure.report.plots.scale import ratio_label, ratio_ticks, shared_range
from fedglmm_secure.report.reading import GroupModes

ENDS = st.tuples(st.floats(-600, 600), st.floats(-600, 600)).map(lambda ends: (min(ends), max(ends)))


@given(st.lists(ENDS, max_size=8))
def test_a_ratio_axis_holds_every_interval_that_is_determined(intervals: list[tuple[float, float]]) -> None:
    low, high = shared_range(intervals, math.log(1000.0))
    assert low < 0.0 < high
    determined = [ends for ends in intervals if (ends[1] - ends[0]) / 2.0 <= math.log(1000.0)] or intervals
    assert all(low <= first <= last <= high for first, last in determined)
    ticks = ratio_ticks(low, high)
    assert len(ticks) <= 12
    assert all(low <= math.log(tick) <= high for tick in ticks)
    assert [read(ratio_label(tick)) for tick in ticks] == pytest.approx(ticks, rel=1e-4)


def read(label: str) -> float:
    """The number that a label stands for."""
    exponent = label.removeprefix("10").translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    return float(label) if label.isascii() else 10.0 ** int(exponent)


@pytest.mark.parametrize("lowest", [-7.9, -8.1, -9.2, -9.3, -11.0, -14.0])
def test_labels_of_small_ratios_are_right(lowest: float) -> None:
    ticks = ratio_ticks(lowest, 0.1)
    assert [read(ratio_label(tick)) for tick in ticks] == pytest.approx(ticks, rel=1e-9)


def test_an_undetermined_effect_does_not_squeeze_the_others() -> None:
    low, high = shared_range([(-0.5, 0.8), (-2400.0, 2437.0), (math.nan, 1.0)], math.log(1000.0))
    assert -0.6 < low < -0.5 < 0.8 < high < 0.9
    assert shared_range([(-2400.0, 2437.0)], math.log(1000.0))[1] > 2437.0


def test_ratio_ticks_are_round() -> None:
    assert ratio_ticks(math.log(0.25), math.log(2.4)) == pytest.approx([0.3, 0.5, 0.7, 1.0, 1.5, 2.0])
    assert [ratio_label(tick) for tick in ratio_ticks(math.log(0.975), math.log(1.035))] == [
        "0.98",
        "0.99",
        "1",
        "1.01",
        "1.02",
        "1.03",
    ]
    assert ratio_label(1e7) == "10⁷"


@settings(max_examples=2000, deadline=None)
@given(
    st.floats(-1e308, 1e308)
    | st.floats(-1e9, 1e9)
    | st.floats(-1.0, 1.0)
    | st.sampled_from([math.nan, math.inf, -math.inf]),
    st.integers(0, 9),
)
def test_a_number_keeps_its_value(value: float, digits: int) -> None:
    text = number(value, digits).replace("\N{MINUS SIGN}", "-").replace("∞", "inf")
    if math.isnan(value):
        assert text == NONE
    else:
        assert float(text) == pytest.approx(value, rel=1e-3, abs=0.501 * 10.0**-digits)


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (number(-0.765937), "−0.76594"),
        (number(251.40510), "251.40510"),
        (number(123456.789), "123456.79"),
        (number(1.5e-9), "1.500e−09"),
        (number(5.96e-8, 8), "0.00000006"),
        (number(9999999.9), "9999999.9"),
        (number(None), "–"),
        (ratio(0.4649), "0.465"),
        (ratio(35.2211), "35.22"),
        (ratio(None), "∞"),
        (ratio(1e-7), "1.00e−07"),
        ("|".join(p_values([0.003346, 0.4053, 0.95448])), "0.00335|0.40530|0.95448"),
        ("|".join(p_values([0.003346, 0.4053, 0.000591, 1.0])), "0.003346|0.405300|0.000591|1.000000"),
        ("|".join(p_values([0.5, 0.25, 1.2e-9, 0.0])), "0.50|0.25|1.20e−09|<2e−16"),
        (power(-3), "10⁻³"),
        (power(0), "1"),
        (short("a" * 40 + "[T.level]", 20), "aaaaaaaaa…a[T.level]"),
    ],
)
def test_numbers_look_as_in_rs_summary(shown: str, text: str) -> None:
    assert shown == text


def test_a_column_has_the_decimals_that_its_smallest_number_needs() -> None:
    assert column([0.25, None, 0.00074]) == ["0.250000", "–", "0.000740"]


@pytest.mark.parametrize("panels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [1.4e-3, 0.31, 27.0])
def test_the_labels_of_small_panels_stand_apart(panels: int, size: float) -> None:
    groups = [GroupModes(group=f"g{i}", rows=9, mode={"x": size * i}, std_dev={"x": 2 * size}) for i in (-1, 0, 1)]
    ends: list[list[tuple[float, float]]] = []

    def draw(figure: Figure) -> None:
        several = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
        for axes in several:
            caterpillar._panel(axes, groups, "x", caterpillar.TICKS // panels)
        figure.draw_without_rendering()
        for axes in several:
            low, high = axes.get_xlim()
            shown = [tick for tick in axes.xaxis.get_major_ticks() if low <= tick.get_loc() <= high]
            ends.append([tuple(tick.label1.get_window_extent().intervalx) for tick in shown])

    canvas.plotted(draw, 2.0, "", "")
    assert all(len(labels) >= 2 for labels in ends)
    in_order = sorted(pair for labels in ends for pair in labels)
    assert all(before[1] + 3.0 < after[0] for before, after in itertools.pairwise(in_order))
