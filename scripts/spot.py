"""Runs pgspot over SQL scripts, and holds what it finds against a list of what is allowed.

usage: spot.py ALLOWED FILE...

A line of ALLOWED is a code of pgspot, a regular expression for the rest of what it says, and after " # " the reason.
What no line allows is a finding. So is a line that allows nothing any more.
"""

import argparse
import re
import sys

from pglast.parser import ParseError
from pgspot.codes import codes
from pgspot.state import Counter, State
from pgspot.visitors import SQLVisitor, parse_sql


class Findings(Counter):
    """Keeps what is found, as lines."""

    def __init__(self):
        super().__init__(
            argparse.Namespace(ignore=[], ignore_lang=[], sql_fn=[], proc_without_search_path=[], plpgsql=True, summary_only=False)
        )
        self.lines = []
        self.not_read = 0

    def print_issue(self, code, context):
        self.lines.append(f"{code} {context} (line {self.line_number()}: {codes[code]['title']})")

    def unknown(self, message):
        self.lines.append(f"UNKNOWN {message} (line {self.line_number()})")


class Script(SQLVisitor):
    """pgspot's own visitor stumbles over functions whose body is no text (RETURN, BEGIN ATOMIC)."""

    def visit_CreateFunctionStmt(self, ancestors, node):
        if node.sql_body is None:
            try:
                super().visit_CreateFunctionStmt(ancestors, node)
            except ParseError:
                # Its PL/pgSQL parser knows no composite types ("pass.over" is not a known variable). By then the head
                # has been looked at; with a safe search path, nothing that is not qualified in the body can do harm.
                self.state.counter.not_read += 1
        # else: what the body names is resolved when the function is made, as in any statement of the script. The visitor
        # goes on into the body by itself, with the search path of the script.


def read_allowed(path):
    with open(path, encoding="utf8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                rule, reason = line.rstrip("\n").split(" # ", 1)
                code, pattern = rule.split(" ", 1)
                yield code, re.compile(pattern.strip()), reason


def look_through(path):
    findings = Findings()
    with open(path, encoding="utf8") as file:
        findings.sql = file.read()
    visitor = Script(State(findings))
    statements = parse_sql(findings.sql)
    for statement in statements:
        findings.stmt_location = statement.stmt_location
        visitor(statement)
    return findings, len(statements)


def main(allowed_path, *paths):
    allowed = list(read_allowed(allowed_path))
    used, bad, seen, not_read = set(), [], 0, 0
    for path in paths:
        findings, count = look_through(path)
        seen += count
        not_read += findings.not_read
        for line in findings.lines:
            code, said = line.split(" ", 1)
            rules = [n for n, (known, pattern, _) in enumerate(allowed) if known == code and pattern.match(said)]
            used.update(rules)
            if not rules:
                bad.append(f"{path}: {line}")
    bad += [f"{allowed_path}: nothing is found that {code} {rule.pattern} allows" for n, (code, rule, _) in enumerate(allowed) if n not in used]
    print("\n".join(bad + [f"pgspot: {seen} statements ({not_read} bodies that it cannot read), {len(bad)} findings that are not allowed"]))
    return 1 if bad or not seen else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
