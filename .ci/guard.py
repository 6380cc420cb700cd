#!/usr/bin/env python3
"""Checks a CloudFormation template against a file of cfn-guard's rules: guard.py TEMPLATE RULES"""

import json
import pathlib
import re
import sys

from cfn_guard_rs.cfn_guard_rs import run_checks_rs
from cfnlint.decode import cfn_yaml

template, rules = map(pathlib.Path, sys.argv[1:])
# cfn-lint's reader writes short tags out, so that rules see Fn::If and not its argument.
data = json.dumps(cfn_yaml.loads(template.read_text()), default=str)
report = run_checks_rs(data, rules.read_text(), False)
named = set(re.findall(r"(?m)^rule (\w+)", rules.read_text()))
try:
    held = set(json.loads(report)["compliant"])
except ValueError:  # a long report comes cut, and only what is broken makes it long
    held = set()
# A rule that applies to nothing is as bad as one that is broken.
if held != named:
    print("not held:", ", ".join(sorted(named - held)) if held else "at least one rule; the clauses:")
    print("\n".join(re.findall(r'"error_message": "((?:[^"\\]|\\.)+)"', report)))
    sys.exit(1)
print(f"{len(held)} rules hold")
