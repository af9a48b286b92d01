"""One fault at a time: a command with it, what the output is then, and the same command again without it."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.command.verify import findings
from tests.faults import shim
from tests.faults.cases import Case

PROJECT = Path(__file__).resolve().parents[2]
MODES = {
    "no-space": (shim.NO_SPACE, False),
    "no-space-on": (shim.NO_SPACE, True),
    "error": (shim.DISK_ERROR, False),
    "error-on": (shim.DISK_ERROR, True),
    "torn": (shim.TORN, False),
    "torn-on": (shim.TORN, True),
    "death": (shim.DEATH, False),
    "power": (shim.POWER, True),
}
# What differs between two runs that do the same: times.
OF_ONE_RUN = {"events.jsonl", "summary.json", ".described.json", "report.html", "what-if.json"}
# Tables that Spark writes itself, under new names each time: their rows are compared, not what lists their files.
BY_SPARK, LISTING = ("images", "image_hashes"), ("manifest.json", "README.md", "croissant.json")
ODD = re.compile(r"Traceback|Py4J|org\.apache|java\.|\bat [a-z]+\.[A-Za-z.]+\(|please report")
NAMES = re.compile(r"\.?[0-9a-f]{8,32}|\d+(?=\.crc)|part-[0-9a-f-]+|(?<=/)\.?\d+\.\d+$|(?<=-)\d+$")


@dataclass
class Told:
    """How a command ended, and what it said."""

    code: int
    said: str
    busy: bool

    def wrong(self) -> str | None:
        """What a person should not see."""
        if self.code == -100:
            return "it hangs"
        if self.busy:
            return "its tasks go on"
        if found := ODD.search(self.said):
            return f"it says {found.group()!r}: {self.said}"
        errors = [line for line in self.said.splitlines() if line.startswith("error: ")]
        if self.code > 0 and len(errors) != 1:
            return f"it ends with {self.code} and {len(errors)} lines of error: {self.said}"
        return None


@dataclass
class Faults:
    """A session that runs commands, and the outputs that they begin at."""

    kind: str
    work: Path
    cases: list[Case]
    environment: dict[str, str] = field(default_factory=dict)
    seen: dict[tuple[str, str], str | None] = field(default_factory=dict)
    process: subprocess.Popen | None = None
    again: int = 0

    def __post_init__(self):
        self.root = self.work / "root"
        self.root.mkdir()
        self.control = shim.Control(self.work / "control", self.root)
        self.output = self.root / "output"
        self.by_name = {case.name: case for case in self.cases}
        self.expected: dict[str, dict[str, str]] = {}
        self.sizes: dict[str, dict[str, int]] = {}

    def start(self) -> None:
        """Starts the session under the shim."""
        environment = os.environ | {
            "LD_PRELOAD": str(shim.library()),
            "FAULT_CONTROL": str(self.work / "control"),
            "PYTHONPATH": str(PROJECT),
            "SPARK_LOCAL_DIRS": str(self.work / "local"),  # The JVM is killed, and leaves what it has there.
            **self.environment,
        }
        warm = [
            json.dumps([*case.arguments, "--output", str(self.work / "warm"), "--force"])
            for case in self.cases
            if case.warms
        ]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery", self.kind, *warm], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=(self.work / "nursery.log").open("ab"), text=True, env=environment, cwd=self.work,
            start_new_session=True,
        )  # fmt: skip
        assert json.loads(self.process.stdout.readline()) == {}, (self.work / "nursery.log").read_text()

    def stop(self) -> None:
        """Ends the session, and all its processes."""
        if self.process is not None:
            os.killpg(self.process.pid, 9)
            self.process.wait()
            self.process = None

    def command(self, case: Case) -> Told:
        """Runs the command of a case."""
        return self.ask(*case.arguments, "--output", f"local://{self.output}" if case.store else str(self.output))

    def ask(self, *arguments: str, **more: int) -> Told:
        """Runs a command; where the session died of it, the next has a new one. ``more``: for the nursery."""
        if self.process is None:
            self.start()
        log = self.work / "said"
        log.unlink(missing_ok=True)
        self.process.stdin.write(json.dumps({"arguments": arguments, "log": str(log)} | more) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        self.control.disarm()
        said = log.read_text(errors="replace") if log.exists() else ""
        if not answer:
            self.stop()
            return Told(-9, said, False)
        answer = json.loads(answer)
        return Told(answer["code"], said, answer["busy"])

    def begin(self, case: Case) -> None:
        """The output as it is before the command of a case."""
        if case.after is not None:
            self.whole(self.by_name[case.after])
        shutil.rmtree(self.output, ignore_errors=True)
        if case.after is not None:
            shutil.copytree(self.work / "after" / case.after, self.output)

    def whole(self, case: Case) -> dict[str, str]:
        """What the output of a case is without any fault."""
        if case.name not in self.expected:
            self.begin(case)
            if self.process is None:
                self.start()
            self.control.arm(shim.DISK_ERROR, sys.maxsize, False)
            told = self.command(case)
            assert told.code == 0, told.said
            self.sizes[case.name] = {mode: self.control.count(kind) for mode, (kind, _) in MODES.items()}
            assert self.kind == "plain" or not list(self.findings())
            self.expected[case.name] = says(self.output)
            shutil.copytree(self.output, self.work / "after" / case.name)
        return self.expected[case.name]

    def findings(self) -> Iterator[str]:
        """What ``verify`` finds in a finished output; small stages have no tables for it."""
        if self.kind == "plain":
            yield from self._torn()
        elif (self.output / "manifest.json").exists():
            yield from findings(str(self.output))

    def _torn(self) -> Iterator[str]:
        """The files that a manifest or a record names and that are not what it says."""
        named = [self.output / "manifest.json", *self.output.glob(".stages/*.json")]
        for file in named:
            content = file.read_bytes() if file.exists() else b""
            with contextlib.suppress(ValueError):
                for line in json.loads(content)["files"]:
                    there = self.output / line["path"]
                    if not there.exists():
                        if file.name == "manifest.json":
                            yield f"{line['path']}: missing"
                    elif hashlib.sha256(there.read_bytes()).hexdigest() != line["sha256"]:
                        yield f"{line['path']}: other bytes than {file.name} says"

    def size(self, name: str, mode: str) -> int:
        """How many points a command has."""
        self.whole(self.by_name[name])
        return self.sizes[name][mode]

    def point(self, name: str, mode: str, number: int) -> tuple[bool, str | None]:
        """Whether the fault came, and what is wrong after it."""
        case, (kind, persistent) = self.by_name[name], MODES[mode]
        expected = self.whole(case)
        self.begin(case)
        if self.process is None:
            self.start()
        self.control.arm(kind, number, persistent)
        told = self.command(case)
        if not self.control.fired:
            return False, None if told.code == 0 else told.said
        if mode == "power" and not case.store:  # What a store has taken it keeps.
            self.control.lose_unsynced(self.root)
        return True, self._wrong(case, told, mode, expected)

    def _wrong(self, case: Case, told: Told, mode: str, expected: dict[str, str]) -> str | None:
        at = f"{self.control.where}: "
        if found := told.wrong():
            return at + found
        without = {"report.html"} if "report.html is not written" in told.said else set()
        there = says(self.output)
        if case.store and MODES[mode][1]:  # What a store that removes nothing any more hides, the next run removes.
            without |= {name for name in there.keys() - expected.keys() if re.search(r"(^|/)\.(signs/|[^/]+$)", name)}
        if told.code == 0 and mode != "power" and (found := differs(there, expected, without)):
            return f"{at}it ended well, but {found}"
        state = case.name, hashlib.sha256(json.dumps(tree(self.output)).encode()).hexdigest()
        if case.store and ".signs/" in self.control.where and (told.code == -9 or MODES[mode][1] or mode == "power"):
            return None  # Half of a sign, of a run that died or could not take it away, is believed until it is old.
        if state not in self.seen:
            self.seen[state] = self._resumed(case, expected)
        return at + self.seen[state] if self.seen[state] else None

    def _resumed(self, case: Case, expected: dict[str, str]) -> str | None:
        # What was begun to be fetched or extracted grows beside a set that is whole.
        if found := next(
            (line for line in self.findings() if not line.startswith(("fetched: ex", "extracted: ex"))), None
        ):
            return f"the manifest is there, but verify finds {found}"
        self.again += 1
        told = self.command(case)
        if told.code != 0:
            return f"again it ends with {told.code}: {told.said}"
        if found := differs(says(self.output), expected):
            return f"again {found}"
        if found := next(self.findings(), None):
            return f"again verify finds {found}"
        return None


def says(output: Path) -> dict[str, str]:
    """The digest of each file of an output, hidden ones too, without what is of one run."""
    found = {}
    by_spark = [table for table in BY_SPARK if (output / table).exists()]
    for table in by_spark:
        rows = pq.read_table(output / table).to_pylist()
        rows = sorted(re.sub(r"\d{6}-[0-9a-f]{8}\.tar", "", str(row)) for row in rows)
        found[table] = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    for file in sorted(output.rglob("*")):
        name = str(file.relative_to(output))
        if file.is_dir() or name.split("/")[0] in by_spark:
            continue
        content = file.read_bytes()
        if file.parent.name == ".stages":
            record = json.loads(content)
            record["notes"].pop("files_read_before", None)
            of_one_try = (*by_spark, "fetched") if by_spark else ()  # Tars have a name for each try.
            record["files"] = [line for line in record["files"] if line["path"].split("/")[0] not in of_one_try]
            content = json.dumps(record | {"seconds": 0}).encode()
        if "fetched/" in name:
            name = re.sub("-[0-9a-f]{8}", "", name)
            if name.endswith(".parquet"):  # which names the tar of this try
                rows = pq.read_table(file).drop_columns("shard").to_pylist()
                content = json.dumps(rows).encode()
        listed = by_spark and name in LISTING
        found[name] = "" if name in OF_ONE_RUN or listed else hashlib.sha256(content).hexdigest()
    return found


def tree(output: Path) -> dict[str, str]:
    """The state of an output, whatever it is, without names that are made by chance."""
    found = {}
    for file in sorted(output.rglob("*")):
        name = NAMES.sub("#", str(file.relative_to(output)))
        content = file.read_bytes() if file.is_file() else b"folder"
        if file.parent.name == ".stages" or file.name in OF_ONE_RUN | {".lock"}:
            content = re.sub(rb"[0-9.]+", b"", content)
        found[name] = found.get(name, "") + hashlib.sha256(content).hexdigest()[:16]
    return found


def differs(found: dict[str, str], expected: dict[str, str], without: set[str] = frozenset()) -> str | None:
    """The first file in which an output is not what it should be."""
    names = sorted(name for name in {*found, *expected} - without if found.get(name) != expected.get(name))
    if not names:
        return None
    what = "missing" if names[0] not in found else "extra" if names[0] not in expected else "other bytes"
    return f"{names[0]}: {what} ({len(names)} in all)"
