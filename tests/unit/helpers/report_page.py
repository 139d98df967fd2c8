"""A report of an invented run as a page whose text, links and nesting can be read."""

from dataclasses import replace
from html.parser import HTMLParser

from synthetic_run import Plan, Run

from metaswin.config.evaluation import EvaluationSettings
from metaswin.config.model import Config
from metaswin.config.report import ReportSettings
from metaswin.evaluation.evaluate import evaluate
from metaswin.report.build import ReportOutputs, build_report
from metaswin.report.files import portable

VOID = {"meta", "link", "br", "img", "path", "use", "rect", "line"}


class Page(HTMLParser):
    """Text, identifiers, links and nesting of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html, self.text, self.ids, self.references, self.open, self.wrong = html, "", [], [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids += [found["id"]] if "id" in found else []
        self.references += [value for key, value in found.items() if key in ("src", "href", "xlink:href", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text += f"{data} "


def config_of(plan: Plan) -> dict:
    endpoints = {
        name: {"horizon_days": horizon, "followup": "days", "event": {"column": "dm", "time": "dm_days"}}
        if horizon
        else {"column": name}
        for name, horizon in plan.endpoints.items()
    }
    config = Config.model_validate(
        {
            "seed": 11,
            "data": {"source": "dicom"},
            "endpoints": endpoints,
            "folds": {"by": None, "k": plan.k, "repeats": plan.repeats, "stratify": ["site"]},
            "clinical": {"sets": {"paper": ["age", "sex"], "staging": ["site"]}},
        }
    )
    return portable(config.model_dump(mode="json"))


def evaluated(run: Run) -> Run:
    settings = EvaluationSettings(strata=["site"], bootstrap=100)
    evaluate(run.evaluation_inputs, run.evaluation_outputs, settings, {"paper": ["age", "sex"], "staging": ["site"]}, 7)
    return run


def evaluated_and_reported(run: Run) -> Page:
    return reported(evaluated(run))


def reported(run: Run, inputs: dict | None = None, **settings) -> Page:
    folder = run.results / "report"
    outputs = ReportOutputs(folder / "report.html", folder / "tables", folder / "figures")
    read = replace(run.report_inputs, **(inputs or {}))
    build_report(read, outputs, ReportSettings(**settings), config_of(run.plan), run.results / "benchmarks")
    return Page((folder / "report.html").read_text(encoding="utf-8"))
