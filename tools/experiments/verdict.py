"""What an experiment found: a table of checks, each with what was measured and what it should be."""

from dataclasses import dataclass, field

from tools.lab.overview import table

HEAD = ("check", "measured", "expected", "result")


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the table."""

    what: str
    measured: str
    expected: str
    passed: bool

    @property
    def row(self) -> tuple[str, str, str, str]:
        return self.what, self.measured, self.expected, "pass" if self.passed else "FAIL"


@dataclass(slots=True)
class Verdict:
    """All checks of one experiment."""

    name: str
    title: str
    checks: list[Check] = field(default_factory=list)

    def check(self, what: str, measured: object, expected: str, passed: bool) -> bool:
        """Note one check; return whether it passed."""
        self.checks.append(Check(what, str(measured), expected, passed))
        return passed

    def none(self, what: str, problems: list[str]) -> bool:
        """Note a check that passes if there is nothing to complain of."""
        said = "none" if not problems else "; ".join(problems)
        return self.check(what, said, "none", not problems)

    @property
    def passed(self) -> bool:
        """Nothing failed, and something was looked at."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def rows(self) -> list[tuple[str, str, str, str]]:
        return [check.row for check in self.checks]

    def __str__(self) -> str:
        drawn = table(HEAD, self.rows)
        rule = "-" * max(map(len, drawn.splitlines()))
        head, _, body = drawn.partition("\n")
        return f"{head}\n{rule}\n{body}"

    @property
    def summary(self) -> str:
        failed = sum(not check.passed for check in self.checks)
        how = f"{failed} of {len(self.checks)} checks FAILED" if failed else f"{len(self.checks)} checks"
        return f"{self.name}: {'passed' if self.passed else 'FAILED'}, {how}"
