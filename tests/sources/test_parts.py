"""Parts against the standard library's tree, and the decomposition of RFC 8621 §4.1.4 on its own example."""

from __future__ import annotations

import email
import email.policy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.sources.parts import Message, bodies

LEAVES = st.tuples(
    st.sampled_from(["text/plain", "text/html", "image/png", "application/pdf", "message/rfc822"]),
    st.sampled_from(["", "inline", "attachment"]),
    st.sampled_from(["", "a.bin"]),
)
TREES = st.recursive(
    LEAVES,
    lambda below: st.tuples(
        st.sampled_from(["mixed", "alternative", "related"]), st.lists(below, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


def _written(tree: object, depth: int = 0) -> str:
    assert isinstance(tree, tuple)
    if len(tree) == 2:
        bound = f"b{depth}x"
        inner = "".join(f"--{bound}\r\n{_written(t, depth + 1)}\r\n" for t in tree[1])
        return f"Content-Type: multipart/{tree[0]}; boundary={bound}\r\n\r\n{inner}--{bound}--"
    kind, disposition, name = tree
    head = f"Content-Type: {kind}" + (f"; name={name}" if name else "") + "\r\n"
    head += f"Content-Disposition: {disposition}\r\n" if disposition else ""
    return head + ("\r\nSubject: inside\r\n\r\nwords" if kind == "message/rfc822" else "\r\nwords")


@settings(derandomize=True, max_examples=80, deadline=None)
@given(TREES)
def test_the_same_leaves_as_the_standard_library(tree: object) -> None:
    raw = _written(tree).encode()
    message = Message(raw)
    theirs = []
    stack = [email.message_from_bytes(raw, policy=email.policy.compat32)]
    while stack:
        part = stack.pop()
        if part.get_content_maintype() == "multipart":
            stack.extend(reversed(part.get_payload()))  # type: ignore[arg-type]
        else:
            theirs.append((part.get_content_type(), part.get_content_disposition()))
    assert [(p.type, p.disposition) for p in message.leaves] == theirs
    assert [p.number for p in message.leaves] == list(range(1, message.count + 1))
    text, html, attachments = bodies(message.root)
    assert {p.number for p in (*text, *html, *attachments)} <= set(range(1, message.count + 1))
    shown = {p.number for p in (*text, *html, *attachments)}
    lost = [p for p in message.leaves if p.number not in shown]
    assert all(p.type in ("text/plain", "text/html") for p in lost)  # only ever an alternative's other side


RFC_EXAMPLE = (
    "mixed",
    [
        ("text/plain", "inline", ""),  # A
        (
            "mixed",
            [
                (
                    "alternative",
                    [
                        (
                            "mixed",
                            [
                                ("text/plain", "inline", ""),
                                ("image/jpeg", "inline", ""),
                                ("text/plain", "inline", ""),  # B C D
                            ],
                        ),
                        ("related", [("text/html", "", ""), ("image/jpeg", "", "")]),  # E F
                    ],
                ),
                ("image/jpeg", "attachment", ""),
                ("application/x-excel", "", ""),
                ("message/rfc822", "", ""),  # G H J
            ],
        ),
        ("text/plain", "inline", ""),  # K
    ],
)


def test_the_example_of_the_rfc() -> None:
    letters = dict(enumerate("ABCDEFGHJK", 1))
    text, html, attachments = bodies(Message(_written(RFC_EXAMPLE).encode()).root)
    assert "".join(letters[p.number] for p in text) == "ABCDK"
    assert "".join(letters[p.number] for p in html) == "AEK"
    assert "".join(letters[p.number] for p in attachments) == "CFGHJ"


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.binary(max_size=300) | st.text(alphabet='-=:;bB\r\n" /axm', max_size=300).map(str.encode))
def test_any_bytes(raw: bytes) -> None:
    message = Message(b"Content-Type: multipart/mixed; boundary=b\n" + raw)
    bodies(message.root)
    for part in message.leaves:
        assert message.described(part, "x")["size"] == len(message.content(part))
        message.value(part, 7)
        message.fields(part)


def test_depth_and_number_are_capped() -> None:
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(300))
    assert Message(deep).count <= 1
    wide = b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 5000
    assert Message(wide).count <= 2000


@pytest.mark.parametrize(
    ("charset", "content", "problem"),
    [
        (b"utf-8", "é".encode(), False),
        (b"utf-8", b"\xff", True),
        (b"klingon", b"x", True),
        (b"latin1", b"\xe9", False),
        (b"us-ascii", b"x", False),
        (b"iso-2022-jp", b"\x1b$B$\x22\x1b(B", False),
    ],
)
def test_encoding_problems(charset: bytes, content: bytes, problem: bool) -> None:
    message = Message(b"Content-Type: text/plain; charset=" + charset + b"\n\n" + content)
    assert message.value(message.root, 0)["isEncodingProblem"] is problem
