"""A report made by a script that imports nothing of ours passes, under both algorithms and without a kid."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from typer.testing import CliRunner

from byleave.cli.report import app


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jws(payload: bytes, key: Any, header: dict[str, str]) -> str:
    signed = f"{b64(json.dumps(header).encode())}.{b64(payload)}"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return f"{signed}.{b64(key.sign(signed.encode()))}"
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{b64(r.to_bytes(32) + s.to_bytes(32))}"


def es256() -> tuple[Any, dict[str, str]]:
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_numbers()
    return key, {"kty": "EC", "crv": "P-256", "x": b64(point.x.to_bytes(32)), "y": b64(point.y.to_bytes(32))}


def eddsa() -> tuple[Any, dict[str, str]]:
    key = ed25519.Ed25519PrivateKey.generate()
    return key, {"kty": "OKP", "crv": "Ed25519", "x": b64(key.public_key().public_bytes_raw())}


@pytest.mark.parametrize(("make", "alg"), [(es256, "ES256"), (eddsa, "EdDSA"), (eddsa, "Ed25519")])
def test_a_strangers_report(tmp_path: Path, make: Any, alg: str) -> None:
    key, jwk = make()
    agreement = {
        "schema": "byleave.agreement/1", "id": "a-1", "version": 3,
        "partner": {"id": "p", "name": "P", "jwks": {"keys": [jwk]}},
        "report": {"anchor": "2026-01-05", "valid_from": "2026-01-05", "valid_to": None, "grace_days": 3,
                   "suspend_days": 7, "dimensions": {"interface": ["tv"], "surface": ["s1", "s2"],
                                                     "variant": ["x-off_platform", "x-on_platform"]}},
    }  # fmt: skip
    rng, rows = random.Random(5), []
    for d in range(14):
        for s in ("s1", "s2"):
            for v in ("x-off_platform", "x-on_platform"):
                n = rng.randint(20, 90)
                c = sum(rng.random() < 0.2 for _ in range(n))
                rows.append(
                    [str(date(2026, 1, 5) + timedelta(days=d)), "tv", s, v, n, c, c + rng.randint(0, 3)]
                )
    header = "day,interface,surface,variant,sends,recipient_clicks,clicks_total\n"
    body = header + "".join(",".join(map(str, row)) + "\n" for row in rows)
    manifest = {
        "schema": "byleave.partner-report/1", "report_id": "019c0000-0000-7abc-8def-000000000001",
        "partner_id": "p", "agreement_id": "a-1", "sequence": 1, "revision": 0, "supersedes": None,
        "period_start": "2026-01-05", "period_end": "2026-01-18", "timezone": "UTC",
        "generated_at": "2026-01-20T00:00:00Z", "click_cutoff": "2026-01-19T00:00:00Z",
        "dimensions_version": 3, "bot_filter_version": "b1", "row_count": len(rows),
        "totals": dict(zip(("sends", "recipient_clicks", "clicks_total"),
                           (sum(row[i] for row in rows) for i in (4, 5, 6)), strict=True)),
        "exceptions": [{"code": "outage", "from": "2026-01-07T10:00:00Z", "to": "2026-01-07T11:00:00Z",
                        "cells": ["tv/s1/x-on_platform"], "note": "Größere Wartung"}],
        "content_sha256": hashlib.sha256(body.encode()).hexdigest(), "preparer": "Zoë",
    }  # fmt: skip
    payload = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    manifest["signature"] = jws(payload, key, {"alg": alg})
    (tmp_path / "agreement.json").write_text(json.dumps(agreement))
    (tmp_path / "one.csv").write_text(body)
    (tmp_path / "one.manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "past").mkdir()
    arguments = ["check", tmp_path / "one.csv", "--agreement", tmp_path / "agreement.json",
                 "--history", tmp_path / "past", "--at", "2026-01-20T08:00:00Z", "--json"]  # fmt: skip
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    answer = json.loads(result.stdout)
    assert answer["violations"] == [] and answer["warnings"] == [] and answer["unchecked"] == []
    assert result.exit_code == 0 and answer["ok"]
