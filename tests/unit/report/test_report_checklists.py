"""Reporting guidelines: complete lists, items filled from the run or left to the author, conditions, weights."""

import json
from importlib import resources

import pytest
from report_page import config_of, evaluated
from synthetic_run import Plan, draw

from metaswin.report.checklists import filled
from metaswin.report.data import read_report_data
from metaswin.report.statements import Statement, conditions, statements


def raw(name: str) -> dict:
    path = resources.files("metaswin.report") / "checklists" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_tripod_ai_has_its_27_items_with_all_parts():
    items = [item["item"] for item in raw("tripod-ai")["items"]]
    assert len(items) == len(set(items)) == 52
    assert {int("".join(filter(str.isdigit, item))) for item in items} == set(range(1, 28))
    assert [item for item in items if item.startswith("12")] == [f"12{part}" for part in "abcdefg"]
    assert [item for item in items if item.startswith("18")] == [f"18{part}" for part in "abcdef"]


@pytest.mark.parametrize(("name", "count"), [("clear", 58), ("metrics", 30)])
def test_numbered_lists_are_complete(name, count):
    assert [item["item"] for item in raw(name)["items"]] == [str(number) for number in range(1, count + 1)]


def test_weights_of_metrics_add_up_to_one_up_to_rounding():
    weights = [item["weight"] for item in raw("metrics")["items"]]
    assert sum(weights) == pytest.approx(1, abs=0.005)
    assert max(weights) == weights[2] == 0.092


@pytest.fixture(scope="module", params=["images", "clinical"])
def lists(request, tmp_path_factory):
    modalities = ("clinical", "radiomics") if request.param == "images" else ("clinical",)
    plan = Plan(patients=50, endpoints={"dm": 900.0}, modalities=modalities, k=3)
    run = evaluated(draw(tmp_path_factory.mktemp("lists"), plan))
    config = config_of(plan) | ({"source": "clinical"} if request.param == "clinical" else {})
    data = read_report_data(run.report_inputs, config)
    return request.param, {one.name: one for one in filled(statements(data, config), conditions(data, config))}


def test_every_item_is_answered_or_left_to_the_author(lists):
    for one in lists[1].values():
        for item in one.items:
            if item.status in ("run", "not done"):
                assert item.text
                assert not item.author
            elif item.status == "both":
                assert item.text
                assert item.author
            elif item.status == "author":
                assert item.author
                assert not item.text


def test_items_that_the_run_cannot_know_are_left_to_the_author(lists):
    items = {item.item: item for item in lists[1]["TRIPOD+AI"].items}
    assert {items[name].status for name in ("1", "3a", "17", "18a", "18b", "18d", "19")} == {"author"}
    assert items["23a"].status == "run"


def test_external_validation_without_patients_is_not_claimed(lists):
    item = next(item for item in lists[1]["METRICS"].items if item.item == "27")
    assert item.status == "not done"


def test_items_of_images_do_not_apply_to_a_clinical_table(lists):
    kind, found = lists
    states = {item.item: item.status for item in found["METRICS"].items}
    assert (states["8"] == "n/a") is (kind == "clinical")
    assert (states["15"] == "n/a") is (kind == "clinical")
    assert states["9"] == "n/a"


def test_weights_of_all_states_are_those_that_apply(lists):
    metrics = lists[1]["METRICS"]
    parts = sum(metrics.weight(state) for state in ("run", "both", "not done", "author", "n/a"))
    assert parts == pytest.approx(sum(item.weight for item in metrics.items))


def test_answered_counts_items_without_a_part_for_the_author():
    known = {
        item["fact"] for name in ("tripod-ai", "clear", "metrics") for item in raw(name)["items"] if "fact" in item
    }
    found = filled(dict.fromkeys(known, Statement("said", True)), {})
    for one in found:
        assert one.answered == sum(not item.author for item in one.items)
