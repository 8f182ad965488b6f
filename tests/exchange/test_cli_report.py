"""`byleave report` as a partner's developer runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from byleave.cli.report import app

AT = ["--at", "2027-03-01T00:00:00Z"]


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path, desk: Any) -> Path:
    (tmp_path / "agreement.json").write_text(json.dumps(desk.agreement))
    key = tmp_path / "key.json"
    key.write_text(json.dumps(desk.key.to_private()))
    key.chmod(0o600)
    return tmp_path


def put(folder: Path, name: str, parcel: Any) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.{parcel.form}"
    file.write_bytes(parcel.rows)
    if parcel.manifest is not None:
        (folder / f"{name}.manifest.json").write_bytes(parcel.manifest)
    return file


def test_check_answers_one_object(folder: Path, desk: Any) -> None:
    file = put(folder, "r", desk.csv())
    result = run("check", file, "--agreement", folder / "agreement.json", "--json", *AT)
    answer = json.loads(result.stdout)
    assert result.exit_code == 0 and answer["ok"] is True
    assert answer["violations"] == answer["warnings"] == []
    file.write_bytes(file.read_bytes().replace(b"2026-11-03,tv", b"2026-11-3,tv", 1))
    result = run("check", file, "--agreement", folder / "agreement.json", "--json", *AT)
    answer = json.loads(result.stdout)
    assert result.exit_code == 1 and answer["ok"] is False
    assert [(v["rule"], v["row"], v["column"]) for v in answer["violations"]] == [("V1", 5, "day")]
    assert set(answer["violations"][0]) == {"rule", "row", "column", "message"}
    shown = run("check", file, "--agreement", folder / "agreement.json", *AT)
    assert shown.exit_code == 1 and "1 violation" in shown.stdout


def test_a_history_of_mixed_forms(folder: Path, desk: Any) -> None:
    past = folder / "past"
    put(past, "a", desk.csv())
    put(past, "a-again", desk.report().parcel("json"))
    put(past, "b", desk.report(2).parcel("parquet"))
    (past / "agreement.json").write_text(json.dumps(desk.agreement))
    (past / "notes.txt").write_text("not a report")
    third = put(folder, "c", desk.csv(period=3))
    options = ["--agreement", folder / "agreement.json", "--history", past, "--json", *AT]
    answer = json.loads(run("check", third, *options).stdout)
    assert answer["ok"] and answer["unchecked"] == []
    fourth = put(folder, "d", desk.csv(period=4))
    answer = json.loads(run("check", fourth, *options).stdout)
    assert [(v["rule"], v["column"]) for v in answer["violations"]] == [("V2", "sequence")]
    # The judged file may lie in the folder, broken or not, accepted before or not.
    assert json.loads(run("check", past / "a.csv", *options).stdout)["known"] is True
    inside = put(past, "c", desk.csv(period=3))
    assert json.loads(run("check", inside, *options).stdout)["ok"] is True
    inside.write_bytes(inside.read_bytes() + b"x")
    assert json.loads(run("check", inside, *options).stdout)["ok"] is False
    result = run("check", third, *options)
    assert result.exit_code == 2 and result.stdout == "" and "c.csv" in result.stderr


def test_build_makes_what_check_accepts(folder: Path, desk: Any) -> None:
    events = [
        {
            "kind": kind,
            "day": "2026-11-05",
            "interface": "tv",
            "surface": "detail",
            "variant": "card-on_platform",
            "count": n,
        }
        for kind, n in (("send", 9), ("recipient_click", 4), ("click", 2), ("send", 1))
    ]
    lines = folder / "events.jsonl"
    lines.write_text("".join(json.dumps(event) + "\n" for event in events))
    for form in ("csv", "json", "parquet"):
        out = folder / f"out.{form}"
        options = ["--agreement", folder / "agreement.json", "--json", *AT]
        made = run("build", lines, *options, "--key", folder / "key.json", "--sequence", 1, "--out", out)
        assert made.exit_code == 0, made.stderr
        assert json.loads(made.stdout)["totals"] == {"sends": 10, "recipient_clicks": 4, "clicks_total": 6}
        assert json.loads(run("check", out, *options).stdout)["ok"] is True
    early = run(
        "build",
        lines,
        "--agreement",
        folder / "agreement.json",
        "--key",
        folder / "key.json",
        "--sequence",
        1,
        "--out",
        out,
        "--at",
        "2026-11-16T12:00:00Z",
    )
    assert early.exit_code == 2 and "2026-11-17T00:00:00Z" in early.stderr.replace("\n", "")


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"kind": "send"}',
        "1e400",
        '{"kind": [], "day": 1, "interface": 2, "surface": 3, "variant": 4}',
    ],
)
def test_a_wrong_event_is_refused_with_its_line(folder: Path, line: str) -> None:
    (folder / "events.jsonl").write_text(line)
    result = run(
        "build",
        folder / "events.jsonl",
        "--agreement",
        folder / "agreement.json",
        "--key",
        folder / "key.json",
        "--sequence",
        1,
        "--out",
        folder / "o.csv",
        *AT,
    )
    assert result.exit_code == 2 and "line 1" in result.stderr
    assert not (folder / "o.csv").exists()


def test_what_cannot_be_judged_says_why_in_one_line(folder: Path, desk: Any) -> None:
    file = put(folder, "r", desk.csv())
    for arguments in (
        ("check", folder / "none.csv"),
        ("check", folder),
        ("check", file, "--at", "yesterday"),
        ("check", file, "--agreement", file),
        ("check", file, "--history", file),
        ("reconcile", file, file),
    ):
        result = run(*arguments, "--json")
        assert result.exit_code == 2 and result.stdout == ""
        assert result.stderr.count("\n") == 1 and "Traceback" not in result.stderr


def test_hostile_text_reaches_the_screen_as_text(folder: Path, desk: Any) -> None:
    file = put(folder, "r", desk.csv(edit=lambda d: d.replace(b"tv", b"[red]\x1b[2J", 1)))
    result = run("check", file, *AT)
    assert result.exit_code == 1 and "\x1b[2J" not in result.stdout
