"""The configuration file that is generated from the models."""

import json
from typing import Literal

import jsonschema
import pytest
import yaml
from pydantic import Field
from pydantic.fields import FieldInfo

from metaswin.cli import main
from metaswin.config import document
from metaswin.config.document import default_configuration, describe, json_schema
from metaswin.config.model import Config
from metaswin.core.settings import Settings


def settings_of(schema):
    """Every setting of a JSON Schema that is no section, with its place."""
    for title, model in {"Config": schema, **schema["$defs"]}.items():
        for name, setting in model.get("properties", {}).items():
            if "$ref" not in setting:
                yield f"{title}.{name}", setting


def test_settings_when_listed_then_each_has_a_description():
    settings = dict(settings_of(json.loads(json_schema())))
    assert len(settings) > 150
    assert [name for name, setting in settings.items() if not setting.get("description", "").endswith(".")] == []


def test_configuration_when_generated_then_lines_fit_and_examples_are_valid():
    text = default_configuration()
    assert max(map(len, text.splitlines())) <= 120
    for section, key in [(None, "endpoints"), ("clinical", "columns"), ("clinical", "sets")]:
        model = Config if section is None else type(getattr(Config(), section))
        for example in model.model_fields[key].examples:
            model.model_validate({key: example})


def test_configuration_when_texts_need_quotes_then_yaml_reads_them_back(monkeypatch):
    class Section(Settings):
        """What is in it."""

        texts: list[str] = Field(default=["no", "1", "a: b", "#", "x" * 90, "two words", "*", ""], description="Texts.")
        table: dict[str, list[float]] = Field(default={"on": [1e-7, 1.0], "y" * 99: [2.0] * 9}, description="A table.")

    class Small(Settings):
        section: Section = Section()

    monkeypatch.setattr(document, "Config", Small)
    assert yaml.safe_load(default_configuration()) == Small().model_dump(mode="json")


@pytest.mark.parametrize(
    ("annotation", "field", "text"),
    [
        (Literal["a", "b"], Field(description="What."), "a | b. What."),
        (Literal["a", "b"] | None, Field(description="a: one; b: another."), "a: one; b: another."),
        (list[Literal["a", "b"]], Field(description="What."), "a | b. What."),
        (int, Field(ge=1, description="Many."), "Many."),
        (int, Field(ge=32, multiple_of=16, description="Many."), "Many. At least 32. A multiple of 16."),
        (float, Field(gt=0, le=1, description="Share."), "Share. In (0, 1]."),
    ],
)
def test_describe_when_a_setting_is_limited_then_it_says_so(annotation, field, text):
    assert describe(FieldInfo.from_annotated_attribute(annotation, field)) == text


def test_schema_when_called_without_write_then_it_is_printed(capsys):
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == json_schema()


def test_schema_when_a_column_is_given_by_its_role_alone_then_valid_as_in_the_readme():
    schema = json.loads(json_schema())
    good = {"clinical": {"columns": {"sex": "baseline", "age": {"role": "baseline"}}}}
    jsonschema.validate(good, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"clinical": {"columns": {"sex": "base"}}}, schema)
