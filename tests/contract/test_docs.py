"""What the documents say, held against what is there: commands, paths, settings, exit codes, failpoints."""

import re
import shlex
from itertools import product
from pathlib import Path

import pytest
from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from deftunes.cli.app import app
from deftunes.core import errors
from deftunes.core.failpoints import Failpoint
from deftunes.core.settings import REPOSITORY, Settings
from support.commands import UsageError, parse
from support.documents import (
    SHOWN_OF_LINES,
    code_blocks,
    commands_in,
    documents,
    headings,
    inline_code,
    links,
    table_after,
    tracked,
)

README = REPOSITORY / "README.md"
RUNBOOK = REPOSITORY / "docs" / "runbook.md"
ARCHITECTURE = REPOSITORY / "docs" / "architecture.md"
# Where a path in backticks may begin; a word with a slash elsewhere is a key in the lake, a URL, a ratio.
ROOTS = {path.split("/", 1)[0] for path in tracked() if "/" in path}
PATH = re.compile(r"[\w./-]+")
DOCUMENTS = documents()
NO_DEFAULT = "\N{EN DASH}"


def relative(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def make_targets() -> set[str]:
    return set(re.findall(r"^\.PHONY: (\S+)$", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def make_settings() -> set[str]:
    return set(re.findall(r"^(\w+) \?=", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def check_make(words: list[str]) -> None:
    for word in words:
        name, is_setting, _ = word.partition("=")
        assert name in (make_settings() if is_setting else make_targets()), f"make {word}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_every_command_in_a_document_exists(document: Path) -> None:
    for command, is_complete in commands_in(document):
        words = shlex.split(command, comments=True)
        if words[0] == "make":
            check_make(words[1:])
        else:
            parse(words[1:], complete=is_complete)


def test_commands_are_found_in_the_documents() -> None:
    shown = [command for command, is_complete in commands_in(README) if is_complete]
    assert sum(command.startswith("deftunes ") for command in shown) >= 10
    assert any(command.startswith("make ") for command in shown)
    assert list(commands_in(RUNBOOK))


@pytest.mark.parametrize(
    "command", ["run songs --begin 2020-01-01", "fly", "run films", "quarantine lift", "env --dbt", "status now"]
)
def test_a_command_that_does_not_exist_is_found(command: str) -> None:
    with pytest.raises(UsageError):
        parse(shlex.split(command), complete=False)


def test_commands_that_messages_and_comments_name_exist() -> None:
    """`deftunes ...` in backticks, in code, SQL and yml."""
    found = 0
    for path in tracked():
        if Path(path).suffix in {".py", ".yml", ".sql", ".toml", ".tf"} and not path.startswith("tests/"):
            for words in inline_code(REPOSITORY / path, "deftunes"):
                if words and words[0].isalpha():
                    found += 1
                    for chosen in product(*(word.split("|") for word in words if "{" not in word)):
                        try:
                            parse(chosen, complete=False)
                        except UsageError as error:
                            raise AssertionError(f"{path}: `deftunes {' '.join(words)}`: {error}") from error
    assert found > 5


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_every_path_in_a_document_exists(document: Path) -> None:
    for target in links(document):
        path, _, anchor = target.partition("#")
        there = (document.parent / path).resolve() if path else document
        assert there.exists(), f"{relative(document)} links to {target}"
        if anchor:
            assert anchor in headings(there), f"{relative(document)} links to {target}"
    for code in inline_code(document):
        for word in code:
            first = word.split("/", 1)[0]
            if "/" in word and first in ROOTS and PATH.fullmatch(word):
                assert (REPOSITORY / word).exists(), f"{relative(document)} names {word}"


def test_paths_are_found_in_the_documents() -> None:
    assert len(list(links(README))) > 5
    assert any("jobs/deftunes/core/settings.py" in code for code in inline_code(README))


def test_the_tree_of_the_readme_is_there() -> None:
    tree = next(block for block in code_blocks(README, "text") if block.startswith("jobs/deftunes/"))
    folders = [line.split(maxsplit=1)[0] for line in tree.splitlines()]

    assert len(folders) > 5
    assert [folder for folder in folders if not (REPOSITORY / folder).is_dir()] == []
    roots = {path.split("/", 1)[0] for path in tracked() if "/" in path}
    assert roots - {folder.split("/", 1)[0] for folder in folders} == set()


def test_decisions_that_code_refers_to_exist_and_are_listed() -> None:
    adr = REPOSITORY / "docs" / "adr"
    files = {path.name for path in adr.glob("[0-9]*.md")}
    referred = {
        number
        for path in tracked()
        if path.endswith((".py", ".sql", ".yml", ".tf", ".toml", ".in", "Dockerfile")) and not path.startswith("tests/")
        for number in re.findall(r"docs/adr/(\d{4})", (REPOSITORY / path).read_text(encoding="utf-8"))
    }

    assert referred
    assert referred - {name[:4] for name in files} == set()
    assert files - set(links(adr / "README.md")) == set()
    assert sorted(int(name[:4]) for name in files) == list(range(1, len(files) + 1))


@pytest.mark.parametrize("path", sorted((REPOSITORY / "docs" / "adr").glob("[0-9]*.md")), ids=lambda path: path.stem)
def test_a_decision_has_its_context_and_consequences(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert re.match(rf"# {path.stem[:4]} \S", text)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def setting_row(name: str, field: FieldInfo) -> list[str]:
    alias = field.validation_alias
    variable = str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"DEFTUNES_{name.upper()}"
    match field.default:
        case None:
            default = NO_DEFAULT
        case bool():
            default = str(field.default).lower()
        case float():
            default = f"{field.default:g}"
        case Path() as path:
            default = str(path.relative_to(REPOSITORY) if path.is_relative_to(REPOSITORY) else path)
        case value:
            default = str(value)
    return [f"`{variable}`", default, field.description or ""]


def test_the_settings_table_is_the_settings() -> None:
    expected = [setting_row(name, field) for name, field in Settings.model_fields.items()]

    lines = "\n".join("| " + " | ".join(row) + " |" for row in expected)
    assert table_after(README, "| Setting |") == expected, f"the table's lines are:\n{lines}"
    assert all(meaning for _, _, meaning in expected)


def test_the_exit_codes_are_those_of_the_errors() -> None:
    codes = {
        value.exit_code
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.DeftunesError)
    }

    table = table_after(README, "| Exit code |")
    assert {int(row[0]) for row in table} == codes | {0}
    help_text = app.info.help
    assert isinstance(help_text, str)
    assert {int(code) for code in re.findall(r"\b(\d+) [a-z]", help_text.partition("Exit codes:")[2])} == codes | {0}
    titles = " ".join(headings(RUNBOOK))
    assert [code for code in codes if f"exit-{code}" not in titles] == []


def test_every_failpoint_is_explained() -> None:
    explained = [row[0].strip("`") for row in table_after(ARCHITECTURE, "| Killed at |")]

    assert explained == [failpoint.value for failpoint in Failpoint]


def test_every_stage_is_in_the_picture() -> None:
    picture = next(iter(code_blocks(README, "mermaid")))

    for stage in ("extract", "transform", "quality", "publish", "load", "model"):
        assert f"{stage}[" in picture


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= SHOWN_OF_LINES


def test_documents_name_no_machine() -> None:
    named = [
        f"{relative(path)}: {found[0]}"
        for path in DOCUMENTS
        for found in re.finditer(r"/(work|root|home)/\w+", path.read_text(encoding="utf-8"))
    ]

    assert named == []
