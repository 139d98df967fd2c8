"""YAML blocks on the pages of the documentation: a part of a configuration is valid."""

import re
from pathlib import Path

import pytest
import yaml

from metaswin.config.model import Config

ROOT = Path(__file__).parents[3]
# docs/prediction.md shows settings on top of those of a bundle, which are incomplete on their own.
PAGES = [ROOT / "README.md", *sorted(page for page in (ROOT / "docs").rglob("*.md") if page.name != "prediction.md")]
BLOCK = re.compile(r"^( *)```yaml\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def configurations() -> list:
    """Blocks whose keys are sections of the configuration; others are files of another kind, such as signatures."""
    found = []
    for page in PAGES:
        for number, (_, block) in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")), start=1):
            content = yaml.safe_load(block)
            if isinstance(content, dict) and set(content) <= set(Config.model_fields):
                found.append(pytest.param(content, id=f"{page.relative_to(ROOT)}-{number}"))
    return found


@pytest.mark.parametrize("content", configurations())
def test_documentation_when_a_page_shows_settings_then_they_are_valid(content):
    Config.model_validate(content)


def test_documentation_when_settings_are_collected_then_there_are_many():
    assert len(configurations()) > 10
