import json
import sys
import time

import pytest
from home import CommandError, measure


def python(code: str) -> list[str]:
    return [sys.executable, "-c", "import json, subprocess, sys, time\n" + code]


def test_a_command_is_measured_stage_by_stage() -> None:
    said = [{"stage": "load", "seconds": 1.5}, {"stage": "load", "seconds": 2}, {"stage": "model", "seconds": 3}]
    taken = measure(python(f"for one in {said!r}: print(json.dumps(one), flush=True); time.sleep(0.2)"))
    assert dict(taken.stages) == {"load": 3.5, "model": 3}
    assert 0.2 <= taken.reached["load"] < taken.reached["model"] < taken.seconds
    assert taken.reached["model"] - taken.reached["load"] >= 0.15


def test_what_is_no_outcome_of_a_stage_is_no_stage() -> None:
    lines = ["", "loading", "17", json.dumps({"check": "songs"}), json.dumps({"stage": None})]
    assert not measure(python(f"print('\\n'.join({lines!r}))")).stages


def test_the_memory_is_that_of_a_command_and_its_children() -> None:
    own = "held = bytearray(100 << 20); time.sleep(0.5)"
    child = f"subprocess.run([sys.executable, '-c', {'import time; ' + own!r}])"
    alone = measure(python(own)).mebibytes
    assert alone >= 100
    assert measure(python(f"held = bytearray(100 << 20); {child}")).mebibytes >= 2 * 100


def test_what_a_child_used_of_a_processor_counts() -> None:
    busy = "end = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
    asleep = measure(python("time.sleep(0.5)")).processor
    child = f"subprocess.run([sys.executable, '-c', {'import time; ' + busy!r}])"
    assert measure(python(child)).processor >= asleep + 0.3


def test_a_command_that_complains_at_length_ends() -> None:
    began = time.perf_counter()
    measure(python("sys.stderr.write('x' * (1 << 20))"))
    assert time.perf_counter() - began < 30


def test_a_command_that_fails_says_why() -> None:
    with pytest.raises(CommandError, match="no such day"):
        measure(python("sys.exit('no such day')"))
