"""Plant one bug at a time in a copy of the project and run the check that must see it.

The bugs are `planted*.py`. Several are tried at once, each job in a copy of its own.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.simulation.planted import MUTANTS, Mutant
from tests.simulation.planted_ahead import AHEAD
from tests.simulation.planted_around import AROUND

ROOT = Path(__file__).parents[2]
COPIED = (
    "node",
    "protocol",
    "tests/node",
    "tests/protocol",
    "tests/simulation",
    "tests/vectors/consensus",
)
SINGLE_FILES = ("tests/conftest.py", "pyproject.toml")
CHECK_SECONDS_MAX = 120


def run_check(folder: Path, *checks: str) -> bool:
    """Run tests, or one simulation, in a copy and tell whether they passed."""
    is_simulated = checks[0].startswith("sim ")
    if is_simulated:
        _, engine, seeds = checks[0].split()
        options = ["--engine", engine, "--seeds", seeds, "--jobs", "1"]
        command = [sys.executable, "-m", "tests.simulation.run", *options]
    else:
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *checks]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, timeout=CHECK_SECONDS_MAX, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    # 1 is a failing test or seed; anything else says that the check itself did not run.
    is_run = done.returncode in (0, 1) and (not is_simulated or b"seeds, " in done.stdout)
    if not is_run:
        raise SystemExit(f"{checks} did not run:\n{done.stdout.decode()}{done.stderr.decode()}")
    return done.returncode == 0


def copy_project(folder: Path) -> None:
    skip = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=skip)
    for name in SINGLE_FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)


def plant(folder: Path, mutant: Mutant) -> str:
    """Change a file and return what it was."""
    path = folder / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.name}: its text is in {mutant.file} {text.count(mutant.old)} times")
    changed = text.replace(mutant.old, mutant.new)
    if "replace(" in mutant.new and "import replace" not in changed:
        changed = changed.replace("\nfrom typing", "\nfrom dataclasses import replace\nfrom typing", 1)
    path.write_text(changed)
    return text


def is_caught(mutant: Mutant, folders: "SimpleQueue[Path]") -> bool:
    """Plant a mutant in a copy that nobody uses and tell whether its check fails."""
    folder = folders.get()
    text = plant(folder, mutant)
    try:
        return not run_check(folder, mutant.check)
    finally:
        (folder / mutant.file).write_text(text)
        folders.put(folder)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names; all when none is given")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at once; one a core if unset")
    options = parser.parse_args()
    planted = (*MUTANTS, *AHEAD, *AROUND)
    chosen = [m for m in planted if not options.names or any(name in m.name for name in options.names)]
    survivors = 0
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(options.jobs) as pool:
        folders: SimpleQueue[Path] = SimpleQueue()
        for job in range(options.jobs):
            folder = Path(temporary) / str(job)
            copy_project(folder)
            folders.put(folder)
        tests = sorted({m.check for m in chosen if not m.check.startswith("sim")})
        if tests and not run_check(folder, *tests):
            raise SystemExit("a test of the chosen ones fails without any mutant")
        verdicts = pool.map(lambda mutant: is_caught(mutant, folders), chosen)
        for mutant, caught in zip(chosen, verdicts, strict=True):
            survivors += not caught
            print(f"{'caught  ' if caught else 'SURVIVES'} {mutant.name:44} {mutant.check}", flush=True)
    print(f"{len(chosen)} mutants, {survivors} not caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
