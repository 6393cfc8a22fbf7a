"""images/Dockerfile as data: its stages, what each is made from and copies, and which of them become images."""

import re
from dataclasses import dataclass, field
from pathlib import Path

TITLE = "org.opencontainers.image.title="
TEXT = (Path(__file__).resolve().parents[2] / "images" / "Dockerfile").read_text("utf-8")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage: the image or stage that it is made from, and its instructions."""

    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def of(self, word: str) -> list[str]:
        """The arguments of all instructions of a kind."""
        return [rest for kind, rest in self.instructions if kind == word]


def instructions() -> list[tuple[str, str]]:
    """The whole file's, in order, each as its word and the rest."""
    lines = "\n".join(line for line in TEXT.splitlines() if not line.startswith("#"))
    joined = lines.replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def stages() -> dict[str, Stage]:
    """By name, in the file's order."""
    found: dict[str, Stage] = {}
    current: list[tuple[str, str]] | None = None
    arguments = {}
    for word, rest in instructions():
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            assert name, rest
            assert name not in found, name
            current = []
            found[name] = Stage(base=arguments.get(base, base), instructions=current)
        elif current is None:
            assert word == "ARG", word
            name, _, value = rest.partition("=")
            arguments[f"${{{name}}}"] = value
        else:
            current.append((word, rest))
    return found


STAGES = stages()
# Those that carry a title.
IMAGES = sorted(name for name, stage in STAGES.items() if any(TITLE in rest for rest in stage.of("LABEL")))


def ancestry(name: str) -> list[str]:
    """A stage and what it is made from, down to the base image."""
    return [name, *ancestry(STAGES[name].base)] if name in STAGES else [name]


def ingredients(name: str) -> set[str]:
    """Every stage that a stage needs, itself included."""
    if name not in STAGES:
        return set()
    copied = re.findall(r"--from=(\S+)", " ".join(STAGES[name].of("COPY")))
    return {name}.union(*map(ingredients, [STAGES[name].base, *copied]))


def inherited(name: str, word: str) -> str | None:
    """The last instruction of a kind in a stage, or in the one that it is made from."""
    for ancestor in ancestry(name)[:-1]:
        if values := STAGES[ancestor].of(word):
            return values[-1]
    return None


def copied_from_the_context(name: str) -> set[str]:
    """What a stage copies from the tree."""
    lines = [line.split() for line in STAGES[name].of("COPY") if "--from" not in line]
    return {word for line in lines for word in line[:-1] if not word.startswith("--chmod=")}
