"""Charts as SVG: places, dashes, gaps, escapes; the same charts as files."""

import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaswin.report.charts import Chart, Forest, ForestRow, Series, Style, tick_text, ticks
from metaswin.report.svg import chart_svg, scale_svg, swatch, track_svg, write_figure


def chart(*series, **more) -> Chart:
    settings = {"x_range": (0, 1), "y_range": (0, 1), **more}
    return Chart("roc-dm", "Curves & more", "x", "y", series=list(series), **settings)


LINE = Series("deep", "Deep: 0.7", [0.0, 0.5, 1.0], [0.0, 0.8, 1.0])


def corners(svg: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r'data-(left|right|top|bottom)="([\d.]+)"', svg)}


def curve(svg: str) -> list[tuple[float, float]]:
    path = re.search(r'class="curve" d="M([^"]+)"', svg)[1]
    return [tuple(map(float, pair.split())) for pair in path.split("L")]


def test_curve_goes_from_corner_to_corner_of_the_plot():
    svg = chart_svg(chart(LINE))
    at = corners(svg)
    assert curve(svg)[0] == pytest.approx((at["left"], at["bottom"]), abs=0.06)
    assert curve(svg)[-1] == pytest.approx((at["right"], at["top"]), abs=0.06)


def test_values_beyond_the_range_stay_at_its_edge():
    svg = chart_svg(chart(Series("a", "A", [0.0, 1.0], [-5.0, 5.0])))
    at = corners(svg)
    assert [y for _, y in curve(svg)] == pytest.approx([at["bottom"], at["top"]], abs=0.06)


def test_step_keeps_its_value_until_the_next_point():
    points = curve(chart_svg(chart(Series("a", "A", [0.0, 0.5], [0.2, 0.8], kind="step"))))
    assert len(points) == 3
    assert points[1][0] == points[2][0]
    assert points[1][1] == points[0][1]


def test_band_omits_points_without_limits():
    series = Series("a", "A", [0.0, 0.5, 1.0], [0.5] * 3, [None, 0.4, 0.4], [None, 0.6, 0.6])
    band = re.search(r'<path d="M([^"]+)Z" fill="[^"]+" fill-opacity', chart_svg(chart(series)))[1]
    assert band.count("L") == 3


def test_hidden_series_is_in_the_drawing_but_hidden():
    svg = chart_svg(chart(LINE, Series("volume", "Volume", [0.0, 1.0], [0.0, 1.0], shown=False)))
    assert svg.count(' hidden=""') == 1
    assert '<g class="series" data-kind="line" data-key="volume" data-label="Volume" hidden="">' in svg


def test_texts_are_escaped():
    svg = chart_svg(chart(Series('"><script>', "A & <b>", [0.0, 1.0], [0.0, 1.0])))
    assert "<script>" not in svg
    assert "A &amp; &lt;b&gt;" in svg


def test_chart_without_series_says_why():
    assert "no events in the fold" in chart_svg(chart(empty="no events in the fold"))


def test_swatch_has_the_dashes_of_its_curve():
    style = Style("#E69F00", (7, 2))
    assert 'stroke-dasharray="7 2"' in swatch(style)
    assert 'stroke-dasharray="7 2"' in chart_svg(chart(Series("a", "A", [0.0, 1.0], [0.0, 1.0], style=style)))


def forest(*rows) -> Forest:
    return Forest("feature_sets-dm", "AUC", "AUC", (0.4, 0.9), list(rows), 0.5)


def test_track_puts_estimate_and_interval_on_the_scale():
    svg = track_svg(forest(ForestRow("A", "", 0.65, 0.4, 0.9)), 0)
    assert 'cx="50.00%"' in svg
    assert 'x1="0.00%" x2="100.00%"' in svg
    assert 'x1="20.00%"' in svg  # the reference at .5


def test_track_without_a_value_has_no_marker():
    assert "<circle" not in track_svg(forest(ForestRow("A", "", None, why="no events")), 0)


def test_track_draws_the_other_classifier_hollow():
    svg = track_svg(forest(ForestRow("A", "", 0.65, 0.4, 0.9, second=(0.6, 0.5, 0.7))), 0)
    assert svg.count("<circle") == 2
    assert svg.count('fill="#fff"') == 1


def test_scale_shows_round_numbers():
    assert re.findall(r">([\d.]+)</text>", scale_svg(forest())) == ["0.4", "0.5", "0.6", "0.7", "0.8", "0.9"]


@given(st.floats(-10, 10), st.floats(0.01, 1e4))
def test_ticks_lie_within_the_range_and_are_few(low, span):
    found = ticks(low, low + span)
    assert len(found) <= 7
    assert all(low - 1e-6 * span <= value <= low + span + 1e-6 * span for value in found)


@pytest.mark.parametrize(("value", "text"), [(0.2, "0.2"), (-0.05, "−0.05"), (1500, "1,500"), (1.0, "1")])
def test_tick_text_has_no_unnecessary_digits(value, text):
    assert tick_text(value) == text


def test_files_of_a_chart_are_the_same_bytes_again(tmp_path):
    points = Series("b", "B", [0.2, 0.6], [0.3, 0.5], [0.1, None], [0.5, None], kind="points")
    columns = Series("c", "C", [0.1, 0.2], [0.3, 0.5], kind="columns")
    for folder in ("one", "two"):
        write_figure(chart(LINE, points, columns, diagonal=True, level=0.5, upright=0.3), tmp_path / folder)
        write_figure(
            forest(ForestRow("A", "g", 0.6, 0.5, 0.7, second=(0.5, None, None)), ForestRow("B", "g", None)),
            tmp_path / folder,
        )
    for name in ("roc-dm.svg", "roc-dm.pdf", "feature_sets-dm.svg", "feature_sets-dm.pdf"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_file_of_a_chart_draws_only_what_is_shown(tmp_path):
    write_figure(chart(LINE, Series("volume", "Volume", [0.0, 1.0], [0.0, 1.0], shown=False)), tmp_path)
    svg = (tmp_path / "roc-dm.svg").read_text()
    assert "Deep: 0.7" in svg
    assert "Volume" not in svg


def test_file_of_a_forest_contains_names_numbers_and_what_is_missing(tmp_path):
    rows = ForestRow("A & B", "Alone", 0.65, 0.4, 0.9), ForestRow("C", "Alone", 0.7), ForestRow("D", "Alone", None)
    write_figure(forest(*rows), tmp_path)
    svg = (tmp_path / "feature_sets-dm.svg").read_text()
    said = re.findall(r">([^<>]+)</text>", svg)
    assert said[:7] == ["Alone", "A &amp; B", "0.650 (0.400 to 0.900)", "C", "0.700", "D", "not estimable"]
    assert svg.count("<circle") == 2


def test_pdf_of_a_chart_has_the_curve_of_its_svg(tmp_path):
    style = Style("#ff0000", (6, 2), 2.0)
    write_figure(chart(Series("a", "A", [0.0, 1.0], [0.0, 1.0], style=style)), tmp_path)
    height = float(re.search(r'viewBox="0 0 \S+ (\S+)"', (tmp_path / "roc-dm.svg").read_text())[1])
    (x1, y1), (x2, y2) = curve((tmp_path / "roc-dm.svg").read_text())
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", (tmp_path / "roc-dm.pdf").read_bytes(), re.DOTALL)
    plain = b"\n".join(zlib.decompressobj().decompress(stream) for stream in streams if stream[:1] == b"x")
    page = plain.decode("latin-1")
    red = re.search(r"1 0 0 RG.*?([\d.]+) ([\d.]+) m\n([\d.]+) ([\d.]+) l", page, re.DOTALL)
    assert [float(number) for number in red.groups()] == pytest.approx([x1, height - y1, x2, height - y2], abs=0.01)
    assert "[ 6 2 ] 0 d" in page
