"""Who can reach the pages, under which names, and what protects them: accounts, TLS, and the files that both need."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509

from cryowatch.access import accounts, key, logins, shares
from cryowatch.access.accounts import Account, Accounts
from cryowatch.access.role import Role
from cryowatch.doctor.certificates import lasting
from cryowatch.doctor.finding import Finding, absent, bad, look, well
from cryowatch.errors import CryowatchError
from cryowatch.settings.config import Settings
from cryowatch.settings.web import Exposure, exposure_of, host_of, refuse_unprotected
from cryowatch.web.border import Names
from cryowatch.web.server import Identity

_FILES = (accounts.FILE_NAME, logins.FILE_NAME, shares.FILE_NAME, key.NAME)


def protection(chosen: Settings) -> Iterator[Finding]:
    """Look whether what others can reach is protected, as the agent asks for when it starts."""
    try:
        exposure = exposure_of(chosen.web)
    except CryowatchError as error:
        yield bad("pages, TLS", error)
        return
    try:
        found = Accounts(chosen.data_dir).listed()
    except CryowatchError as error:
        yield bad("accounts", error)
    else:
        yield _open(chosen, exposure, found)
        yield _accounts(found)
    yield from _files(chosen.data_dir)
    if chosen.web.certificate is not None and chosen.web.key is not None:
        yield from _certificate(Identity(chosen.web.certificate, chosen.web.key))
    elif exposure.proxied:
        yield absent("pages, TLS", "is the reverse proxy's matter")
    else:
        yield absent("pages, TLS", "the pages are served without it")
    yield from _names(chosen)


def _open(chosen: Settings, exposure: Exposure, found: Sequence[Account]) -> Finding:
    """Return who can reach the pages, and what they find there."""
    what = "pages, protection"
    lacking = " and ".join(exposure.lacks(accounts=bool(found)))
    try:
        refuse_unprotected(chosen.web, exposure, accounts=bool(found))
    except CryowatchError as error:
        return bad(what, f"the agent will not start: {error}")
    if lacking:
        means = "`cryowatch accounts add NAME` and `cryowatch tls create` make what is missing"
        return look(what, f"{chosen.web.listen}: others can reach it, with {lacking}, as web.insecure says. {means}")
    whom = "this machine alone" if exposure.local and not exposure.proxied else "others"
    return well(what, f"reached by {whom}, {'after a login' if found else 'without a login'}")


def _accounts(found: Sequence[Account]) -> Finding:
    what = "accounts"
    if not found:
        return absent(what, "there are none")
    operators = [one.name for one in found if one.role is Role.OPERATOR]
    if not operators:
        remedy = f"`cryowatch accounts role {found[0].name} operator` lets one"
        return look(what, f"{len(found)}, of which none may see to alerts or share sessions. {remedy}")
    return well(what, f"{len(found)}, of which {len(operators)} may see to alerts and share sessions")


def _files(folder: Path) -> Iterator[Finding]:
    """Look whether others may read or change what says who may log in, and whether the agent may."""
    for path in (folder / name for name in _FILES):
        try:
            state = path.stat()
            owner = folder.stat().st_uid
        except FileNotFoundError:
            continue
        except OSError as error:
            yield bad("accounts", f"{path}: cannot be looked at: {error.strerror}. Check the owner of the folder")
            continue
        if state.st_mode & 0o077:
            read = " It may have been copied: delete it, and all share links end; or" if path.name == key.NAME else ""
            yield bad("accounts", f"{path}: others on this machine may read or change it.{read} chmod 600 {path}")
        if state.st_uid != owner:
            yield bad("accounts", f"{path}: belongs to another user than {folder}. chown --reference={folder} {path}")


def _certificate(identity: Identity) -> Iterator[Finding]:
    what = "pages, TLS"
    try:
        identity.load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        shown = x509.load_pem_x509_certificate(identity.certificate.read_bytes())
    except CryowatchError as error:
        yield bad(what, error)
        return
    yield lasting(what, str(identity.certificate), shown)
    if identity.key.stat().st_mode & 0o007:
        yield bad(what, f"{identity.key}: everybody on this machine may read this key. chmod o= {identity.key}")


def _names(chosen: Settings) -> Iterator[Finding]:
    """Look whether the names that readers will use are answered, and stand in the certificate."""
    what = "pages, names"
    web = chosen.web
    known = Names((host_of(web.listen), *web.hosts, socket.getfqdn()), url=web.url)
    certified = _certified(web.certificate)
    strange = sorted(name for name in certified if not name.startswith("*") and not known.goes_by(name))
    if strange:
        listed = ", ".join(f'"{name}"' for name in (*web.hosts, *strange))
        yield look(what, f"{', '.join(strange)}: the certificate names it, and it is refused. web.hosts = [{listed}]")
    host = (urlsplit(web.url).hostname or "").lower()
    if certified and host and not any(_covers(name, host) for name in certified):
        yield look(what, f"{host}: is what web.url names, and not in {web.certificate}. Make one with this name")
    if web.proxies and not web.url and not web.hosts:
        yield look(what, "the name under which the reverse proxy is reached is not known. Set web.url")


def _certified(certificate: Path | None) -> set[str]:
    """Return the names and addresses that a certificate is for; none where it cannot be read."""
    if certificate is None or not os.access(certificate, os.R_OK):
        return set()
    try:
        shown = x509.load_pem_x509_certificate(certificate.read_bytes())
        said = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return set()
    addresses = {str(address) for address in said.get_values_for_type(x509.IPAddress)}
    return addresses | {name.lower() for name in said.get_values_for_type(x509.DNSName)}


def _covers(name: str, host: str) -> bool:
    return name == host or (name.startswith("*.") and host.partition(".")[2] == name[2:])
