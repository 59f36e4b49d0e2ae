"""~/.ssh/config and known_hosts: read as OpenSSH itself reads them, which is asked each time."""

from __future__ import annotations

import getpass
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from cryowatch.publish.host_keys import KnownHosts
from cryowatch.publish.ssh_config import host_config
from tests.support.sshd import make_key

pytestmark = pytest.mark.skipif(
    shutil.which("ssh") is None or shutil.which("ssh-keygen") is None, reason="OpenSSH is not installed"
)

HOSTS = ["grafana", "Grafana-Krios", "grafana-krios", "db.example.org", "bastion", "10.1.2.3"]

CONFIGS = {
    "capitals": "Host Grafana-Krios\n HostName G.Example.ORG\n User krios\nHost grafana-krios\n User small\n",
    "comment at the end": "Host grafana # the server\n Port 2222 # its port\n User me#2\n",
    "no space before a comment": "Host grafana#1 grafana\n Port 2201\n",
    "time with a unit": "Host *\n ServerAliveInterval 1m\n ConnectTimeout 2m30s\n Port 2202\n",
    "equals signs": 'Host=grafana\n Port = 2203\n User="some one"\n HostName=10.0.0.1\n',
    "quotes": 'Host "grafana" \'bastion\'\n User "a\\"b"\n IdentityFile "/tmp/a key"\n',
    "patterns": "Host *.example.org !db.example.org\n Port 2204\nHost graf?na db*\n Port 2205\nHost [a-z]*\n Port 9\n",
    "negated": "Host * !grafana\n Port 2207\n",
    "only negated": "Host !grafana\n Port 2208\n",
    "commas are no separators": "Host grafana,bastion\n Port 2209\n",
    "first value counts": "Host grafana\n Port 2210\nHost *\n Port 2211\n User all\n",
    "options before any host": "User early\nHost grafana\n User late\n",
    "match host": "Host grafana\n HostName db.example.org\nMatch host db.example.org\n Port 2212\n",
    "match originalhost": "Host *\n HostName x.org\nMatch originalhost grafana,!bastion host x.org\n Port 2213\n",
    "match in capitals": "Match host GRAFANA*\n Port 2213\nMatch originalhost BAST?on\n Port 2214\n",
    "match user": "Host grafana\n User eve\nMatch user eve\n Port 2214\nMatch !user eve\n Port 2215\n",
    "match localuser": f"Match localuser {getpass.getuser()} host gra*\n Port 2216\n",
    "match exec": 'Match exec "test %n = grafana"\n Port 2217\nMatch !exec "true"\n User nobody\n',
    "match all": "Host other\n Port 1\nMatch all\n Port 2218\n",
    "match with a comment": "Match host grafana # this\n Port 2219\n",
    "match with equals": "Match host=grafana\n Port 2219\n",
    "match final": "Match final host real.example.org\n Port 2220\nHost grafana\n HostName real.example.org\n",
    "name from the name": "Host grafana bastion\n HostName %h.example.org\n",
    "keys": "Host *\n IdentityFile /a\n IdentityFile /b\nHost grafana\n IdentityFile /c\n CertificateFile /d\n",
    "jump": "Host grafana\n ProxyJump me@bastion:2222\n ProxyCommand nc %h %p\n",
    "command before jump": "Host grafana\n ProxyCommand nc %h # %p\n ProxyJump bastion\n",
    "no jump": "Host bastion\n ProxyJump none\nHost *\n ProxyJump bastion\n",
    "port of a service": "Host grafana\n Port http\n",
    "alias": "Host grafana\n HostKeyAlias Grafana-Key\n",
    "tabs and carriage returns": "\tHost\tgrafana\r\n\t\tPort\t2221\t\r\n",
    "words that are not for us": "Host *\n ForwardX11 yes\n LogLevel ERROR\n SendEnv LANG LC_*\n Port 2222\n",
    "include": "Host grafana\n Include {folder}/more-*.conf\nPort 2300\n",
    "include below another host": "Host bastion\n Include {folder}/more-*.conf\n",
    "include of nothing": "Include {folder}/none-*.conf\nPort 2301\n",
}

COMPARED = (
    "hostname", "port", "user", "identityfile", "certificatefile", "proxyjump", "proxycommand", "hostkeyalias",
)  # fmt: skip


def openssh(file: Path, host: str, *more: str) -> dict[str, list[str]]:
    command = ["ssh", "-F", str(file), *more, "-G", host]
    done = subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    said: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        name, _, value = line.partition(" ")
        if name in COMPARED:
            said.setdefault(name, []).append(value)
    said["identityfile"] = [name for name in said.get("identityfile", []) if not name.startswith("~/.ssh/id_")]
    return {name: values for name, values in said.items() if values and values != ["none"]}


def ours(file: Path, host: str, *, user: str = "", port: int | None = None) -> dict[str, list[str]]:
    config = host_config(file, host, user=user, port=port)
    assert config.passed_over == []
    said = {"hostname": [host.lower()], "port": [str(port or 22)], "user": [user or getpass.getuser()]}
    for name in COMPARED:
        values = [value for option in config.options if option.name.lower() == name for value in option.values]
        if values and values != ["none"]:
            said[name] = [value.lower() for value in values] if name.startswith("host") else values
    if said.get("proxyjump"):
        said["proxyjump"] = [said["proxyjump"][0].removesuffix(":22")]
    return said


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_says_of_each_host_what_ssh_says(tmp_path: Path, name: str) -> None:
    (tmp_path / "more-1.conf").write_text("Port 2302\nHost other\n User never\n")
    (tmp_path / "more-2.conf").write_text("User second\nMatch host grafana\n HostName included.org\n")
    file = tmp_path / "config"
    file.write_text(CONFIGS[name].replace("{folder}", str(tmp_path)), newline="")
    for host in HOSTS:
        assert ours(file, host) == openssh(file, host), host
        assert ours(file, host, user="me", port=99) == openssh(file, host, "-l", "me", "-p", "99"), host


def test_a_match_of_the_local_network_looks_at_this_machines_addresses(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(
        "Match localnetwork 203.0.113.0/24\n Port 1\nMatch localnetwork 203.0.113.0/24,127.0.0.0/8\n Port 2\n"
    )
    assert "lo" in psutil.net_if_addrs()
    assert ours(file, "grafana")["port"] == ["2"]


def test_files_that_include_each_other_come_to_an_end(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(f"Include {file}\nPort 7\n")
    config = host_config(file, "grafana")
    assert config.value("Port") == "7"
    assert config.passed_over == [f"{file} line 1: cannot be followed: too many files include one another"]


KNOWN = [
    "grafana {a}",
    "Grafana-Krios {a}",
    "[grafana]:2222 {b}",
    "[Grafana]:2223 {b}",
    "*.example.org,!db.example.org {a}",
    "10.1.2.* {b}",
    "[10.1.2.?]:2222 {a}",
    "gra[f]ana {b}",
    "10.1.0.0/16 {b}",
    "@cert-authority *.example.org {a}",
    "@revoked GRAFANA {b}",
    "@revoked [gra*]:2222 {a}",
    "@revoked bast?on\t{a}",
    "  bastion {b}",
    "# grafana {b}",
    "x.org,Bastion,y.org {a}",
    "@odd grafana {a}",
]
NAMES = ["grafana", "Grafana", "Grafana-Krios", "bastion", "db.example.org", "web.example.org", "10.1.2.3", "x.org"]


@pytest.mark.parametrize("hashed", [False, True])
def test_a_known_hosts_file_says_of_each_host_what_ssh_keygen_says(tmp_path: Path, *, hashed: bool) -> None:
    a, b = (make_key(tmp_path / name) for name in "ab")
    public = {key.name: " ".join(key.with_suffix(".pub").read_text().split()[:2]) for key in (a, b)}
    file = tmp_path / "known_hosts"
    file.write_text("".join(f"{line.format(**public)}\n" for line in KNOWN if "@odd" not in line or not hashed))
    if hashed:
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=False, capture_output=True)
    hosts = KnownHosts(file.read_text())
    found = 0
    for host in NAMES:
        for port in (22, 2222, 2223):
            name = host.lower() if port == 22 else f"[{host.lower()}]:{port}"
            done = subprocess.run(
                ["ssh-keygen", "-F", name, "-f", str(file)], check=False, capture_output=True, text=True
            )
            lines = [line for line in done.stdout.splitlines() if line and not line.startswith("#")]
            keys = hosts._find(name)
            said = len(keys.trusted) + len(keys.authorities) + len(keys.revoked)
            assert said == len(lines), (name, lines)
            assert len(keys.revoked) == sum(line.startswith("@revoked") for line in lines), name
            found += said
    assert found > 15
