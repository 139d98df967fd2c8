"""The report in a browser: quiet, offline, drawn, sortable, usable by keyboard, on a phone and in print."""

from dataclasses import replace

import pytest
from browser import executable, launched, opened
from report_page import config_of, evaluated
from synthetic_evidence import draw_evidence, draw_maps, draw_qc_images
from synthetic_run import Plan, draw

from metaswin.config.report import ReportSettings
from metaswin.report.build import ReportOutputs, build_report

PLAN = Plan(patients=60, endpoints={"dm": 900.0, "plain": None}, k=4)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report with every kind of evidence."""
    executable()
    run = evaluated(draw(tmp_path_factory.mktemp("browser"), PLAN))
    qc_images = draw_qc_images(run, [f"P{number:04d}" for number in range(1, 21)])
    inputs = replace(run.report_inputs, survival=draw_evidence(run), maps=draw_maps(run), qc_images=qc_images)
    folder = run.results / "report"
    outputs = ReportOutputs(folder / "report.html", folder / "tables", folder / "figures")
    build_report(inputs, outputs, ReportSettings(qc_images=8), config_of(PLAN), run.results / "benchmarks")
    return outputs.html


@pytest.fixture(scope="module")
def browser(report):
    with launched() as found:
        yield found


@pytest.fixture(scope="module")
def desktop(report, browser):
    return opened(browser, report)


def test_page_when_opened_then_no_console_message_and_no_outside_request(desktop):
    assert desktop.complaints == []
    assert desktop.requests == []


def test_every_figure_when_opened_then_drawn(desktop):
    empty = desktop.page.evaluate(
        """() => [...document.querySelectorAll("figure.chart")].filter((figure) => {
          const shapes = [...figure.querySelectorAll("g.series path, g.series circle")];
          const sizes = shapes.map((shape) => shape.getBBox()).map((box) => box.width + box.height);
          return Math.max(0, ...sizes) <= 5;
        }).map((figure) => figure.id)"""
    )
    assert empty == []
    kinds = {
        "roc",
        "pr",
        "calibration",
        "decision",
        "incidence",
        "survival_calibration",
        "survival",
        "permuted",
        "training",
    }
    found = desktop.page.evaluate('[...document.querySelectorAll("figure.chart")].map((figure) => figure.id)')
    assert {f"{kind}-dm" for kind in kinds} <= set(found)
    assert "roc-plain" in found


def test_forest_when_opened_then_every_estimate_has_a_marker_inside_its_track(desktop):
    outside = desktop.page.evaluate(
        """() => [...document.querySelectorAll("table.forest tbody tr:not(.group)")].filter((row) => {
          const track = row.querySelector("svg.track").getBoundingClientRect();
          const marker = row.querySelector("circle")?.getBoundingClientRect();
          const said = row.querySelector("td.num").textContent;
          if (said.includes("not estimable")) return Boolean(marker);
          return !marker || marker.left < track.left - 6 || marker.right > track.right + 6;
        }).length"""
    )
    assert outside == 0


def column(page, table: str, number: int) -> list[str]:
    return page.evaluate(
        f"[...document.querySelector({table!r}).tBodies[0].rows].map((row) => row.cells[{number}].textContent.trim())"
    )


def test_patient_table_when_heading_is_clicked_twice_then_sorted_and_then_reversed(desktop):
    page = desktop.page
    page.evaluate('document.querySelectorAll("details").forEach((part) => { part.open = true; })')
    head = page.locator("#endpoint-dm table.patients thead button", has_text="Patient")
    head.click()
    names = column(page, "#endpoint-dm table.patients", 0)
    assert names == sorted(names)
    assert head.locator("xpath=..").get_attribute("aria-sort") == "ascending"
    head.click()
    assert column(page, "#endpoint-dm table.patients", 0) == sorted(names, reverse=True)


def test_patient_table_when_enter_is_pressed_on_a_heading_then_sorted_by_number(desktop):
    page = desktop.page
    page.evaluate('document.querySelectorAll("details").forEach((part) => { part.open = true; })')
    page.locator("#endpoint-dm table.patients thead button", has_text="Predicted risk").focus()
    page.keyboard.press("Enter")
    risks = [float(text) for text in column(page, "#endpoint-dm table.patients", 2)]
    assert risks == sorted(risks, reverse=True)


def test_curve_when_its_button_is_pressed_then_hidden_and_shown_again(desktop):
    page = desktop.page
    button = page.locator("#roc-dm .legend button", has_text="Tumour volume")
    curve = page.locator('#roc-dm g.series[data-key="volume"]')
    assert curve.is_visible()
    button.focus()
    page.keyboard.press("Space")
    assert button.get_attribute("aria-pressed") == "false"
    assert not curve.is_visible()
    button.click()
    assert curve.is_visible()


def test_figure_when_pointed_at_then_values_are_those_of_the_table(desktop):
    page = desktop.page
    plot = page.locator("#roc-dm svg.plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    whole = float(plot.get_attribute("viewBox").split()[2])
    right = float(plot.get_attribute("data-right")) / whole
    page.mouse.move(box["x"] + box["width"] * right, box["y"] + box["height"] / 2)
    text = page.locator("#roc-dm output").text_content()
    assert text.startswith("1 − specificity 1.000: All modalities 1.000")
    page.mouse.move(0, 0)
    assert "Point at the figure" in page.locator("#roc-dm output").text_content()


def test_figure_when_arrow_is_pressed_then_values_are_read_without_a_pointer(desktop):
    page = desktop.page
    page.locator("#pr-dm svg.plot").focus()
    page.keyboard.press("ArrowRight")
    first = page.locator("#pr-dm output").text_content()
    page.keyboard.press("ArrowRight")
    second = page.locator("#pr-dm output").text_content()
    assert "All modalities" in first
    assert first != second


def test_qc_image_when_clicked_then_shown_in_a_dialog_that_escape_closes(desktop):
    page = desktop.page
    page.evaluate('document.querySelectorAll("details").forEach((part) => { part.open = true; })')
    button = page.locator("#endpoint-dm button.look").first
    button.click()
    assert page.locator("dialog#picture").is_visible()
    assert page.evaluate('document.querySelector("dialog#picture img").naturalWidth') > 0
    page.keyboard.press("Escape")
    assert not page.locator("dialog#picture").is_visible()


def test_methods_when_copied_then_the_page_says_so(desktop):
    desktop.page.locator("button.copy").click()
    desktop.page.wait_for_function('document.querySelector("#methods [role=status]").textContent !== ""')


def test_page_when_on_a_phone_then_it_is_not_wider_than_the_screen(report, browser):
    phone = opened(browser, report, 390, 844)
    page = phone.page
    page.evaluate('document.querySelectorAll("details").forEach((part) => { part.open = true; })')
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert phone.complaints == []


def test_page_when_printed_then_closed_parts_are_open_and_buttons_are_hidden(report, browser, tmp_path):
    watched = opened(browser, report)
    page = watched.page
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert not page.locator("button.copy").is_visible()
    page.evaluate('dispatchEvent(new Event("beforeprint"))')
    assert page.locator("#guidelines details:not([open])").count() == 0
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").stat().st_size > 50_000
    assert watched.complaints == []


def test_keyboard_when_tabbing_from_the_top_then_first_stop_leads_to_the_summary(report, browser):
    page = opened(browser, report).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#summary"
