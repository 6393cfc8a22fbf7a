"""Several tools at the same job, in turns: what each took, and whether it brought the same data."""

import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
# The tools to compare with are installed apart: what they need is none of the platform's.
PEERS = HERE.parent / ".venv" / "benchmark" / "bin" / "python"
# What dlt keeps beside the data.
OWN = frozenset({"state", "_dlt_loads", "_dlt_pipeline_state", "_dlt_version"})
_LONGEST = 900
_SHOWN = 60


@dataclass(frozen=True)
class Tool:
    """One that takes part. `command` gets the source's address and the folder to write to, and runs to its end.

    What it prints last may be JSON with `seconds`, without its imports; otherwise the whole process counts.
    """

    name: str
    command: Callable[[str, Path], Sequence[str]]


def python(script: str, *words: str, peer: bool = False) -> Callable[[str, Path], Sequence[str]]:
    """The command of a script in `contenders`; one of a peer runs in the peers' own environment."""
    interpreter = str(PEERS) if peer else str(HERE.parent / ".venv" / "bin" / "python")
    return lambda source, out: [interpreter, str(HERE / "contenders" / script), source, str(out), *words]


@dataclass
class Result:
    """What one tool took, in each round: seconds, seconds of a processor, MiB at the peak. `failure`: why not."""

    name: str
    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)
    failure: str = ""

    @property
    def median(self) -> float:
        """The median of the seconds."""
        return statistics.median(self.seconds)


@contextmanager
def _scratch() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def compete(
    tools: Sequence[Tool],
    rounds: int,
    source: Callable[[], AbstractContextManager[str]],
    checksum: Callable[[Path], Mapping[str, object]],
) -> list[Result]:
    """Let the tools take turns, each with a `source` of its own; the first one's data is what all must have.

    A tool that fails, or brings other data, takes part no more.
    """
    results = [Result(tool.name) for tool in tools]
    expected: Mapping[str, object] = {}
    for _ in range(rounds):
        for tool, result in zip(tools, results, strict=True):
            if result.failure:
                continue
            with _scratch() as out, source() as address:
                result.failure = _run(tool.command(address, out), result)
                if not result.failure:
                    found = checksum(out)
                    expected = expected or found
                    result.failure = _difference(expected, found)
    return results


def _run(command: Sequence[str], result: Result) -> str:
    """Run it and note what it took; returns why it failed, if it did."""
    if not Path(command[0]).exists() and shutil.which(command[0]) is None:
        return f"not installed: {Path(command[0]).name}"
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=errors)
        status, processor, peak = _wait(process, began + _LONGEST)
        seconds = time.perf_counter() - began
        out.seek(0)
        errors.seek(0)
        said, complaint = out.read().splitlines(), errors.read().strip().splitlines()
    if status is None:
        return f"not done after {_LONGEST} s"
    if status:
        return f"failed: {(complaint or said or ['it said nothing'])[-1].strip()[:_SHOWN]}"
    result.seconds.append(_told(said) or seconds)
    result.processor.append(processor)
    result.peak.append(peak)
    return ""


def _wait(process: subprocess.Popen[bytes], deadline: float) -> tuple[int | None, float, int]:
    """The exit status (None: it took too long), seconds of a processor and MiB at the peak."""
    peak, is_late = 0, False
    while True:
        # Not the peak that the kernel reports at the end: that begins with the memory of this process.
        peak = max(peak, _peak(process.pid))
        found, status, usage = os.wait4(process.pid, os.WNOHANG)
        if found:
            process.returncode = os.waitstatus_to_exitcode(status)
            return None if is_late else process.returncode, usage.ru_utime + usage.ru_stime, peak
        if time.perf_counter() > deadline and not is_late:
            process.kill()
            is_late = True
        time.sleep(0.01)


def _peak(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) // 1024 if found else 0


def _told(said: list[str]) -> float | None:
    try:
        return float(json.loads(said[-1])["seconds"])
    except (IndexError, ValueError, TypeError, KeyError):
        return None


def _difference(expected: Mapping[str, object], found: Mapping[str, object]) -> str:
    other = [name for name in expected if found.get(name) != expected[name]]
    if not other:
        return ""
    if "rows" in other:
        return f"other data: {found.get('rows')} rows, expected {expected['rows']}"
    return f"other data in {', '.join(other)}"[:_SHOWN]


def written(out: Path, pattern: str) -> list[Path]:
    """The files of data that a tool wrote, without those that it keeps for itself."""
    return sorted(path for path in out.rglob(pattern) if not OWN.intersection(path.relative_to(out).parts))


def table(title: str, results: Sequence[Result]) -> str:
    """What they took, as multiples of the first one."""
    lines = [f"\n{title}", f"{'':28} {'seconds':>8} {'ratio':>7} {'processor':>10} {'peak MiB':>9}"]
    base = results[0].median if results[0].seconds and not results[0].failure else None
    for result in results:
        if result.failure:
            lines.append(f"{result.name:28} {result.failure}")
            continue
        ratio = f"{result.median / base:.2f} x" if base else "-"
        used = statistics.median(result.processor)
        lines.append(f"{result.name:28} {result.median:8.2f} {ratio:>7} {used:10.2f} {max(result.peak):9}")
    return "\n".join(lines)


def machine() -> str:
    """What it ran on, and how busy that was."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "unknown processor",
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    loads = " ".join(f"{load:.1f}" for load in os.getloadavg())
    return f"{os.cpu_count()} x {model}, {memory:.0f} GiB, load average {loads}"
