"""The ordered choice of CT and contours."""

import pandas as pd
from ingest_series import contours, ct

from metaswin.cohort.choice import Choice, choose
from metaswin.config.cohort import IngestSettings, RoiSettings, SeriesChoiceSettings

RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"


def pick(*rows: dict[str, object], start: str = "", **settings: object) -> Choice:
    return choose("P1", pd.DataFrame(rows), start, IngestSettings(**settings))


def codes(choice: Choice) -> list[str]:
    return [problem.code for problem in choice.problems]


def reasons(choice: Choice) -> dict[str, str]:
    return {row["series"]: row["reason"] for row in choice.rows}


def chosen(choice: Choice) -> tuple[str | None, str | None]:
    return choice.ct and choice.ct.series, choice.contours and choice.contours.series


def test_choose_when_contours_refer_to_one_of_two_cts_then_that_one():
    choice = pick(ct("other", frames=400), ct("ct"), contours())
    assert chosen(choice) == ("s-ct", "s-rs")
    assert [roi.name for roi in choice.rois["primary"]] == ["GTVp"]
    assert codes(choice) == []
    assert reasons(choice)["s-other"] == "after rank 1 by contour reference; contours share its frame of reference"
    assert sum(row["chosen"] for row in choice.rows) == 2


def test_choose_when_rows_come_in_another_order_then_the_same():
    rows = [ct("a"), ct("b"), ct("c", frames=60), contours(referenced_series=[])]
    forward, backward = pick(*rows), pick(*reversed(rows))
    assert chosen(forward) == chosen(backward) == ("s-c", "s-rs")


def test_choose_when_referenced_series_is_absent_then_frame_of_reference_and_warning():
    choice = pick(ct("ct"), contours(referenced_series=[], referenced_absent=1, sops_found=0))
    assert chosen(choice) == ("s-ct", "s-rs")
    assert codes(choice) == ["referenced-series-absent", "contour-images-unmatched"]
    assert not any(problem.excludes for problem in choice.problems)


def test_choose_when_contours_belong_to_no_ct_here_then_excluded():
    choice = pick(ct("ct", frame_uid="other"), contours(referenced_series=[], referenced_absent=1))
    assert chosen(choice) == (None, None)
    assert codes(choice) == ["contours-without-ct"]
    assert choice.problems[0].excludes


def test_choose_when_contours_refer_to_nothing_then_ct_of_their_study_and_a_warning():
    rows = ct("ct", frame_uid=""), contours(referenced_series=[], referenced_frames=[], sops_referenced=0)
    choice = pick(*rows, ct("far", study_uid="elsewhere", frame_uid="", frames=500))
    assert chosen(choice) == ("s-ct", "s-rs")
    assert codes(choice) == ["contours-without-reference"]


def test_choose_when_frame_uids_are_empty_then_they_do_not_match_each_other():
    choice = pick(ct("ct", frame_uid=""), contours(referenced_series=[], referenced_frames=[""], referenced_absent=1))
    assert codes(choice) == ["contours-without-ct"]


def test_choose_when_contours_are_of_the_pet_then_the_ct_of_its_frame_and_a_warning():
    pet = ct("pet", modality="PT", sop_class="1.2.840.10008.5.1.4.1.1.128")
    choice = pick(pet, ct("ct"), contours(referenced_series=["pet"]))
    assert chosen(choice) == ("s-ct", "s-rs")
    assert codes(choice) == ["contours-of-other-modality"]
    assert reasons(choice)["s-pet"] == "not a CT (PT)"


def test_choose_when_only_pet_and_localizer_then_no_ct_with_the_reasons():
    pet = ct("pet", modality="PT", sop_class="1.2.840.10008.5.1.4.1.1.128")
    choice = pick(pet, ct("scout", localizer=True), contours())
    assert codes(choice) == ["no-ct"]
    assert choice.problems[0].found == "1 series: localizer, 1 series: not a CT (PT)"


def test_choose_when_a_series_is_a_screen_capture_then_it_is_not_a_candidate():
    capture = ct("capture", sop_class="1.2.840.10008.5.1.4.1.1.7", frames=999)
    choice = pick(capture, ct("ct"), contours(referenced_series=["capture", "ct"]))
    assert chosen(choice) == ("s-ct", "s-rs")
    assert reasons(choice)["s-capture"].startswith("not a CT image")


def test_choose_when_the_contoured_ct_is_after_treatment_then_excluded_with_its_code():
    choice = pick(ct("ct", date="20200301"), ct("old", frame_uid="old"), contours(), start="20200201")
    assert chosen(choice) == (None, None)
    assert codes(choice) == ["ct-after-treatment"]
    assert reasons(choice)["s-ct"] == "after the start of treatment"


def test_choose_when_the_only_ct_is_on_the_day_of_treatment_then_it_stays():
    assert chosen(pick(ct("ct", date="20200201"), contours(), start="20200201"))[0] == "s-ct"


def test_choose_when_the_ct_has_no_date_then_it_stays():
    assert chosen(pick(ct("ct", date=""), contours(), start="20200201"))[0] == "s-ct"


def test_choose_when_several_cts_then_nearest_before_treatment_else_the_earliest():
    rows = [ct(f"c{day}", date=f"202001{day}") for day in (10, 20, 30)]
    drawn = contours(referenced_series=[])
    assert chosen(pick(*rows, drawn, start="20200125"))[0] == "s-c20"
    assert chosen(pick(*rows, drawn))[0] == "s-c10"


def test_choose_when_kernels_are_preferred_then_they_count_before_date_and_slices():
    rows = [ct("sharp", kernel_name="B70f", frames=300), ct("soft", kernel_name="b30F"), ct("other", kernel_name="X")]
    series = SeriesChoiceSettings(prefer_kernel=["B3\\d.*", "B.*"])
    choice = pick(*rows, contours(referenced_series=[]), series=series)
    ranks = {row["series"]: row["rank"] for row in choice.rows if row["modality"] == "CT"}
    assert ranks == {"s-soft": 1, "s-sharp": 2, "s-other": 3}
    assert reasons(choice)["s-sharp"].startswith("after rank 1 by kernel preference")


def test_choose_when_contrast_is_asked_for_then_it_counts():
    rows = [ct("plain"), ct("agent", contrast=True), contours(referenced_series=[])]
    assert chosen(pick(*rows, series=SeriesChoiceSettings(contrast="prefer")))[0] == "s-agent"
    assert chosen(pick(*rows, series=SeriesChoiceSettings(contrast="avoid")))[0] == "s-plain"


def test_choose_when_two_sets_fit_then_the_newest_with_a_warning():
    old, new = contours("old", contour_time="20200101"), contours("new", contour_time="20200102")
    choice = pick(ct(), new, old)
    assert chosen(choice) == ("s-ct", "s-new")
    assert codes(choice) == ["several-contour-sets"]
    assert reasons(choice)["s-old"] == "another contour set fits better or is newer"


def test_choose_when_the_newest_set_belongs_elsewhere_then_the_one_of_the_ct():
    far = contours("far", referenced_series=[], referenced_frames=["x"], referenced_absent=1, contour_time="20201231")
    choice = pick(ct(), far, contours("near"))
    assert chosen(choice) == ("s-ct", "s-near")
    assert codes(choice) == []
    assert reasons(choice)["s-far"] == "belongs to another series"


def test_choose_when_the_newest_set_has_no_tumour_then_the_one_that_has():
    organs = contours("organs", {"Parotid": 9}, contour_time="20201231")
    choice = pick(ct(), organs, contours())
    assert chosen(choice) == ("s-ct", "s-rs")
    assert reasons(choice)["s-organs"] == "no matching ROI with contours"


def test_choose_when_nothing_matches_then_counts_are_public_and_names_private():
    choice = pick(ct(), contours(names={"Tumor Smith": 3, "Parotid": 2}))
    problem = choice.problems[0]
    assert (problem.code, problem.excludes) == ("no-matching-roi", True)
    assert problem.found == "2 ROI names in 1 contour set, none matches"
    assert "Smith" not in str(problem)
    assert "Smith" in problem.private
    assert chosen(choice) == (None, None)


def test_choose_when_every_matching_roi_is_empty_then_excluded():
    choice = pick(ct(), contours(names={"GTVp": 0}))
    assert codes(choice) == ["empty-roi"]
    assert choice.ct is None


def test_choose_when_one_of_two_rois_is_empty_then_it_is_dropped_with_a_warning():
    choice = pick(ct(), contours(names={"GTVp": 0, "GTVn": 4}))
    assert codes(choice) == ["empty-roi-left-out"]
    assert choice.rois["primary"] == []
    assert [roi.name for roi in choice.rois["nodes"]] == ["GTVn"]


def test_choose_when_only_nodes_are_drawn_then_the_patient_is_valid():
    choice = pick(ct(), contours(names={"GTVn": 4}))
    assert chosen(choice) == ("s-ct", "s-rs")
    assert codes(choice) == []


def test_choose_when_several_rois_match_a_role_then_joined_with_a_warning():
    choice = pick(ct(), contours(names={"GTVp1": 4, "GTVp2": 2}))
    assert codes(choice) == ["several-rois"]
    assert [roi.number for roi in choice.rois["primary"]] == [1, 2]


def test_choose_when_a_name_matches_both_roles_then_a_warning():
    rois = RoiSettings(primary=["gtv.*"], nodes=["gtvn"])
    assert codes(pick(ct(), contours(names={"GTVn": 4}), rois=rois)) == ["roi-in-two-roles"]


def test_choose_when_there_are_no_contours_then_excluded_and_other_kinds_are_named():
    seg = contours("seg", modality="SEG")
    choice = pick(ct(), seg)
    assert codes(choice) == ["no-contours"]
    assert choice.problems[0].found == "no RTSTRUCT, 1 SEG"
    assert codes(pick(ct(), seg, tumor_source="seg")) == []


def test_choose_when_a_model_draws_then_contours_do_not_matter():
    choice = pick(ct("ct"), ct("big", frames=90), contours(), tumor_source="nnunet")
    assert chosen(choice) == ("s-big", None)
    assert codes(choice) == []


def test_choose_when_the_chosen_series_has_parts_then_a_warning():
    part = ct("ct", files=2, frames=2, part=2)
    part["series"] = "s-ct-2"
    choice = pick(ct("ct"), part, contours())
    assert chosen(choice) == ("s-ct", "s-rs")
    assert codes(choice) == ["mixed-series"]
