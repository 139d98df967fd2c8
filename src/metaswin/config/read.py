"""Read configuration files with the same values as Snakemake, and report errors with file, line and column."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from metaswin.core.errors import UserError

MERGE = "tag:yaml.org,2002:merge"
FIX = "Check the indentation, colons, quotes and brackets there"


class _Loader(yaml.SafeLoader):
    """Load YAML 1.1 like Snakemake, but reject duplicate keys, for which YAML would use the last value."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:  # type: ignore[override]
        # (The type stubs declare the anchor as the mapping of all anchors.)
        # At this point, the nodes are as written. Later, merge keys have added other nodes.
        node = super().compose_mapping_node(anchor)  # type: ignore[arg-type]
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE:
                continue
            name = self.construct_object(key)
            if name in lines:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {name!r} is already in line {lines[name]}", problem_mark=key.start_mark
                )
            lines[name] = key.start_mark.line + 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:  # such as the date 2024-02-30
            raise yaml.MarkedYAMLError(problem=f"{node.value} ({error})", problem_mark=node.start_mark) from None


def read_config(path: str | Path) -> dict[str, Any]:
    """Read the mapping in a YAML or JSON file.

    Raises
    ------
    UserError
        If the file cannot be read. The message contains line and column of a syntax error.
    """
    try:
        raw = _parse(Path(path).read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UserError(f"{path}{where}: {error.problem or error.context}. {FIX}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"--configfile: cannot read {path} ({error})") from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise UserError(f"{path}: found {type(raw).__name__}; expected `key: value` lines, such as config/examples")
    return raw


def _parse(text: str) -> Any:
    """Parse JSON if possible, otherwise YAML, because the two differ in numbers such as 1e5."""
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError:
        return yaml.load(text, Loader=_Loader)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise yaml.MarkedYAMLError(problem=f"the key {key!r} is written twice")
        found[key] = value
    return found


def read_configs(paths: Sequence[str | Path]) -> dict[str, Any]:
    """Merge several files into one mapping; keys of later files replace those of earlier ones, as in Snakemake."""
    merged: dict[str, Any] = {}
    for path in paths:
        merged = _on_top(merged, read_config(path))
    return merged


def _on_top(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        inner = merged.get(key)
        merged[key] = _on_top(inner if isinstance(inner, dict) else {}, value) if isinstance(value, dict) else value
    return merged


def with_lines(message: str, paths: Sequence[str | Path]) -> str:
    """Add the file and line of a setting, or of its section, to a message about the setting."""
    named = re.match(r"(?:unknown key )?([\w-]+(?:\.[\w-]+)*)", message)
    for path in reversed(paths):
        line = _line_of(named[1].split("."), Path(path)) if named else None
        if line is not None:
            return f"{message} ({path}, line {line})"
    return message


def _line_of(keys: list[str], path: Path) -> int | None:
    node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    line = None
    for key in keys:
        entries = node.value if isinstance(node, yaml.MappingNode) else []
        found = next(((name, value) for name, value in entries if name.value == key), None)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


# Removed keys as written in the configuration (``section.key``), or removed values of a key (``section.key=value``). A
# removed section includes all its keys. The text states what to do. The error names the key before the text.
REMOVED = {
    "controls.permutation.heads": "Rename it to classifiers",
    "evaluation.headline_head": "Rename it to primary_classifier",
    "evaluation.nri": "Delete this line, because the net reclassification index misleads for poorly calibrated models",
    "folds.inner": "Delete this line, because the other folds of the cross-validation are the inner folds",
    "fusion.arms": "Rename it to feature_sets",
    "fusion.headline_arm": "Rename it to primary_feature_set",
    "fusion.joint": "Delete this section, because joint fine-tuning of network and fusion did not improve the AUC",
    "fusion.deep_score=joint": "Use cross-fitted, the default, because joint fine-tuning did not improve the AUC",
    "fusion.deep_score=inner-validation": "Use cross-fitted, the default, which fits the fusion on all training rows",
    "pictures": "Rename the section to qc_images",
    "report.pictures": "Rename it to qc_images",
    "survival.arms": "Rename it to feature_sets",
}
