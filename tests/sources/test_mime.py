"""Parts, bodies, attachments: what a reader of the mail would call its text."""

from __future__ import annotations

import email
from email.message import EmailMessage, Message

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.model import Attachment, Kind, Mail, Person, Record
from byleave.sources import mime
from byleave.sources.header import Head


def record(text: str | bytes) -> Record:
    raw = text if isinstance(text, bytes) else text.encode()
    return mime.record(raw, Head(raw), "key")


def mail_of(found: Record) -> Mail:
    assert found.mail is not None
    return found.mail


def test_a_whole_mail() -> None:
    found = record(
        "Received: from a by b; Mon, 3 Jan 2022 10:00:05 +0100\nReceived: older; Mon, 3 Jan 2022 01:00:00 +0100\n"
        "From: Ann Example <ann@example.test>\nSender: list@example.test\nTo: Bob <bob@example.test>, carl\n"
        "Cc: dora@example.test\nBcc: eve@example.test\nReply-To: ann@home.test\n"
        "Subject: =?utf-8?q?Caf=C3=A9=0A?= tonight\nDate: Mon, 3 Jan 2022 10:00:00 +0100\nMessage-ID: <m@example.test>\n"
        "In-Reply-To: <p@example.test>\nReferences: <r@example.test>\n <p@example.test>\n\nHello\r\nyou\n\n"
    )
    assert (found.sender, found.sender_name) == ("mail:ann@example.test", "Ann Example")
    assert (found.sent_at, found.kind, found.text) == (1641200400000, Kind.TEXT, "Hello\nyou")
    assert (found.conversation, found.reply_to, found.id) == ("r@example.test", "p@example.test", "key")
    fields = mail_of(found)
    assert fields.subject == "Café tonight" and fields.received_at == 1641200405000
    assert fields.to == (Person("mail:bob@example.test", "Bob"), Person(None, "carl"))
    assert [p.handle for p in fields.sender + fields.cc + fields.bcc + fields.reply_to] == [
        "mail:list@example.test",
        "mail:dora@example.test",
        "mail:eve@example.test",
        "mail:ann@home.test",
    ]
    assert fields.message_id == ("m@example.test",) and fields.references == (
        "r@example.test",
        "p@example.test",
    )


@pytest.mark.parametrize(
    ("head", "sender"),
    [
        ("Sender: ann@example.test\n", "mail:ann@example.test"),
        ("From:\nSender: ann@example.test\n", "mail:ann@example.test"),
        ("From: Ann\nSender: ann@example.test\n", None),
        ("From: ann@example.test, bob@example.test\n", "mail:ann@example.test"),
        ("From: ann@example.test\nFrom: bob@example.test\n", None),
        ("From: ann@example.test\nFrom: Ann <ANN@example.test>\n", "mail:ann@example.test"),
        ("From: group:;\n", None),
        ("Subject: nobody\n", None),
    ],
)
def test_who_sent_it(head: str, sender: str | None) -> None:
    assert record(head + "\nx").sender == sender


def multipart(kind: str, *parts: str, head: str = "") -> str:
    body = "".join(f"--b b\n{part}\n" for part in parts)
    return f'From: a@b.test\nContent-Type: multipart/{kind}; boundary="b b"\n{head}\npreamble\n{body}--b b--\nepilogue\n'


HTML = "Content-Type: text/html\n\n<p>As <b>HTML</b></p>"
PLAIN = "Content-Type: text/plain\n\nAs text"
PDF = 'Content-Type: application/pdf; name="=?utf-8?q?Caf=C3=A9.pdf?="\nContent-Disposition: attachment\nContent-Transfer-Encoding: base64\n\nAAEC\nAw==\n'
FORWARD = "Content-Type: message/rfc822\n\nFrom: eve@x.test\n\nforeign words"


def test_text_is_the_first_plain_part_and_html_only_without_one() -> None:
    assert record(multipart("alternative", HTML, PLAIN)).text == "As text"
    assert record(multipart("mixed", PLAIN, "\nA list's footer")).text == "As text"
    found = record(multipart("alternative", "Content-Type: text/plain\n\n \n", HTML))
    assert found.text == "As HTML" and mail_of(found).html_only
    assert not mail_of(record(multipart("alternative", PLAIN, HTML))).html_only
    assert record(multipart("mixed", "Content-Type: text/plain\n\n\n", PDF, PLAIN)).text == "As text"


def test_attachments() -> None:
    attached = PLAIN.replace("\n\n", "\nContent-Disposition: attachment; filename*=utf-8''%E2%80%AEa.txt\n\n")
    found = record(multipart("mixed", attached, PLAIN.replace("As", "Real"), PDF, FORWARD))
    assert found.text == "Real text" and found.kind == Kind.TEXT
    assert found.attachments == (
        Attachment("a.txt", "text/plain", 7),
        Attachment("Café.pdf", "application/pdf", 4),
        Attachment("", "message/rfc822", 31),
    )
    assert record(multipart("mixed", FORWARD)).kind == Kind.ATTACHMENT
    assert "foreign" not in record(multipart("mixed", FORWARD)).text


def test_sealed_and_signed() -> None:
    pgp = "Content-Type: application/pgp-encrypted\n\nVersion: 1\n"
    assert (
        record(multipart("encrypted", pgp, "Content-Type: application/octet-stream\n\nxx")).kind
        == Kind.OPAQUE
    )
    assert (
        record("From: a@b.test\nContent-Type: application/pkcs7-mime; name=smime.p7m\n\nxx").kind
        == Kind.OPAQUE
    )
    assert record("From: a@b.test\n\n-----BEGIN PGP MESSAGE-----\n\nxx\n").kind == Kind.OPAQUE
    found = record(multipart("signed", PLAIN, "Content-Type: application/pgp-signature\n\nxx"))
    assert (found.kind, found.text, found.attachments) == (Kind.TEXT, "As text", ())


@pytest.mark.parametrize(
    ("head", "body", "text"),
    [
        ("Content-Transfer-Encoding: base64", "SGVs\nbG8", "Hello"),
        ("Content-Transfer-Encoding: base64", "SGVs*bG8A=", "Hello\ufffd"),
        ("Content-Transfer-Encoding: quoted-printable", "caf=C3=A9 =\nx =zz", "café x =zz"),
        ("Content-Transfer-Encoding: x-uuencode", "begin 644 x\n%:&5L;&\\\nM!\n`\nend", "hello"),
        ("Content-Transfer-Encoding: odd", "plain", "plain"),
        ("Content-Type: text", "plain", "plain"),
        ('Content-Type: multipart/mixed; boundary="zz"', "no parts here", "no parts here"),
        ("Content-Type: multipart/mixed", "no boundary", "no boundary"),
        ("Content-Type: text/html; charset=", "<p>x", "x"),
        ("Content-Type: text/html", "<meta charset='utf-7'><p>+AOk-", "é"),
        (
            "Content-Type: text/plain; format=flowed",
            "one \ntwo\n> q \n> r\n-- \nsig\n  stuffed",
            "one two\n> q r\n-- \nsig\n stuffed",
        ),
        ("Content-Type: text/plain; format=flowed; delsp=yes", "日本 \n語", "日本語"),
    ],
)
def test_bodies(head: str, body: str, text: str) -> None:
    assert record(f"From: a@b.test\n{head}\n\n{body}").text == text


def test_boundaries() -> None:
    inner = multipart("alternative", PLAIN, HTML).replace("b b", "b").replace("From: a@b.test\n", "")
    outer = 'From: a@b.test\nContent-Type: multipart/mixed; boundary="bc"\n\n--bc\n' + inner
    assert record(outer + "\n--bc\n" + PDF).attachments[0].name == "Café.pdf"
    assert record(outer.replace("--b--", "") + "\n--bc--").text == "As text"
    deep = "From: a@b.test\n" + "".join(
        f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(5000)
    )
    assert record(deep + "\nhi").text == ""
    assert len(record(multipart("mixed", *(PDF for _ in range(3000)))).attachments) < 3000


TYPES = st.sampled_from(["text/plain", "text/html", "application/pdf", "image/png"])
LEAVES = st.builds(lambda kind, text: (kind, text), TYPES, st.text("a é\n-=.>", max_size=30))
TREES = st.recursive(LEAVES, lambda below: st.lists(below, min_size=1, max_size=4), max_leaves=8)


@settings(derandomize=True, max_examples=80, deadline=None)
@given(TREES, st.booleans())
def test_the_same_leaves_as_the_standard_library(tree: object, crlf: bool) -> None:
    def build(node: object) -> Message:
        message = EmailMessage()
        if isinstance(node, tuple):
            maintype, subtype = node[0].split("/")
            if maintype == "text":
                message.set_content(node[1], subtype=subtype)
            else:
                message.set_content(node[1].encode(), maintype, subtype)
            return message
        assert isinstance(node, list)
        message["Content-Type"] = "multipart/mixed"
        message.set_payload([build(child) for child in node])
        return message

    raw = build(tree).as_bytes()
    raw = raw.replace(b"\n", b"\r\n") if crlf else raw
    parsed = email.message_from_bytes(raw)
    expected = [
        (part.get_content_type(), part.get_payload(decode=True))
        for part in parsed.walk()
        if not part.is_multipart()
    ]
    head = Head(raw)
    leaves = list(
        mime._leaves(head.data, head, len(head.data), "text/plain", 0, [mime.MAX_PARTS], "", True, False)
    )
    assert [(leaf.type, leaf.content(raw)) for leaf in leaves] == expected
    assert [leaf.size(raw) for leaf in leaves] == [len(content) for _, content in expected]


@settings(derandomize=True, max_examples=80, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                b"--b",
                b"--b--",
                b"\n",
                b"\r\n",
                b"Content-Type: ",
                b"multipart/mixed; boundary=b",
                b"text/html",
                b"<p style=",
                b"x: y",
                b"\x00",
                b"\xff",
                b"Content-Transfer-Encoding: base64",
                b"=",
                b"From: <",
                b"AAA",
            ]
        ),
        max_size=40,
    )
)
def test_any_bytes_make_a_record(pieces: list[bytes]) -> None:
    found = record(b"".join(pieces))
    found.text.encode()
    assert found.raw == b"".join(pieces)
