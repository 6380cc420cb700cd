#!/usr/bin/env python3
"""Writes the template as MiniStack can deploy it: deployable.py CODE KEY_SET OUTPUT [SID]

CODE is the folder in which `sam build` has left a package for each function, or a program (`local`) that is each of them on
demand and goes into one archive beside OUTPUT. KEY_SET is what tokens are verified with. The statement SID is left out, to
see that it is needed.
"""

import pathlib
import platform
import re
import sys
import zipfile

# The operation is the function's logical id, which stands in its name: stack-CreateExportJob-1A2B3C.
BOOTSTRAP = """#!/bin/sh
id=$(echo "$AWS_LAMBDA_FUNCTION_NAME" | sed -E 's/.*-([A-Za-z]+)-[^-]*$/\\1/; s/([a-z])([A-Z])/\\1_\\2/g' | tr A-Z a-z)
exec "$(dirname "$0")/program" function "$id"
"""

# What MiniStack 1.5.33 takes otherwise than AWS.
OTHERWISE = [
    # Numbers of parameters stay texts, with which it cannot compare.
    ("MaximumConcurrency: !Ref WorkerConcurrency", "MaximumConcurrency: 4"),
    # Nobody waits a quarter of an hour for a message to fail five times.
    ("VisibilityTimeout: 1080", "VisibilityTimeout: 2"),
    # It enforces the policies, and is asked without TLS.
    ('"aws:SecureTransport": "false"', '"aws:SecureTransport": "never"'),
    # AWS has one action for single calls and batches.
    ("sqs:SendMessage]", "sqs:SendMessage, sqs:SendMessageBatch]"),
]


def parameter(text, name, value):
    """The template with another default."""
    changed, times = re.subn(rf"(?m)^(  {name}:\n    Type: \w+\n    Default: ).*$", lambda it: it[1] + value, text)
    assert times == 1, name
    return changed


def archived(program, archive):
    """The program as any function, in an archive that is made once."""
    if not archive.exists():
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
            file.write(program, "program")
            bootstrap = zipfile.ZipInfo("bootstrap")
            bootstrap.external_attr = 0o100755 << 16
            file.writestr(bootstrap, BOOTSTRAP)
    return archive


code, key_set, output = map(pathlib.Path, sys.argv[1:4])
package = rf"{code.resolve()}/\2" if code.is_dir() else archived(code, output.with_suffix(".zip"))
text = pathlib.Path("infra/template.yaml").read_text().replace("    CodeUri: ../\n", "")
functions = text.count("Type: AWS::Serverless::Function\n")
function = r"(  (\w+):\n    Type: AWS::Serverless::Function\n)    Metadata: \{ BuildMethod: .*\n(    Properties:\n)"
text, times = re.subn(function, rf"\1\3      CodeUri: {package}\n", text)
assert times == functions, times
for ours, theirs in OTHERWISE:
    assert ours in text, ours
    text = text.replace(ours, theirs)
text = parameter(text, "Architecture", {"aarch64": "arm64"}.get(platform.machine(), platform.machine()))
text = parameter(text, "Auth", "jwks")
text = parameter(text, "AuthJwks", f"'{key_set.read_text().strip()}'")
# Parts small enough to see several at work.
text = parameter(text, "PartTargetBytes", "1048576")
for sid in sys.argv[4:]:
    text, times = re.subn(rf"(?m)^( +)- Sid: {sid}\n(?:\1  .*\n)+", "", text)
    assert times == 1, sid
output.write_text(text)
