"""Stands before the AWS command line: notes each call, fails or waits where a test asks for it, and adds what
moto lacks of EC2. Everything else is done by the real command line.

What moto lacks: the version that a change of a prefix list is about, the size of a list and its limit, that a list is
at work for a moment, who names a list, descriptions of rules that name a list, and `--dry-run` of two calls.
"""

import json
import os
import subprocess
import sys
import time

FOLDER = os.environ["STAND_IN"]
REAL = os.environ["REAL_AWS"]
CHANGES = {
    "authorize-security-group-ingress",
    "revoke-security-group-ingress",
    "update-security-group-rule-descriptions-ingress",
    "modify-managed-prefix-list",
}


def path(name):
    return os.path.join(FOLDER, name)


def load(name, otherwise):
    try:
        with open(path(name), encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return otherwise


def save(name, value):
    with open(path(name), "w", encoding="utf-8") as file:
        json.dump(value, file)


def real(arguments):
    return subprocess.run([REAL, *arguments], capture_output=True, text=True, check=False)


def asked(*arguments):
    done = real(["ec2", *arguments, "--output", "json"])
    if done.returncode:
        sys.stderr.write(done.stderr)
        sys.exit(done.returncode)
    return json.loads(done.stdout)


def error(code, operation, message):
    sys.stderr.write(f"\nAn error occurred ({code}) when calling the {operation} operation: {message}\n")
    sys.exit(254)


def option(arguments, name):
    return arguments[arguments.index(name) + 1] if name in arguments else None


def operation(command):
    return "".join(word.capitalize() for word in command.split("-"))


def described(identifier):
    lists = asked("describe-managed-prefix-lists", "--prefix-list-ids", identifier)["PrefixLists"]
    sizes = load("sizes", {})
    for one in lists:
        one["MaxEntries"] = sizes.get(one["PrefixListId"], one.get("MaxEntries"))
    return lists


def modify(arguments):
    identifier = option(arguments, "--prefix-list-id")
    found = described(identifier)[0]
    version, size = option(arguments, "--current-version"), option(arguments, "--max-entries")
    adds = json.loads(option(arguments, "--add-entries") or "[]")
    removes = json.loads(option(arguments, "--remove-entries") or "[]")
    if size is not None:
        if version or adds or removes:
            error("InvalidParameterCombination", operation(arguments[1]), "size and entries at once")
        save("sizes", {**load("sizes", {}), identifier: int(size)})
    else:
        if int(version) != found["Version"]:
            message = f"The prefix list '{identifier}' has the incorrect version number."
            error("PrefixListVersionMismatch", operation(arguments[1]), message)
        if len(adds) > 100 or len(removes) > 100:
            error("InvalidParameterValue", operation(arguments[1]), "too many entries")
        entries = asked("get-managed-prefix-list-entries", "--prefix-list-id", identifier)["Entries"]
        gone = {one["Cidr"] for one in removes}
        after = {one["Cidr"] for one in entries if one["Cidr"] not in gone} | {one["Cidr"] for one in adds}
        if len(after) > found["MaxEntries"]:
            message = "You've reached the maximum number of entries for the prefix list."
            error("PrefixListMaxEntriesExceeded", operation(arguments[1]), message)
        # moto forgets the name where none is told.
        asked(*arguments[1:], "--prefix-list-name", found["PrefixListName"])
    save("busy", {identifier: 1})
    print(json.dumps({"PrefixList": {**found, "State": "modify-in-progress"}}))


def describe_lists(arguments):
    start = arguments.index("--prefix-list-ids") + 1
    lists = []
    for identifier in arguments[start:]:
        if not identifier.startswith("pl-"):
            break
        lists.extend(described(identifier))
    busy = load("busy", {})
    for one in lists:
        if busy.get(one["PrefixListId"], 0) > 0:
            busy[one["PrefixListId"]] -= 1
            one["State"] = "modify-in-progress"
    save("busy", busy)
    print(json.dumps({"PrefixLists": lists}, indent=4))


def describe_rules(arguments):
    told = asked(*arguments[1:])
    known = load("descriptions", {})
    for one in told["SecurityGroupRules"]:
        if "PrefixListId" in one:
            key = f"{one['GroupId']} {one['FromPort']} {one['PrefixListId']}"
            if key in known:
                one["Description"] = known[key]
    print(json.dumps(told, indent=4))


def associations(arguments):
    identifier = option(arguments, "--prefix-list-id")
    rules = asked("describe-security-group-rules")["SecurityGroupRules"]
    groups = sorted({one["GroupId"] for one in rules if one.get("PrefixListId") == identifier})
    print(json.dumps({"PrefixListAssociations": [{"ResourceId": one, "ResourceOwner": "1"} for one in groups]}))


def carry_out(arguments):
    command = arguments[1]
    if command == "modify-managed-prefix-list":
        return modify(arguments)
    if command == "describe-managed-prefix-lists":
        return describe_lists(arguments)
    if command == "describe-security-group-rules":
        return describe_rules(arguments)
    if command == "get-managed-prefix-list-associations":
        return associations(arguments)
    done = real(arguments)
    if done.returncode == 0 and "--ip-permissions" in arguments:
        known = load("descriptions", {})
        for one in json.loads(option(arguments, "--ip-permissions")):
            for entry in one.get("PrefixListIds", []):
                key = f"{option(arguments, '--group-id')} {one['FromPort']} {entry['PrefixListId']}"
                known[key] = entry.get("Description", "")
        save("descriptions", known)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.returncode


def main():
    arguments = sys.argv[1:]
    command = arguments[1]
    with open(path("log"), "a", encoding="utf-8") as log:
        log.write(json.dumps(arguments) + "\n")
    wanted = load("wanted", {})
    if command in CHANGES and command in wanted.get("denied", []):
        error("UnauthorizedOperation", operation(command), "You are not authorized to perform this operation.")
    if command in wanted.get("failing", {}):
        error(wanted["failing"][command], operation(command), "as a test wants it")
    if "--dry-run" in arguments:
        if command in ("modify-managed-prefix-list", "update-security-group-rule-descriptions-ingress"):
            error("DryRunOperation", operation(command), "Request would have succeeded, but DryRun flag is set.")
        return carry_out(arguments)
    if command not in CHANGES:
        return carry_out(arguments)
    count = load("count", 0) + 1
    save("count", count)
    first, last = wanted.get("from", 0), wanted.get("to", 0)
    is_meant = first <= count <= last
    if is_meant and wanted.get("meanwhile"):
        asked(*wanted["meanwhile"])
    if is_meant and wanted.get("how") == "before":
        error("InternalError", operation(command), "before it was done")
    code = carry_out(arguments)
    if is_meant and wanted.get("how") == "after":
        error("InternalError", operation(command), "after it was done")
    if is_meant and wanted.get("how") == "hang":
        time.sleep(60)
    return code


sys.exit(main())
