"""How the messages come about that the page *Troubleshooting* quotes, on a machine that is set up."""

from __future__ import annotations

AS_SERVICE = "sudo -Hu scipion"
INIT = "cryowatch influx init --ca-file tls/ca-cert.pem"
PAGES = "https://cryo.example.org:8420"

CAUSES: tuple[tuple[str, str], ...] = (
    (
        "others can reach this address, and there are no accounts",
        f"{AS_SERVICE} cryowatch watch --listen 0.0.0.0:8430 --data-dir /tmp/nobody /data/projects",
    ),
    (
        "others can reach this address, and there is no TLS",
        (
            f"echo 'a long password' | {AS_SERVICE} cryowatch accounts add ada --data-dir /tmp/ada --password-file -;"
            f" {AS_SERVICE} cryowatch watch --listen 0.0.0.0:8430 --data-dir /tmp/ada /data/projects"
        ),
    ),
    (
        "…: cannot be read: Permission denied",
        (
            "sudo -Hu scipionbox cryowatch watch --config /etc/cryowatch/cryowatch.toml --data-dir /tmp/box"
            " --listen 127.0.0.1:8431 /data/projects"
        ),
    ),
    ("belongs to the service cryowatch, and this user may not read it", "sudo -Hu grafana cryowatch status"),
    (
        "another cryowatch (process …) works with this data directory",
        (
            f"{AS_SERVICE} cryowatch watch --config /etc/cryowatch/cryowatch.toml --data-dir /var/lib/cryowatch"
            " /data/projects"
        ),
    ),
    (
        "cannot listen there: Address already in use",
        f"{AS_SERVICE} cryowatch watch --listen 127.0.0.1:8420 --data-dir /tmp/second /data/projects",
    ),
    ("there is no such account on this machine", "cryowatch service install --run-as nobody-here /data/projects"),
    (
        "this server does not go by that name",
        f"curl --silent --cacert /etc/cryowatch/ca-cert.pem --header 'Host: other.example.org' {PAGES}/",
    ),
    (
        "No account has this name and this password.",
        (
            f"curl --silent --cacert /etc/cryowatch/ca-cert.pem --header 'Origin: {PAGES}' --data name=ada"
            f" --data password=another {PAGES}/login"
        ),
    ),
    ("cannot be reached: Connection refused", f"{INIT} --out passwords --url https://cryo.example.org:9"),
    ("does not speak TLS", f"{INIT} --out passwords --url https://cryo.example.org:22"),
    ("is served over https", f"{INIT} --out passwords --url http://cryo.example.org:8086"),
    ("its certificate cannot be verified", "cryowatch influx init --out passwords --url https://cryo.example.org:8086"),
    ("the server asks for a password", f"{INIT} --out /tmp/none --url https://cryo.example.org:8086 < /dev/null"),
    (
        "refuses the password of admin",
        f"{INIT} --password-file passwords/scipion_writer.password --url https://cryo.example.org:8086",
    ),
    (
        "its host key is not known yet",
        f"{AS_SERVICE} env CRYOWATCH_IMAGES__KNOWN_HOSTS=/tmp/no-hosts cryowatch images check",
    ),
    (
        "shows another host key than … holds",
        (
            "ssh-keygen -q -t ed25519 -N '' -f /tmp/other; sed 's/^/cryo.example.org /' /tmp/other.pub > /tmp/hosts;"
            f" {AS_SERVICE} env CRYOWATCH_IMAGES__KNOWN_HOSTS=/tmp/hosts cryowatch images check"
        ),
    ),
    (
        "does not let us in with",
        (
            "ssh-keygen -q -t ed25519 -N '' -f /tmp/stranger; chown scipion /tmp/stranger;"
            f" {AS_SERVICE} env CRYOWATCH_IMAGES__KEY_FILE=/tmp/stranger cryowatch images check"
        ),
    ),
    (
        "images are not published anywhere",
        f"touch /tmp/empty.toml; {AS_SERVICE} cryowatch images check --config /tmp/empty.toml",
    ),
    ("refuses the account", f"{AS_SERVICE} env CRYOWATCH_MAIL__USERNAME=nobody cryowatch alerts test"),
)

ELSEWHERE = {
    "lies on a network file system (…), where a database cannot be kept safely": "src/cryowatch/store/lock.py",
    "leads to what the project's owner may not read": "src/cryowatch/system/reach.py",
    "has no administrator yet": "src/cryowatch/influx/setup.py",
}
"""Messages that need another machine, and where they are made."""

FOREIGN = ("sudo: cryowatch: command not found",)
"""Messages of other programs."""
