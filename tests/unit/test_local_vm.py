# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What follows from a declaration of local VMs, by tables."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import shlex
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils import _local_vm as lv
from ansible_collections.windward.airflow.plugins.module_utils import _local_vm_machine
from ansible_collections.windward.airflow.plugins.module_utils._local_vm import Controller, Seen, Site, Vm
from ansible_collections.windward.airflow.plugins.module_utils._local_vm_image import image_name
from ansible_collections.windward.airflow.plugins.module_utils._local_vm_machine import Inputs, Machine

SITE = Site("10.203.0.0/24", "airflow0", "bookworm", "http://deb.debian.org/debian", "/home/o p/state")
VM = Vm("airflow-dev", "10.203.0.10", ((8080, 8080),))
ABLE = Controller("Linux", "x86_64", 1000, frozenset([*lv.TOOLS, "sudo"]))
RUNS = Seen(exists=True, running=True, forwarded=frozenset(VM.forward))


def vm(**changes: Any) -> Vm:
    return dataclasses.replace(VM, **changes)


@pytest.mark.parametrize(
    ("vms", "network", "expected"),
    [
        ([VM], SITE.network, ""),
        ([vm(name="a" * 60)], SITE.network, ""),
        ([vm(name="a" * 61)], SITE.network, "cannot be a VM's name"),
        ([vm(name="Dev")], SITE.network, "cannot be a VM's name"),
        ([vm(name="-a")], SITE.network, "cannot be a VM's name"),
        ([vm(name="a.b")], SITE.network, "cannot be a VM's name"),
        ([vm(name="../x")], SITE.network, "cannot be a VM's name"),
        ([vm(address="10.204.0.10")], SITE.network, "10.204.0.10 of airflow-dev is not an address in 10.203.0.0/24"),
        ([vm(address="10.203.0.0")], SITE.network, "taken by the network itself"),
        ([vm(address="10.203.0.1")], SITE.network, "taken by the network itself"),
        ([vm(address="10.203.0.255")], SITE.network, "taken by the network itself"),
        ([vm(forward=((0, 8080),))], SITE.network, "has 0, which is no port"),
        ([vm(forward=((8080, 65536),))], SITE.network, "has 65536, which is no port"),
        ([VM, vm(address="10.203.0.11", forward=())], SITE.network, "name airflow-dev is declared twice"),
        ([VM, vm(name="b", forward=())], SITE.network, "address 10.203.0.10 is declared twice"),
        ([VM, vm(name="b", address="10.203.0.11")], SITE.network, "host_port 8080 is declared twice"),
        ([VM], "10.203.0.0/31", "has no room"),
        ([VM], "10.203.0.5/24", "is no IPv4 network"),
        ([VM], "fd00::/64", "is no IPv4 network"),
    ],
)
def test_problems_of_a_declaration(vms: list[Vm], network: str, expected: str) -> None:
    found = "; ".join(lv.problems(vms, network))
    assert expected in found
    assert bool(found) == bool(expected)


@pytest.mark.parametrize(
    ("hostvars", "names"),
    [
        ({"airflow_local_vm": {}, "ansible_host": "10.203.0.10"}, ["h"]),
        ({"airflow_local_vm": {}, "ansible_host": "192.0.2.7"}, []),
        ({"airflow_local_vm": {}, "ansible_host": "db.example.org"}, []),
        ({"airflow_local_vm": {}}, []),
        ({"airflow_local_vm": None, "ansible_host": "10.203.0.10"}, []),
        ({"ansible_host": "10.203.0.10"}, []),
    ],
)
def test_host_is_a_local_vm_by_declaration_and_address(hostvars: dict, names: list[str]) -> None:
    assert [one.name for one in lv.declared({"h": hostvars}, SITE.network)] == names


def test_declaration_is_kept_whole() -> None:
    forward = [{"host_port": 8080, "port": 80}]
    hosts = {"h": {"airflow_local_vm": {"forward": forward}, "ansible_host": "10.203.0.10"}}
    (declared,) = lv.declared(hosts, SITE.network)
    assert declared.declaration == {"name": "h", "address": "10.203.0.10", "forward": forward}
    assert Vm.of(declared.declaration) == declared


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ""),
        ({"uid": 0, "commands": frozenset(lv.TOOLS)}, ""),
        ({"commands": frozenset(["sudo"])}, ""),
        ({"uid": 0, "no_new_privileges": True}, ""),
        ({"system": "Darwin"}, "runs Darwin, not Linux"),
        ({"architecture": "sparc64"}, "not known to run on sparc64"),
        ({"bounding": ~(1 << 21)}, "a container without CAP_SYS_ADMIN"),
        ({"bounding": 0}, "CAP_NET_ADMIN, CAP_SYS_CHROOT, CAP_SYS_ADMIN, CAP_MKNOD"),
        ({"namespace_limits": {"net": 0, "pid": 9}}, "forbids new net namespaces"),
        ({"commands": frozenset(lv.TOOLS)}, "you are not root and there is no sudo"),
        ({"no_new_privileges": True}, "may not gain privileges"),
        ({"commands": frozenset(["sudo"]), "debian": False}, "install debian-archive-keyring, iproute2, iptables,"),
        ({"debian": False}, ""),
    ],
)
def test_refusals_say_why_and_what_to_do_instead(changes: dict, expected: str) -> None:
    said = lv.refusal(dataclasses.replace(ABLE, **changes))
    assert expected in said
    assert bool(said) == bool(expected)
    assert not said or said.endswith("set its ansible_host and ansible_user in the inventory.")
    assert said.count(".") == bool(said)  # one sentence


@pytest.mark.parametrize(
    ("wanted", "seen", "steps"),
    [
        ("running", Seen(), "create start forward"),
        ("running", Seen(partial=True), "discard create start forward"),
        ("running", Seen(exists=True), "start forward"),
        ("running", Seen(exists=True, forwarded=frozenset(VM.forward)), "start forward"),
        ("running", Seen(exists=True, stale_files=frozenset(["etc/hosts"])), "configure start forward"),
        ("running", RUNS, ""),
        ("running", dataclasses.replace(RUNS, leftovers=True), ""),
        ("running", dataclasses.replace(RUNS, partial=True), "discard"),
        ("running", dataclasses.replace(RUNS, forwarded=frozenset()), "forward"),
        ("running", dataclasses.replace(RUNS, forwarded=frozenset([(8080, 8080), (1, 2)])), "forward"),
        ("running", dataclasses.replace(RUNS, stale_files=frozenset(["etc/hosts"])), "configure"),
        (
            "running",
            dataclasses.replace(RUNS, stale_files=frozenset([lv.NETWORK_FILE])),
            "stop configure start forward",
        ),
        ("running", dataclasses.replace(RUNS, outdated=True), "stop start forward"),
        ("stopped", Seen(), ""),
        ("stopped", Seen(exists=True), ""),
        ("stopped", RUNS, "stop"),
        ("absent", Seen(), ""),
        ("absent", Seen(exists=True), "remove"),
        ("absent", Seen(partial=True), "remove"),
        ("absent", Seen(leftovers=True), "remove"),
        ("absent", Seen(forwarded=frozenset(VM.forward)), "remove"),
        ("absent", RUNS, "remove"),
    ],
)
def test_plan(wanted: str, seen: Seen, steps: str) -> None:
    assert lv.plan(wanted, VM, seen) == steps.split()


STAT = "4711 (systemd) nspawn) S 1 4711 4711 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 {start} 1 2"


@pytest.mark.parametrize(
    ("pid_file", "stat", "same"),
    [
        ("4711 900\n", STAT.format(start=900), True),
        ("4711 900\n", STAT.format(start=901), False),
        ("4712 900\n", STAT.format(start=900), False),
        ("4711 900\n", STAT.format(start=900).replace(") S", ") Z"), False),
        ("4711 900\n", "", False),
        ("4711\n", STAT.format(start=900), False),
        ("", STAT.format(start=900), False),
    ],
    ids=["same", "number reused", "other number", "zombie", "gone", "half a file", "no file"],
)
def test_reused_pid_is_not_taken_for_the_vm(pid_file: str, stat: str, same: bool) -> None:
    assert lv.is_same_process(pid_file, stat) is same


def test_a_forwarder_of_before_a_reboot_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends half a second after the VM did, which may run again by then."""
    one = Machine(VM, SITE, Inputs("", "", ""))
    texts = {f"/proc/{pid}/stat": STAT.format(start=start) for pid, start in ((7, 899), (8, 900), (9, 901))}
    monkeypatch.setattr(_local_vm_machine, "read", lambda path: texts.get(str(path), ""))
    found = [(pid, 8070 + pid, VM.address, 80 + pid) for pid in (7, 8, 9, 10)]
    monkeypatch.setattr(_local_vm_machine, "forwarders", lambda: found)
    assert set(one.serving().values()) == {7, 8, 9, 10}, "nobody knows when the VM began"
    texts[str(one.pid_file)] = "4711 900\n"
    assert one.serving() == {(8078, 88): 8, (8079, 89): 9, (8080, 90): 10}


@pytest.mark.parametrize(
    ("mounts", "groups"),
    [
        (
            "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n"
            "cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,name=systemd 0 0\n"
            "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n",
            ["/sys/fs/cgroup/systemd/vm-a", "/sys/fs/cgroup/unified/vm-a"],
        ),
        ("/dev/vda / ext4 rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n", ["/sys/fs/cgroup/vm-a"]),
        ("/dev/vda / ext4 rw 0 0\n", []),
    ],
    ids=["hybrid", "unified", "none"],
)
def test_control_groups(mounts: str, groups: list[str]) -> None:
    assert lv.cgroups(mounts, "a") == groups


@pytest.mark.parametrize(("docker", "chains"), [(False, ["FORWARD"]), (True, ["FORWARD", "DOCKER-USER"])])
def test_rules_masquerade_and_accept_and_name_the_bridge(docker: bool, chains: list[str]) -> None:
    masquerade, *accept = lv.rules(SITE, docker)
    assert masquerade[:2] == ["nat", "POSTROUTING"]
    assert [rule[1] for rule in accept] == [chain for chain in chains for _direction in "io"]
    assert all("windward.airflow airflow0" in rule for rule in (masquerade, *accept))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["nameserver 192.0.2.1\nsearch a b\n"], "nameserver 192.0.2.1\nsearch a b\n"),
        (["nameserver 127.0.0.53\n", "nameserver 192.0.2.1\n"], "nameserver 192.0.2.1\n"),
        (["# nameserver 1.1.1.1\nnameserver ::1\nnameserver 2001:db8::1\n"], "nameserver 2001:db8::1\n"),
        (["nameserver fe80::1%eth0\n"], None),
        (["nameserver\nnameserver nonsense\n"], None),
        (["nameserver 127.0.0.1\n", ""], None),
    ],
)
def test_resolver_is_one_that_a_vm_can_ask(texts: list[str], expected: str | None) -> None:
    if expected is None:
        with pytest.raises(lv.LocalVmError, match="no DNS"):
            lv.resolver(*texts)
    else:
        assert lv.resolver(*texts) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HOME": "/home/o"}, "/home/o/.local/state/windward.airflow"),
        ({"HOME": "/home/o", "XDG_STATE_HOME": "/var/s"}, "/var/s/windward.airflow"),
        ({"HOME": "/home/o", "XDG_STATE_HOME": "relative"}, "/home/o/.local/state/windward.airflow"),
        ({"HOME": "/home/o", "XDG_STATE_HOME": ""}, "/home/o/.local/state/windward.airflow"),
    ],
)
def test_state_directory(environ: dict, expected: str) -> None:
    assert lv.state_dir(environ) == expected


def test_ssh_options_keep_the_users_own_files() -> None:
    words = shlex.split(lv.ssh_args("/home/o p/state"))
    assert set(words[::2]) == {"-o"}
    assert words[1] == 'UserKnownHostsFile="/home/o p/state/known_hosts" ~/.ssh/known_hosts ~/.ssh/known_hosts2'
    assert words[3] == 'IdentityFile="/home/o p/state/id_ed25519"'
    assert "IdentityFile=~/.ssh/id_rsa" in words
    assert not [word for word in words if "StrictHostKeyChecking" in word]


def test_certificates_are_told_apart_by_content() -> None:
    first, second = (base64.encodebytes(text * 40).decode() for text in (b"one", b"two"))
    pem = "-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----"
    found = lv.certificates("# A comment\n" + "\r\n".join(map(pem.format, (first, second, first))))
    assert set(found) == {hashlib.sha256(text * 40).hexdigest() for text in (b"one", b"two")}
    assert all(text.endswith("-----END CERTIFICATE-----\n") for text in found.values())


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"network": "10.9.0.0/24", "bridge": "b", "state_dir": "/s"}, True),
        ({"suite": "trixie"}, False),
        ({"mirror": "http://mirror.example.org/debian"}, False),
    ],
)
def test_image_is_named_by_what_goes_into_it(changes: dict, same: bool) -> None:
    assert (image_name(dataclasses.replace(SITE, **changes)) == image_name(SITE)) is same


def test_address_and_suite_are_read_back_from_what_was_written() -> None:
    assert lv.address_of(lv.network_file(VM, SITE)) == VM.address
    assert lv.suite_of("\n".join(SITE.sources)) == SITE.suite
    assert (lv.address_of(""), lv.suite_of("")) == ("", "")


def test_colon_in_a_path_is_no_separator() -> None:
    command = lv.nspawn(VM, dataclasses.replace(SITE, state_dir="/a:b"))
    assert r"--bind=/a\:b/cache/uv:/var/cache/airflow/uv" in command
