"""Who vouches for a mail's author: the provider that is named, in its topmost field, for the very domain."""

from __future__ import annotations

from pathlib import Path

import pytest

from byleave.model import Authentication, Record
from byleave.sources import Options
from byleave.sources.aligned import aligned
from byleave.sources.archive import Export
from byleave.sources.mail import MailImporter

MX, DOMAIN = "mx.provider.example", "friends.example"
GOOD = f"{MX}; dmarc=pass (p=REJECT sp=NONE dis=NONE) header.from={DOMAIN}; spf=pass smtp.mailfrom=bounce.example"


@pytest.mark.parametrize("field", [
    GOOD,
    f'"{MX}" 1; dmarc=pass header.from={DOMAIN}',
    f"{MX.upper()}; DKIM=Pass header.d={DOMAIN.upper()} header.s=a header.b=\"x/y+\"",
    f"{MX}; dkim=pass reason=\"good; signature\" header.i=@{DOMAIN}",
    f"{MX} (over (nested) there); dkim=fail header.d=x.example; dkim=pass header.d={DOMAIN}",
])  # fmt: skip
def test_aligned(field: str) -> None:
    assert aligned([field], MX, DOMAIN)


@pytest.mark.parametrize("field", [
    f"other.example; dmarc=pass header.from={DOMAIN}",
    f"{MX}.evil.example; dmarc=pass header.from={DOMAIN}",
    f"({MX}); dmarc=pass header.from={DOMAIN}",
    f"{MX}; dmarc=pass header.from=other.example",
    f"{MX}; dmarc=pass header.from=x.{DOMAIN}",
    f"{MX}; dmarc=fail header.from={DOMAIN}; dkim=pass header.d={DOMAIN}",
    f"{MX}; dmarc=pass header.from={DOMAIN}; dmarc=fail header.from={DOMAIN}",
    f"{MX}; dmarc=pass (header.from={DOMAIN})",
    f"{MX}; dmarc=pass header.from={DOMAIN} header.from=other.example",
    f"{MX}; spf=pass smtp.mailfrom={DOMAIN}",
    f"{MX}; dkim=pass header.d=list.example",
    f"{MX}; none",
    f"{MX}; dmarc=pass header.from={DOMAIN} (never closed",
    f'{MX}; dmarc=pass header.from="{DOMAIN}',
    f"{MX}; x=\"a\"; dmarc=pass header.from={DOMAIN}",
    MX,
    "",
])  # fmt: skip
def test_claimed(field: str) -> None:
    assert not aligned([field], MX, DOMAIN)


def test_only_the_topmost_of_that_id() -> None:
    forged = f"{MX}; dmarc=pass header.from={DOMAIN}"
    true = f"{MX}; dmarc=fail header.from={DOMAIN}"
    assert not aligned([true, forged], MX, DOMAIN)
    assert aligned(["relay.example; dmarc=fail header.from=x.example", forged], MX, DOMAIN)
    assert not aligned([f"{MX} (; {true}", forged], MX, DOMAIN), "unreadable, and perhaps the provider's"
    assert not aligned([forged], MX, "")


def read(folder: Path, text: str, authserv_id: str | None) -> Record:
    path = folder / "one.eml"
    path.write_text(text)
    items = MailImporter().read(Export(path), Options(authserv_id=authserv_id))
    [record] = [item for item in items if isinstance(item, Record)]
    return record


HEAD = (
    "Date: Fri, 11 Sep 2026 10:00:00 +0000\nSubject: Harbour\nMessage-ID: <a@friends.example>\n\nShall we?\n"
)


def test_a_mail(tmp_path: Path) -> None:
    mail = (
        f"Authentication-Results: {MX};\n dmarc=pass header.from={DOMAIN}\nFrom: Ann <ann@{DOMAIN}>\n{HEAD}"
    )
    assert read(tmp_path, mail, MX).authentication is Authentication.ALIGNED
    assert read(tmp_path, mail, None).authentication is Authentication.CLAIMED
    assert read(tmp_path, mail, "other.example").authentication is Authentication.CLAIMED
    two = mail.replace("From: Ann", "From: Bob <bob@other.example>\nFrom: Ann")
    assert read(tmp_path, two, MX).authentication is Authentication.CLAIMED
    both = mail.replace(f"From: Ann <ann@{DOMAIN}>", f"From: Ann <ann@{DOMAIN}>, Bob <bob@other.example>")
    assert read(tmp_path, both, MX).authentication is Authentication.CLAIMED
