"""mbox, .eml, Maildir and Takeout as they are found on disk; broken and hostile files."""

from __future__ import annotations

import gzip
import mailbox
import random
import zipfile
from email.message import Message
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.errors import Code, Refused
from byleave.model import Conversation, Quality, Record
from byleave.sources import Options, mail
from byleave.sources.archive import Export
from byleave.sources.mail import MailImporter


def read(path: Path, zone: str = "UTC") -> list[Record]:
    return read_all(path, zone)[0]


def read_all(path: Path, zone: str = "UTC") -> tuple[list[Record], MailImporter]:
    importer = MailImporter()
    records: list[Record] = []
    opened: set[str] = set()
    for item in importer.read(Export(path), Options(zone=zone)):
        if isinstance(item, Conversation):
            assert item.source == "mail" and item.key not in opened
            opened.add(item.key)
        else:
            assert item.conversation in opened
            records.append(item)
    return records, importer


def letter(id: str = "1", body: str = "Hello\n", subject: str = "Film", **more: str) -> str:
    fields = {
        "From": "Ann Example <Ann@Example.test>",
        "To": "bob@example.test",
        "Date": "Mon, 3 Jan 2022 10:00:00 +0100",
        "Subject": subject,
        "Message-ID": f"<{id}@example.test>",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value) + "\n" + body


def mbox(path: Path, *mails: str, line: str = "From ann@example.test Mon Jan  3 09:00:00 2022") -> Path:
    path.write_bytes("".join(f"{line}\n{text}\n" for text in mails).encode())
    return path


# --- mbox


FROM_LINES = [
    "From ann@example.test Mon Jan  3 09:00:00 2022",
    "From ann@example.test  Mon Jan 3 09:00 2022",
    "From - Mon Jan 03 09:00:00 2022",
    "From ann at example.test  Mon Jan  3 09:00:00 2022",
    "From 1721@xxx Mon Jan 03 09:00:00 +0000 2022",
    "From MAILER-DAEMON Mon Jan  3 09:00:00 2022 +0000",
    "From ann@example.test Mon, 3 Jan 2022 09:00:00 +0000",
    "From ann@example.test Mon Jan  3 09:00:00 GMT 2022",
    "From ann@example.test Mon Jan  3 09:00:00 2022 remote from host",
    'From "Ann E"@example.test Mon Jan  3 09:00:00 2022',
    "From ???@??? Mon Jan 03 09:00:00 2022",
    "From ann@example.test 2022-01-03T09:00:00Z",
]


@pytest.mark.parametrize("line", FROM_LINES)
def test_from_lines_of_many_writers(tmp_path: Path, line: str) -> None:
    path = mbox(tmp_path / "x", letter("1"), letter("2"), line=line)
    assert MailImporter().sniff(Export(path)) is not None
    records = read(path)
    assert [record.id for record in records] == ["1@example.test", "2@example.test"]
    assert records[0].mail is not None and records[0].mail.received_at == 1641200400000


@pytest.mark.parametrize(
    "body",
    [
        "From my point of view it was good.\n",
        "words\nFrom ann@example.test Mon Jan  3 09:00:00 2022\nSubject: no blank line before\n",
        "words\n\nFrom ann@example.test with love\nNote: no date\n",
        "words\n\nFrom ann@example.test Mon Jan  3 09:00:00 2022\nno field behind it\n",
    ],
)
def test_what_looks_like_a_from_line_in_a_body_stays_there(tmp_path: Path, body: str) -> None:
    records = read(mbox(tmp_path / "x.mbox", letter("1", body), letter("2")))
    assert [record.text for record in records] == [body.rstrip("\n"), "Hello"]


def test_quoted_from_is_unquoted_once(tmp_path: Path) -> None:
    body = "a\n\n>From here\n>>From there\n> From a quote\n"
    (record,) = read(mbox(tmp_path / "x.mbox", letter("1", body)))
    assert record.text == "a\n\nFrom here\n>From there\n> From a quote"
    assert record.raw == letter("1", "a\n\nFrom here\n>From there\n> From a quote\n").encode()


def test_content_length_is_not_trusted(tmp_path: Path) -> None:
    records = read(mbox(tmp_path / "x.mbox", letter("1", Content_Length="9999999"), letter("2")))
    assert len(records) == 2


def test_crlf_bom_blank_lines_before_and_no_end_of_line(tmp_path: Path) -> None:
    text = "".join(f"From a@b.test Mon Jan  3 09:00:00 2022\n{letter(n)}\n" for n in "12")
    path = tmp_path / "x.mbox"
    path.write_bytes(b"\xef\xbb\xbf\n" + text.replace("\n", "\r\n").encode().rstrip())
    records = read(path)
    assert [(record.id, record.text) for record in records] == [
        ("1@example.test", "Hello"),
        ("2@example.test", "Hello"),
    ]
    assert records[0].raw == letter("1").replace("\n", "\r\n").encode()


WORDS = st.sampled_from(
    [
        "From the start",
        ">From a quote",
        ">>From two",
        "From ",
        "a film",
        "",
        "> quoted",
        "From: x",
        "From x\n",
    ]
)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(st.lists(st.lists(WORDS, max_size=6), min_size=1, max_size=5), st.integers(1, 5000))
def test_what_mailbox_writes_reads_back(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[list[str]], chunk: int
) -> None:
    path = tmp_path_factory.mktemp("mbox") / "x.mbox"
    box = mailbox.mbox(path)
    for number, lines in enumerate(bodies):
        message = Message()
        message["From"] = "ann@example.test"
        message["Message-ID"] = f"<{number}@example.test>"
        message.set_payload("\n".join(lines) + "\n")
        box.add(message)
    box.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mail, "CHUNK", chunk)
        records = read(path)
    assert [record.id for record in records] == [f"{number}@example.test" for number in range(len(bodies))]


@settings(derandomize=True, max_examples=30, deadline=None)
@given(st.integers(1, 400), st.integers(1, 6))
def test_chunks_do_not_show(tmp_path_factory: pytest.TempPathFactory, chunk: int, count: int) -> None:
    body = "a\n\nFrom x\n\n\n>From y\n"
    path = mbox(tmp_path_factory.mktemp("m") / "x.mbox", *(letter(str(n), body) for n in range(count)))
    whole = read(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mail, "CHUNK", chunk)
        assert read(path) == whole
    assert len(whole) == count


# --- copies and ids


def test_copies_and_two_mails_under_one_id(tmp_path: Path) -> None:
    path = mbox(
        tmp_path / "x.mbox",
        letter("1"),
        letter("1", Received="from a by b; Mon, 3 Jan 2022 10:00:05 +0100"),
        letter("1", "Other words\n"),
        letter("1", "Other words\n"),
    )
    records, importer = read_all(path)
    assert [record.text for record in records] == ["Hello", "Other words"]
    assert records[0].id == "1@example.test"
    assert records[1].id.startswith("1@example.test ") and records[1].id != records[0].id
    assert records[0].conversation == records[1].conversation == "1@example.test"
    assert importer.skipped == {"duplicate": 2}
    assert read(path) == records


def test_equal_mails_without_id_stay_two_in_a_folder_and_one_across_folders(tmp_path: Path) -> None:
    text = letter("1", Message_ID="")
    for name in ("Inbox", "Archive"):
        mbox(tmp_path / name, text, text, letter("1", "Third\n", Message_ID=""))
    records, importer = read_all(tmp_path)
    assert [record.text for record in records] == ["Hello", "Hello", "Third"]
    assert len({record.id for record in records}) == 3
    assert importer.skipped == {"duplicate": 3}


def test_threads(tmp_path: Path) -> None:
    records = read(
        mbox(
            tmp_path / "x.mbox",
            letter("3", References="<1@example.test>\n <2@example.test>", In_Reply_To="<2@example.test>"),
            letter("1"),
            letter("2", In_Reply_To="Mail of Ann <ann@example.test>, Monday <1@example.test>"),
        )
    )
    assert {record.conversation for record in records} == {"1@example.test"}
    assert [record.reply_to for record in records] == ["2@example.test", None, "1@example.test"]


def test_dates(tmp_path: Path) -> None:
    dates = [
        "Mon, 3 Jan 2022 10:00:00 +0100",
        "3 Jan 22 09:00:00 -0000",
        "Mon, 3 Jan 2022 10:00:00",
        "soon",
        "Mon, 3 Jan 0022 10:00:00 +0000",
        "Mon, 3 Jan 22022 10:00:00 +0000",
        "",
    ]
    path = mbox(tmp_path / "x.mbox", *(letter(str(n), Date=date) for n, date in enumerate(dates)))
    records = read(path, zone="Europe/Berlin")
    assert [record.sent_at for record in records[:3]] == [1641200400000] * 3
    assert [record.quality for record in records[:3]] == [Quality.EXACT, Quality.EXACT, Quality.LOCAL_GUESS]
    assert {(r.sent_at, r.quality) for r in records[3:4] + records[5:]} == {(None, Quality.MISSING)}


# --- folders, labels, flags


def test_maildir(tmp_path: Path) -> None:
    for folder, name, id in [
        ("cur", "1.host:2,RS", "1"),
        ("new", "2.host", "2"),
        ("tmp", "3.host", "3"),
        (".Sent/cur", "4.host:2,F", "4"),
        (".Family.Z&APwA5Q-/cur", "5.host:2,D", "5"),
    ]:
        place = tmp_path / "box" / folder
        place.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(letter(id))
    (tmp_path / "box" / "dovecot-uidlist").write_text("3 V1 N1\n")
    claim = MailImporter().sniff(Export(tmp_path / "box"))
    assert claim is not None and "Maildir" in claim.sign
    found = {r.id[0]: (r.mail.folder, r.mail.keywords) for r in read(tmp_path / "box") if r.mail}
    assert found == {
        "1": ("", ("$answered", "$seen")),
        "2": ("", ()),
        "4": ("Sent", ("$flagged",)),
        "5": ("Family/Züå", ("$draft",)),
    }


@pytest.mark.parametrize(
    ("labels", "folder", "keywords"),
    [
        ("Inbox,Important,Opened,Category Updates", "Inbox", ("$important", "$seen")),
        ("Archived,Family,Unread,Opened", "Archived", ()),
        ("Trash,Sent,Starred", "Trash", ("$flagged",)),
        ("Spam,Unread", "Spam", ()),
        ("Drafts", "Drafts", ("$draft",)),
        ("=?UTF-8?Q?Ge=C3=B6ffnet,Posteingang?=", "Posteingang", ("$seen",)),
        ('"Films, old",Opened', "Films, old", ("$seen",)),
    ],
)
def test_gmail_labels(tmp_path: Path, labels: str, folder: str, keywords: tuple[str, ...]) -> None:
    place = tmp_path / "Takeout" / "Mail"
    place.mkdir(parents=True)
    (tmp_path / "Takeout" / "archive_browser.html").write_text("<html>")
    mbox(place / "All mail.mbox", letter("1", X_GM_THRID="17", X_Gmail_Labels=labels))
    assert MailImporter().sniff(Export(tmp_path)) is not None
    (record,) = read(tmp_path)
    assert record.mail is not None and (record.mail.folder, record.mail.keywords) == (folder, keywords)


def test_status_headers_and_what_thunderbird_deleted(tmp_path: Path) -> None:
    path = mbox(
        tmp_path / "Sent",
        letter("1", Status="RO", X_Status="AF"),
        letter("2", X_Mozilla_Status="0009"),
        line="From - Mon Jan 03 09:00:00 2022",
    )
    records, importer = read_all(path)
    assert [r.mail.keywords for r in records if r.mail] == [("$answered", "$flagged", "$seen")]
    assert importer.skipped == {"deleted in Thunderbird": 1}


def test_folder_data_of_imap_servers_is_no_mail(tmp_path: Path) -> None:
    note = letter("0", subject="DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA", X_IMAP="1072 9")
    records, importer = read_all(mbox(tmp_path / "x.mbox", note, letter("1")))
    assert len(records) == 1 and importer.skipped == {"folder data": 1}


def test_zip_and_gz(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("Takeout/Mail/x.mbox", f"{FROM_LINES[0]}\n{letter('1')}\n")
        archive.writestr("mails/a.eml", letter("2"))
    assert [record.id[0] for record in read(tmp_path / "a.zip")] == ["1", "2"]
    packed = gzip.compress(f"{FROM_LINES[3]}\n{letter('1')}\n".encode())
    (tmp_path / "2022-January.txt.gz").write_bytes(packed)
    assert MailImporter().sniff(Export(tmp_path / "2022-January.txt.gz")) is not None
    assert len(read(tmp_path / "2022-January.txt.gz")) == 1


def test_eml_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.eml").write_text(letter("1"))
    (tmp_path / "sub" / "b.eml").write_text(letter("2"))
    (tmp_path / "c.eml").write_bytes(b"\x00" * 50)
    (tmp_path / "d.eml").write_text("no header here\n")
    (tmp_path / "e.pdf").write_bytes(b"%PDF")
    records, importer = read_all(tmp_path)
    assert [(r.id[0], r.mail.folder) for r in records if r.mail] == [("1", ""), ("2", "sub")]
    assert importer.skipped == {"empty": 1, "no header": 1, "not mail": 1}


# --- whose is it


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "WhatsApp Chat with Ann.txt",
            "12/03/2022, 10:00 - Ann: From: you\n12/03/2022, 10:01 - Bob: Date: today\n",
        ),
        ("_chat.txt", "[12/03/2022, 10:00:00] Ann: hello\n"),
        ("result.json", '{"name": "Ann", "messages": []}'),
        ("message_1.json", '{"participants": []}'),
        ("a.csv", "From,Date,Subject\nx,y,z\n"),
        ("notes.txt", "From here on it is a text.\n\nSubject: x\n"),
        ("card.vcf", "BEGIN:VCARD\nFN:Ann\n"),
        ("empty", ""),
    ],
)
def test_claims_nothing_else(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert MailImporter().sniff(Export(tmp_path / name)) is None
    assert MailImporter().sniff(Export(tmp_path)) is None


def test_one_mail_among_a_chats_files_makes_no_mail_export(tmp_path: Path) -> None:
    (tmp_path / "_chat.txt").write_text("[12/03/2022, 10:00:00] Ann: <attached: a.eml>\n")
    (tmp_path / "a.eml").write_text(letter("1"))
    assert MailImporter().sniff(Export(tmp_path)) is None


@pytest.mark.parametrize("name", ["a.pst", "a.ost", "a.msg", "12.partial.emlx", "12.emlx"])
def test_other_programs_mail_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"!BDN" + bytes(100))
    assert MailImporter().sniff(Export(tmp_path / name)) is not None
    with pytest.raises(Refused) as refused:
        read(tmp_path / name)
    assert refused.value.code == Code.UNKNOWN_FORMAT and name in str(refused.value)


NOISE = random.Random(1).randbytes(9999).hex()


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.mbox", b"not an mbox\n", Code.MALFORMED),
        ("a.mbox", FROM_LINES[0].encode() + b"\nwords, but no header\n", Code.MALFORMED),
        ("a.mbox", bytes(1000), Code.EMPTY),
        ("a.eml", bytes(1000), Code.EMPTY),
        ("a.eml", b"", Code.EMPTY),
        ("a.txt.gz", gzip.compress(f"{FROM_LINES[0]}\n{letter()}{NOISE}".encode())[:-900], Code.TRUNCATED),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, name: str, content: bytes, code: Code) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Refused) as refused:
        read(tmp_path / name)
    assert refused.value.code == code and name in str(refused.value) and "\n" not in str(refused.value)


def test_a_mail_above_the_cap_is_refused_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "MAX_MAIL", 10_000)
    monkeypatch.setattr(mail, "CHUNK", 1_000)
    path = mbox(tmp_path / "x.mbox", letter("1"), letter("2", "words\n" * 4_000))
    with pytest.raises(Refused, match="mail 2, byte 193") as refused:
        read(path)
    assert refused.value.code == Code.TOO_LARGE


def test_a_zone_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused):
        read(mbox(tmp_path / "x.mbox", letter("1")), zone="Atlantis/Centre")


SEEDS = [
    (FROM_LINES[0] + "\n" + letter("1") + "\n" + FROM_LINES[1] + "\n" + letter("2")).encode(),
    letter(
        "1",
        Content_Type='multipart/mixed; boundary="b"',
        body="--b\n\nHi\n--b\nContent-Type: text/html\n\n<p>x\n",
    ).encode(),
    letter(
        "1",
        From="=?utf-8?q?=C3=A9?= (a (b)) <é@é.test>, G: x@y.test;",
        Content_Type="text/plain; charset*0*=x''ut",
    ).encode(),
    gzip.compress((FROM_LINES[0] + "\n" + letter("1")).encode()),
]


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.sampled_from(SEEDS), st.integers(0, 2**32), st.sampled_from(["a.mbox", "a.eml", "x"]))
def test_mutated_bytes_raise_nothing_but_refused(
    tmp_path_factory: pytest.TempPathFactory, seed: bytes, number: int, name: str
) -> None:
    rng = random.Random(number)
    data = BytesIO(seed)
    for _ in range(rng.randrange(1, 12)):
        data.seek(rng.randrange(len(seed)))
        data.write(
            rng.choice(
                [
                    rng.randbytes(rng.randrange(1, 5)),
                    b"\n",
                    b"\r",
                    b"\x00",
                    b"=?",
                    b"<",
                    b'"',
                    b"(",
                    b";",
                    b"--b",
                    b"From ",
                ]
            )
        )
    path = tmp_path_factory.mktemp("fuzz") / name
    path.write_bytes(data.getvalue())
    MailImporter().sniff(Export(path))
    try:
        for record in read(path):
            record.text.encode()
            assert record.sender is None or record.sender.isprintable()
            assert "\n" not in record.sender_name and record.id.isprintable()
    except Refused as refused:
        assert "\n" not in str(refused)
