"""The generated parts of the reference are complete: every setting, command and code of a data problem."""

import ast
import re
import sys

import pytest

from metaswin.config.model import Config


@pytest.fixture(scope="module")
def generated(repository):
    sys.path.insert(0, str(repository / "docs/_ext"))
    import generated_reference

    return generated_reference


def names_in(schema: dict, part: dict, above: str = "") -> set[str]:
    """Dotted names of all settings in a JSON Schema; names that the user chooses are ``<name>``."""
    found = set()
    for key, each in part.get("properties", {}).items():
        for kind in [each, *each.get("anyOf", []), *each.get("allOf", [])]:
            name = f"{above}{key}"
            entries = kind.get("additionalProperties")
            for inner, prefix in ((kind, name), (entries if isinstance(entries, dict) else {}, f"{name}.<name>")):
                for option in [inner, *inner.get("anyOf", [])]:
                    if "$ref" in option:
                        target = schema["$defs"][option["$ref"].rsplit("/", 1)[1]]
                        found |= names_in(schema, target, f"{prefix}.")
        found.add(f"{above}{key}")
    return found


def test_settings_when_compared_with_the_schema_then_none_is_absent_and_defaults_are_given(generated):
    schema = Config.model_json_schema()
    rows = {row.name: row for row in generated.settings_of(Config, Config())}
    sections = {name for name in names_in(schema, schema) if any(each.startswith(f"{name}.") for each in rows)}
    assert set(rows) == (names_in(schema, schema) - sections) | (set(rows) & sections)
    assert len(rows) > 200
    assert all(row.text for row in rows.values())
    assert rows["folds.k"].default == "5"
    assert rows["endpoints.<name>.event.column"].default is None


def test_settings_page_when_written_then_each_setting_has_a_row(generated):
    text = generated.settings_reference()
    for row in generated.settings_of(Config, Config()):
        assert f"| `{row.name}` |" in text
    assert [f"`{name}`" for name in Config.model_fields] == re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    assert all(line.count("|") - line.count("\\|") == 4 for line in text.splitlines() if line.startswith("|"))


def test_commands_page_when_written_then_each_command_and_option_is_there(generated):
    text = generated.command_reference()
    for name, parser in generated.commands().items():
        section = text.split(f"## `metaswin {name}`\n")[1].split("\n## ")[0]
        options = {option for action in parser._actions for option in action.option_strings} - {"-h", "--help"}
        assert options <= set(re.findall(r"`(-[^`]+)`", section))
    assert "--jobs-ended" in text


def test_codes_when_compared_with_the_documented_faults_then_none_is_absent(generated, repository):
    lines = (repository / "docs/data-faults.md").read_text().splitlines()
    cells = [line.strip("|").split("|") for line in lines if line.startswith("| ")]
    documented = {code for row in cells if len(row) == 4 for code in re.findall(r"`([a-z0-9-]+)`", row[2])}
    codes = generated.problem_codes()
    assert documented - {"code"} <= set(codes)
    assert all(any(code.expected) and any(code.actions) for code in codes.values())
    assert {True, False} == codes["duplicate-slices"].excludes


def test_codes_when_the_library_makes_a_problem_then_its_code_is_found(generated):
    """Each call with a code of its own is found; a call that passes on a code (``Problem(…, code, …)``) has none."""
    found = set(generated.problem_codes())
    for path in generated.LIBRARY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(getattr(node, "func", None), "attr", getattr(getattr(node, "func", None), "id", ""))
            if name not in generated.CALLS and name != "problem":
                continue
            place = 1 if name == "problem" else generated.CALLS[name][0]
            if len(node.args) > place and isinstance(node.args[place], ast.Constant):
                assert node.args[place].value in found, f"{path}: {node.args[place].value}"


def test_pages_when_they_ask_for_a_generated_part_then_it_exists(generated, repository):
    asked = [
        name
        for page in (repository / "docs").rglob("*.md")
        for name in generated.MARKER.findall(page.read_text(encoding="utf-8"))
    ]
    assert sorted(asked) == sorted(generated.PARTS)
