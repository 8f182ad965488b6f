"""What `masked` shows: rules by form, people, fails closed, offsets, and nothing that takes more than linear
time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from byleave.cli.words import app
from byleave.errors import Refused
from byleave.model import Person
from byleave.words.folding import folded
from byleave.words.language import DIGITS_MAX
from byleave.words.mask import TYPES, People, Span, Titles, Voice, mask, rendered, shown

HAND = Path(__file__).parent / "data" / "mask" / "hand.jsonl"
NOBODY = People(())
NONE = Titles()
BOOK = People(
    (
        Person("mail:ann@example.test", "Anna Kowalska"),
        Person("tel:+447700900123", "Will Parker"),
        Person("whatsapp:c1/Jörg Müller", ""),
        Person("telegram:lens_cap42", "Rose Nguyen"),
        Person("mail:li@example.test", "Li Wei"),
    )
)
FAST = settings(derandomize=True, max_examples=60, deadline=None)


def kinds(text: str, people: People = NOBODY, tier: str = "rules", **more: str) -> list[tuple[str, str]]:
    return [(text[s.start : s.end], s.type) for s in mask(text, people, NONE, tier=tier, **more)]


def hidden(
    text: str, people: People = NOBODY, tier: str = "rules", titles: Titles = NONE, previous: str = ""
) -> str:
    return rendered(
        text, mask(text, people, titles, tier=tier, previous=previous), lambda span: f"[{span.type}]"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail ann@example.test now", "mail [EMAIL] now"),
        ("ann.k+x@mail.example.test.", "[EMAIL]."),
        ("ann [at] mail [dot] example", "[EMAIL]"),
        ("ann dot k at gmail dot com ok", "[EMAIL] ok"),
        ("pisz: jan małpa poczta kropka pl", "pisz: [EMAIL]"),
        ("we met at amazon.com at noon", "we met at amazon.com at noon"),
        ("iban DE89 3704 0044 0532 0130 00 ok", "iban [IBAN] ok"),
        ("gb33bukb20201555555555", "[IBAN]"),
        ("card 4111-1111-1111-1111 exp 09/28", "card [CARD] exp 09/28"),
        ("2223 0031 2200 3222", "[CARD]"),
        ("4111 1111 1111 1112 is a typo", "4111 1111 1111 1112 is a typo"),
        ("born 12 May 1990", "born [DOB]"),
        ("geboren am 3.4.1988", "geboren am [DOB]"),
        ("came out 12.05.2023", "came out 12.05.2023"),
        ("Born on the 4th of July is on", "Born on the 4th of July is on"),
        ("call +44 7700 900123", "call [PHONE]"),
        ("06 39 98 12 34 ce soir", "[PHONE] ce soir"),
        ("(555) 555-0143", "[PHONE]"),
        ("order 4471829930 is late", "order 4471829930 is late"),
        ("isbn 9780141036144", "isbn 9780141036144"),
        ("mój numer 512 345 678", "mój numer [PHONE]"),
        ("at 14 Orchard Lane, Bristol BS1 9ZZ pls", "at [ADDRESS] pls"),
        ("via Mazzini 14, 40126 Bologna", "[ADDRESS]"),
        ("ul. Kwiatowa 12/4, 30-001 Kraków", "[ADDRESS]"),
        ("12 bis rue des Lilas, 69003 Lyon", "[ADDRESS]"),
        ("10000 Euro im Kino 3 am Samstag 12", "10000 Euro im Kino 3 am Samstag 12"),
        ("2 blocks down the street", "2 blocks down the street"),
        ("https://example.com/films/top-10", "https://example.com/films/top-10"),
        ("https://youtu.be/dQw4w9WgXcQ", "https://youtu.be/dQw4w9WgXcQ"),
        ("https://youtu.be/dQw4w9WgXcQ?si=9aBcDeFgHiJk", "[LINK]"),
        ("https://a.example/reset?token=9f8a", "[LINK]"),
        ("https://me:pw@a.example/x", "[LINK]"),
        ("chat.whatsapp.com/HgT5kLmN8pQ2", "[LINK]"),
    ],
)
def test_rules(text: str, expected: str) -> None:
    assert hidden(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "+４４ ７７００ ９００１２３",
        "+٤٤ ٧٧٠٠ ٩٠٠١٢٣",
        "+44 7700\u200b 900\u200d123",
        "0\ufe0f\u20e37\ufe0f\u20e37\ufe0f\u20e30\ufe0f\u20e30\ufe0f\u20e39\ufe0f\u20e30\ufe0f\u20e30\ufe0f\u20e31\ufe0f\u20e32\ufe0f\u20e33\ufe0f\u20e3",
        "07700\u2011900\u2011123",
        "𝟎𝟕𝟕𝟎𝟎 𝟗𝟎𝟎𝟏𝟐𝟑",
        "ann＠example.test",
        "a\u00adn\u00adn@exam\u200bple.test",
    ],
)
def test_writing_tricks_hide_nothing(text: str) -> None:
    (span,) = mask(text, NOBODY, NONE)
    assert text[span.start : span.end].strip("\ufe0f\u20e3") in text
    assert span.end - span.start >= len(text) - 2


def test_a_birth_cue_in_the_message_before() -> None:
    assert hidden("it's 14 March 1990", previous="my birthday is soon") == "it's [DOB]"
    assert hidden("it's 14 March 1990", previous="soon") == "it's 14 March 1990"


def test_the_books_people() -> None:
    spans = mask("anna and KOWALSKA, Joerg Mueller, müller; Kowalskiej", BOOK, NONE, tier="rules")
    assert [s.person for s in spans] == ["mail:ann@example.test"] * 2 + ["whatsapp:c1/Jörg Müller"] * 2 + [
        "mail:ann@example.test"
    ]
    assert mask("ring 07700 900 123", BOOK, NONE)[0].person == "tel:+447700900123"
    assert mask("ANN@example.test", BOOK, NONE)[0].person == "mail:ann@example.test"
    assert mask("ask @lens_cap42", BOOK, NONE, tier="rules")[0].person == "telegram:lens_cap42"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("will you come? I will", "will you come? I will"),
        ("told Will about it", "told [PERSON] about it"),
        ("Will said no", "[PERSON] said no"),
        ("a rose is a rose", "a rose is a rose"),
        ("my friend Rose", "my friend [PERSON]"),
        ("will parker came", "[PERSON] came"),
        ("Ordnung: li und wei", "Ordnung: li und wei"),
    ],
)
def test_everyday_words_need_their_neighbours(text: str, expected: str) -> None:
    assert hidden(text, BOOK) == expected


def test_a_name_of_two_people_is_nobodys() -> None:
    two = People((Person("mail:a@x.test", "Anna Nowak"), Person("mail:b@x.test", "Anna Wrona")))
    assert [s.person for s in mask("anna", two, NONE)] == [None]
    assert [s.person for s in mask("Anna Wrona", two, NONE)] == ["mail:b@x.test"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("met Hannah at noon", "met [PERSON] at noon"),
        ("Frau Petersen kommt", "[PERSON] kommt"),
        ("she moved to Leeds", "she moved to [LOCATION]"),
        ("watched Chicago last night", "watched Chicago last night"),
        ("watched Chicago with Hannah", "watched Chicago with [PERSON]"),
        ("it stars Tom Hanks", "it stars Tom Hanks"),
        ("The Rock and Up on Sunday in May", "The Rock and Up on Sunday in May"),
    ],
)
def test_plain_tier(text: str, expected: str) -> None:
    assert hidden(text, tier="plain") == expected


def test_titles_are_protected_and_contacts_win() -> None:
    catalogue = Titles(("Jerry Maguire", "Annie", "21 Jump Street"))
    assert hidden("Jerry Maguire or not", tier="plain", titles=catalogue) == "Jerry Maguire or not"
    assert hidden("21 Jump Street is fun", tier="plain", titles=catalogue) == "21 Jump Street is fun"
    contact = People((Person("mail:jm@x.test", "Jerry Maguire"),))
    assert hidden("Jerry Maguire or not", contact, "plain", catalogue) == "[PERSON] or not"
    assert hidden("Annie was here", tier="plain", titles=catalogue) == "[PERSON] was here"


def voice(*texts: str) -> Voice:
    out = Voice()
    for text in texts:
        out.add(text)
    return out


@pytest.mark.parametrize(
    ("words", "language"),
    [
        ("have you seen the new one with the dragons? it was way too long but fun", "en"),
        ("hast du den neuen film schon gesehen? der war echt viel zu lang aber gut", "de"),
        ("tu as vu le nouveau film ? il était beaucoup trop long mais c'était bien", "fr"),
        ("¿has visto la nueva película? era demasiado larga pero me gustó mucho", "es"),
        ("você já viu o filme novo? era muito comprido mas eu gostei bastante", "pt"),
        ("hai visto il nuovo film? era davvero troppo lungo ma mi è piaciuto", "it"),
        ("widziałeś już ten nowy film? był o wiele za długi, ale mi się podobał", "pl"),
    ],
)
def test_tested_languages_are_shown(words: str, language: str) -> None:
    verdict = voice(words).judge()
    assert verdict.language == language
    assert shown(words, verdict, ())


@pytest.mark.parametrize(
    "words",
    [
        "dün akşam yeni filmi izledim çok güzeldi sen de izlemelisin bence kesinlikle",
        "вчера посмотрел новый фильм, очень понравился, советую всем",
        "heb je die nieuwe film al gezien? hij duurde veel te lang maar was wel leuk hoor",
        "tegnap este megnéztem az új filmet, nagyon tetszett, neked is meg kellene nézned",
    ],
)
def test_other_languages_are_not(words: str) -> None:
    assert not shown(words, voice(words).judge(), ())


def test_few_letters_pass_only_in_latin_and_without_finds() -> None:
    few = voice("ok", "haha").judge()
    assert shown("ok", few, ())
    assert shown("👍🏽", few, ())
    assert not shown("07700 900123", few, mask("07700 900123", NOBODY, NONE))
    assert not shown("да", voice("да").judge(), ())


ENGLISH = voice("this is a long enough text in plain english so that the verdict is clear").judge()


@pytest.mark.parametrize(
    "text",
    [
        "ok \u200b then",
        "\u202emoc.elpmaxe",
        "soft\u00adhyphen",
        "tag\U000e0041\U000e0042",
        "аnna with a Cyrillic a",
        "٣٤٥",
        "see <b>this</b>",
        "a&nbsp;b",
        "data:text/html;base64,QUJD",
        "=C3=A9t=C3=A9",
        "SGVsbG8gd29ybGQgdGhpcyBpcyBhIHRlc3Q=",
        "48656c6c6f20776f726c642074686973206973",
        "%41%6e%6e%61",
        "\\u0041\\u006e",
        "0 1 2\ue000",
        "z\u0300\u0301\u0302\u0303algo",
        "=?utf-8?B?QW5uYQ==?=",
    ],
)
def test_fails_closed(text: str) -> None:
    assert not shown(text, ENGLISH, ())


@pytest.mark.parametrize(
    "text",
    [
        "I <3 you",
        "👩‍👩‍👧 yes ❤️",
        "c'est l'été, 50 % off – déjà…",
        "hahahaha",
        "wow!!! 10/10",
        "e\u0301te\u0301",
    ],
)
def test_ordinary_writing_is_shown(text: str) -> None:
    assert shown(text, ENGLISH, ())


TRICKY = st.text(
    alphabet=st.one_of(
        st.sampled_from(list("0123456789+-() ./@aAbBeEzZñłß\n,:'\"&<>[]")),
        st.sampled_from(list("\u200b\u0301\u00ad＠４٣\ufe0f\u20e3😂")),
        st.characters(),
    ),
    max_size=80,
)
SCRAPS = st.lists(
    st.sampled_from(
        [
            "Anna",
            "will",
            "told",
            "+44 7700 900123",
            "4111 1111 1111 1111",
            "DE89370400440532013000",
            "ann@x.test",
            "at",
            "gmail dot com",
            "12 High Street",
            "born",
            "1 May 1990",
            "https://a.test/?k=1",
            "Chicago",
            "watched",
            "Frau",
            "von",
            "\u200b",
            "Kowalskiej",
            "www.",
            ", ",
            "(2019)",
            "“",
            "”",
        ]
    ),
    max_size=14,
).map(" ".join)


@FAST
@given(st.one_of(TRICKY, SCRAPS), st.sampled_from(("rules", "plain")))
def test_spans_are_in_range_sorted_and_disjoint(text: str, tier: str) -> None:
    spans = mask(text, BOOK, Titles(("Chicago", "Told Anna")), tier=tier, previous="my birthday, call me")
    last = 0
    for span in spans:
        assert last <= span.start < span.end <= len(text)
        assert span.type in TYPES
        last = span.end
    assert rendered(text, spans, lambda span: text[span.start : span.end]) == text


@FAST
@given(SCRAPS)
def test_masked_output_holds_nothing_more_to_find(text: str) -> None:
    once = hidden(text, BOOK, "plain")
    assert not [
        s
        for s in mask(once, NOBODY, NONE, tier="rules")
        if s.type in ("EMAIL", "PHONE", "CARD", "IBAN", "LINK")
    ]


@FAST
@given(TRICKY)
def test_folding_keeps_every_place(text: str) -> None:
    result = folded(text)
    if result.starts:
        assert len(result.text) == len(result.starts) == len(result.ends)
        assert all(0 <= a < b <= len(text) for a, b in zip(result.starts, result.ends, strict=True))
    else:
        assert result.text == text


@pytest.mark.parametrize(
    "piece",
    [
        "1",
        "1 ",
        "a@",
        "a@a.",
        "0 1-",
        "a.",
        "Anna ",
        "aa aa at ",
        "x://",
        "http://a.b/",
        "12 a st ",
        "via A ",
        "DE89 ",
        "(",
        "\u0301",
        "<",
        "%",
        "=",
        "am A 1",
        "ul. A ",
        "of July 1 ",
        "'",
        "a-",
        "born 1",
    ],
)
def test_nothing_backtracks(piece: str) -> None:
    """A pattern that is not linear would not come to an end here; bench/mask.py has the times."""
    digits = sum(map(str.isdigit, piece))
    text = piece * min(30_000 // len(piece), DIGITS_MAX // max(1, digits))
    shown(text, ENGLISH, mask(text, BOOK, Titles(("a a", "anna")), previous=text))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("give it to Mrs Qurvandil please", "give it to [PERSON] please"),
        ("Herr Prof. Dr. Qurvandil kommt", "[PERSON] kommt"),
        ("soy Qurvandil, ya voy", "soy [PERSON], ya voy"),
        ("klingel bei Qurvandil", "klingel bei Qurvandil"),
        ("who's Qurvandil?", "who's [PERSON]?"),
        ("Qurvandil and her sister came", "[PERSON] and her sister came"),
        ("watched Mr Qurvandil last night", "watched Mr Qurvandil last night"),
        ("Emma came by", "Emma came by"),
    ],
)
def test_the_tier_rules_takes_strangers_by_cues_alone(text: str, left: str) -> None:
    assert hidden(text, tier="rules") == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("tracking no. 1Z 999 AA1 0123 4567 84 is out", "tracking no. 1Z 999 AA1 0123 4567 84 is out"),
        ("fixo: 21 555 01 98", "fixo: [PHONE]"),
        ("it is 555-0142, ask for the manager", "it is [PHONE], ask for the manager"),
        ("moro na Rua do Sol 57, 3º Dto, 1250-024 Lisboa", "moro na [ADDRESS]"),
        ("wir wohnen Am Alten Markt 3", "wir wohnen [ADDRESS]"),
        ("adres: Piotrkowska 87/3, Łódź", "adres: [ADDRESS]"),
        ("Annie Hall is overrated", "Annie Hall is overrated"),
        ("jestem u Kacpra", "jestem u [PERSON]"),
    ],
)
def test_second_round(text: str, left: str) -> None:
    assert hidden(text, tier="plain") == left


def test_an_everyday_name_of_the_inbox_before_a_verb() -> None:
    book = People((Person("name:h", "Hope Ansell"), Person("name:p", "Paz Molina")))
    for text, name in (("Hope is here", "Hope"), ("Paz no viene", "Paz"), ("did you and Hope meet", "Hope")):
        assert [text[s.start : s.end] for s in mask(text, book, NONE, tier="rules")] == [name]
    for text in ("I hope she is here", "Paz y tranquilidad", "Hope you are well"):
        assert not mask(text, book, NONE, tier="rules")


@pytest.mark.parametrize("text", ["word " * 11_000, "1 " * 4_500])
def test_what_is_too_long_to_read_is_hidden_whole(text: str) -> None:
    spans = mask(text, BOOK, NONE)
    assert [(s.start, s.end) for s in spans] == [(0, len(text))]
    assert not shown(text, ENGLISH, spans) and not shown(text, ENGLISH, ())


@pytest.mark.parametrize(
    ("name", "most"), [("hand", 0.05), ("held", 0.03), ("fresh", 0.12), ("unseen", 0.20), ("probe", 0.05)]
)
def test_the_lines_written_by_hand_stay_within_the_bars(name: str, most: float) -> None:
    path = HAND.with_name(f"{name}.jsonl")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    leaks = personal = over = clean = 0
    for line in lines:
        people = People(Person(f"name:{name}", name) for name in line["contacts"])
        spans = mask(line["text"], people, NONE)
        if line["spans"]:
            personal += 1
            covered = {i for s in spans for i in range(s.start, s.end)}
            leaks += any(
                i not in covered
                for s in line["spans"]
                for i in range(s["start"], s["end"])
                if line["text"][i].isalnum()
            )
        else:
            clean += len(line["text"])
            over += sum(s.end - s.start for s in spans)
    assert len(lines) >= 40
    assert leaks / personal <= most
    assert over / clean <= 0.015


def run(*arguments: str, stdin: str) -> tuple[int, list[dict[str, object]], str]:
    result = CliRunner().invoke(app, list(arguments), input=stdin)
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()], result.stderr


COMMAND = ("mask",) if len(app.registered_commands) > 1 else ()


def test_the_command() -> None:
    code, out, _ = run(
        *COMMAND, stdin='{"id": 1, "text": "ring Anna on 07700 900123, anna!", "contacts": ["Anna K"]}\n'
    )
    assert code == 0
    first, second = (piece.split("]")[0] for piece in str(out[0]["masked"]).split("[person ")[1:])
    assert first == second and len(first) == 8
    assert out[0]["spans"] == [
        {"start": 5, "end": 9, "type": "PERSON"},
        {"start": 13, "end": 25, "type": "PHONE"},
        {"start": 27, "end": 31, "type": "PERSON"},
    ]


@pytest.mark.parametrize("bad", ['{"id": 2}', "nonsense", '{"id": 2, "text": 5}', "[" * 100000, "\udc00"])
def test_a_bad_line_is_named(bad: str) -> None:
    stdin = b'{"id": 1, "text": "ok"}\n' + bad.encode("utf-8", "surrogatepass") + b"\n"
    result = CliRunner().invoke(app, list(COMMAND), input=stdin)
    assert result.exit_code == 2
    assert "line 2" in result.stderr and result.stderr.count("\n") == 1 and "Traceback" not in result.stderr


def test_full_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from byleave.words import ner

    monkeypatch.setattr(ner, "find_spec", lambda name: None)
    ner.reader.cache_clear()
    code, out, err = run(*COMMAND, "--tier", "full", stdin="")
    assert code == 2 and out == [] and "byleave[ner]" in err and err.count("\n") == 1
    with pytest.raises(Refused, match=r"byleave\[ner\]"):
        mask("then Qurvandil rang the bell", BOOK, NONE, tier="full")


def test_span_is_a_value() -> None:
    assert Span(1, 2, "PHONE") == Span(1, 2, "PHONE", None)
