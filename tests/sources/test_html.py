"""HTML bodies: what is seen, and which of it is a quote."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.sources.html import text_of


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>Hello <b>you</b><br>two</p>\n<p>three</p>", "Hello you\ntwo\n\nthree"),
        ("<style>p{}</style><script>x</script><title>t</title>seen<!-- no -->", "seen"),
        ("<pre>a\n  b\n\nc</pre>", "a\n  b\n\nc"),
        ("<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>", "1 2\n3"),
        ("a &amp; b&nbsp;c <img alt='🙂'> <img alt='Logo of us'>", "a & b c 🙂"),
        ("plain", "plain"),
        ("", ""),
        ("<!-- nothing -->", ""),
        ("<?xml version='1.0' encoding='utf-16'?><p>é", "é"),
    ],
)
def test_text(html: str, text: str) -> None:
    assert text_of(html) == text


@pytest.mark.parametrize(
    "attribute",
    [
        'style="display: none"',
        "style='DISPLAY:NONE!important'",
        "hidden",
        'style="font-size:0px"',
        'style="font-size: 0;"',
        'style="color:#fff"',
        'style="color:white;background:#ffffff"',
        'style="max-height:0;overflow:hidden"',
        'style="visibility:hidden"',
        'style="opacity:0"',
        'style="mso-hide:all"',
        'style="color:rgb(255, 255, 255)"',
    ],
)
def test_unseen(attribute: str) -> None:
    assert text_of(f"<div>a<span {attribute}>HID<b>DEN</b></span> b</div>") == "a b"


@pytest.mark.parametrize(
    "attribute", ['style="font-size:0.9em"', 'style="opacity:0.5"', 'style="color:#fff;background:#000"']
)
def test_seen(attribute: str) -> None:
    assert text_of(f"<div>a<span {attribute}> seen</span></div>") == "a seen"


def test_white_on_black_is_seen() -> None:
    assert (
        text_of("<body bgcolor=black><font color=white>seen</font><i style='color:#000'>not</i></body>")
        == "seen"
    )


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>own</p><blockquote><p>q1</p><p>q2</p></blockquote><p>own</p>", "own\n\n> q1\n>\n> q2\n\nown"),
        (
            "<div>Yes</div><div class=gmail_quote><div class=gmail_attr>On Monday Ann wrote:<br></div>"
            "<blockquote class=gmail_quote>hi<blockquote>deep</blockquote></blockquote><div>below</div></div>",
            "Yes\n\nOn Monday Ann wrote:\n\n> hi\n>\n>> deep\n\nbelow",
        ),
        (
            "own<div class='x_gmail_quote'><div class=x_gmail_attr>---- Forwarded ----</div><p>words</p></div>own",
            "own\n\n---- Forwarded ----\n\n> words\n\nown",
        ),
        (
            "<p>own</p><div style='border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0in 0in 0in'><p><b>From:</b> Ann</p>"
            "</div><p>words</p><div><p>more</p></div>",
            "own\n\n> From: Ann\n>\n> words\n>\n> more",
        ),
        (
            "own<hr><div id=divRplyFwdMsg>From: Ann</div><div>words</div><div id=divRplyFwdMsg>From: Bob</div>old",
            "own\n\n> From: Ann\n> words\n>\n>> From: Bob\n>> old",
        ),
        (
            "<div class=moz-cite-prefix>Ann wrote:</div><blockquote type=cite>q</blockquote>own",
            "Ann wrote:\n\n> q\n\nown",
        ),
        (
            "own<div class='yahoo_quoted' id='yahoo_quoted_1'><div>On Monday:</div><div>q</div></div>",
            "own\n\n> On Monday:\n> q",
        ),
        ("own<span class=gmail_quote>foreign</span>own", "own\n\n> foreign\n\nown"),
        ("<blockquote><pre>a\nb</pre></blockquote>c", "> a\n> b\n\nc"),
    ],
)
def test_quotes(html: str, text: str) -> None:
    assert text_of(html) == text


def test_a_tree_too_deep_is_one_quote() -> None:
    assert text_of("<div>" * 3000 + "words" + "</div>" * 3000) == "> words"


PIECES = st.sampled_from(
    [
        "<blockquote>",
        "</blockquote>",
        "<p>",
        "</p>",
        "own",
        "<br>",
        "<div class=gmail_quote>",
        "</div>",
        "<pre>",
        "</pre>",
        "<table>",
        "<td>",
        "<span hidden>",
        "</span>",
        "\n",
        "<",
        "&#0;",
        "<div style='color:#fff'>",
    ]
)


@settings(derandomize=True, max_examples=80, deadline=None)
@given(st.lists(PIECES, max_size=30))
def test_quoted_words_never_stand_unmarked(pieces: list[str]) -> None:
    quoted = (
        "<blockquote>"
        + "".join(piece.replace("own", "foreign") for piece in pieces if "/" not in piece)
        + "</blockquote>"
    )
    text = text_of("<p>own</p>" + quoted)
    assert all(line.startswith(">") for line in text.split("\n") if "foreign" in line)
    text_of("".join(pieces)).encode()
