"""Mails in fourteen clients' styles and seven languages, with the true author of every character.

A thread of one to four messages is written from the first on; each quotes the one before as its client would.
Then the last one is spoiled: wraps break and lose their marks, marks are stripped, two languages mix. People,
words and addresses are invented.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

CLIENT = "client"
"""Who wrote attribution lines, header blocks and footers: nobody in the thread."""

PEOPLE = (
    ("Ann Example", "ann.example@north.example"),
    ("Bob Sample", "bob@south.example"),
    ("Zoë Müller", "zoe-m@west.test"),
    ("Łukasz Próbny", "lukasz_p@mail.east.test"),
    ("Inés de la Prueba", "ines+list@isla.example"),
    ("Jean-Luc O'Test", "jl.otest@host.co.example"),
    ('"Kim, Dae"', "kim@kim.example"),
    ("ben", "ben42@letters.test"),
)

WORDS = {
    "en": "the film was better than I thought and we should see it agai"
    "n on Friday if you have time after work "
    "because my sister wants to come too but she can only stay until ten I will bring the tickets",
    "de": "der Film war besser als ich dachte und wir sollten ihn am Fr"
    "eitag noch einmal sehen wenn du nach der "
    "Arbeit Zeit hast weil meine Schwester auch kommen will aber nur bis zehn bleiben kann",
    "fr": "le film était meilleur que je ne pensais et nous devrions le"
    " revoir vendredi si tu as le temps après "
    "le travail parce que ma sœur veut venir aussi mais elle ne peut rester que jusqu'à dix heures",
    "es": "la película fue mejor de lo que pensaba y deberíamos verla otra vez el viernes si tienes tiempo "
    "después del trabajo porque mi hermana también quiere venir pero solo puede quedarse hasta las diez",
    "pt": "o filme foi melhor do que eu pensava e devíamos vê-lo outra "
    "vez na sexta se tiveres tempo depois do "
    "trabalho porque a minha irmã também quer vir mas só pode ficar até às dez",
    "it": "il film era meglio di quanto pensassi e dovremmo rivederlo venerdì se hai tempo dopo il lavoro "
    "perché anche mia sorella vuole venire ma può restare solo fino alle dieci",
    "pl": "film był lepszy niż myślałem i powinniśmy obejrzeć go jeszcz"
    "e raz w piątek jeśli masz czas po pracy "
    "bo moja siostra też chce przyjść ale może zostać tylko do dziesiątej",
}

GMAIL = {
    "en": "On Mon, Mar 3, 2014 at 12:00 PM {n} <{a}> wrote:",
    "de": "Am Mo., 3. März 2014 um 12:00 Uhr schrieb {n} <{a}>:",
    "fr": "Le lun. 3 mars 2014 à 12:00, {n} <{a}> a écrit :",
    "es": "El lun, 3 mar 2014 a las 12:00, {n} (<{a}>) escribió:",
    "pt": "Em seg., 3 de mar. de 2014 às 12:00, {n} <{a}> escreveu:",
    "it": "Il giorno lun 3 mar 2014 alle ore 12:00 {n} <{a}> ha scritto:",
    "pl": "pon., 3 mar 2014 o 12:00 {n} <{a}> napisał(a):",
}
APPLE = {
    "en": "On 3 Mar 2014, at 12:00, {n} <{a}> wrote:",
    "de": "Am 03.03.2014 um 12:00 schrieb {n} <{a}>:",
    "fr": "Le 3 mars 2014 à 12:00, {n} <{a}> a écrit :",
    "es": "El 3 mar 2014, a las 12:00, {n} <{a}> escribió:",
    "pt": "No dia 3 de mar. de 2014, às 12:00, {n} <{a}> escreveu:",
    "it": "Il giorno 3 mar 2014, alle ore 12:00, {n} <{a}> ha scritto:",
    "pl": "Wiadomość napisana przez {n} <{a}> w dniu 3 mar 2014, o godz. 12:00:",
}
THUNDERBIRD = {
    "en": "On 03/03/2014 12:00, {n} wrote:",
    "de": "Am 03.03.2014 um 12:00 schrieb {n}:",
    "fr": "Le 03/03/2014 à 12:00, {n} a écrit :",
    "es": "El 03/03/2014 a las 12:00, {n} escribió:",
    "pt": "Em 03/03/2014 12:00, {n} escreveu:",
    "it": "Il 03/03/2014 12:00, {n} ha scritto:",
    "pl": "W dniu 03.03.2014 o 12:00, {n} pisze:",
}
WROTE = {
    "en": "wrote",
    "de": "schrieb",
    "fr": "a écrit ",
    "es": "escribió",
    "pt": "escreveu",
    "it": "ha scritto",
    "pl": "napisał(a)",
}
FIELDS = {
    "en": ("From", "Sent", "To", "Subject"),
    "de": ("Von", "Gesendet", "An", "Betreff"),
    "fr": ("De", "Envoyé", "À", "Objet"),
    "es": ("De", "Enviado el", "Para", "Asunto"),
    "pt": ("De", "Enviada em", "Para", "Assunto"),
    "it": ("Da", "Inviato", "A", "Oggetto"),
    "pl": ("Od", "Wysłano", "Do", "Temat"),
}
ORIGINAL = {
    "en": "Original Message",
    "de": "Ursprüngliche Nachricht",
    "fr": "Message d'origine",
    "es": "Mensaje original",
    "pt": "Mensagem original",
    "it": "Messaggio originale",
    "pl": "Wiadomość oryginalna",
}
FORWARD = {
    "en": "Forwarded message",
    "de": "Weitergeleitete Nachricht",
    "fr": "Message transféré",
    "es": "Mensaje reenviado",
    "pt": "Mensagem encaminhada",
    "it": "Messaggio inoltrato",
    "pl": "Przekazana wiadomość",
}
PHONE = {
    "en": "Sent from my iPhone",
    "de": "Von meinem iPhone gesendet",
    "fr": "Envoyé de mon iPhone",
    "es": "Enviado desde mi iPhone",
    "pt": "Enviado do meu iPhone",
    "it": "Inviato da iPhone",
    "pl": "Wysłane z iPhone'a",
}
OUTLOOK = {
    "en": "Get Outlook for iOS<https://aka.example/o>",
    "de": "Outlook für iOS<https://aka.example/o> beziehen",
    "fr": "Télécharger Outlook pour iOS<https://aka.example/o>",
    "es": "Obtener Outlook para iOS",
    "pt": "Obter o Outlook para iOS",
    "it": "Ottieni Outlook per iOS",
    "pl": "Pobierz aplikację Outlook dla iOS",
}

CLIENTS = (
    "gmail web",
    "gmail mobile",
    "apple mail",
    "ios mail",
    "outlook desktop",
    "outlook web",
    "outlook mobile",
    "thunderbird",
    "yahoo",
    "k-9",
    "mutt",
    "pine",
    "gnus",
    "notes",
)
SPOILS = ("none", "broken wraps", "stripped", "first lines", "invisible", "long lines")

FOOTERS = (
    "_______________________________________________\nCinema mailing list\nCinema@lists.example\n"
    "https://lists.example/mailman/listinfo/cinema",
    '-- \nYou received this message because you are subscribed to the Google Groups "cinema" group.\n'
    "To unsubscribe from this group, send an email to cinema+unsubscribe@groups.example.",
    "---------------------------------------------------------------------\n"
    "To unsubscribe, e-mail: cinema-unsubscribe@lists.example",
    "This email and any attachments are confidential and may be privileged. If you are\n"
    "not the intended recipient, please delete it.\n\nExample Films Ltd, registered in England.",
    '--\nTo unsubscribe from this list: send the line "unsubscribe cinema" in\nthe body of a message.',
    "Diese E-Mail wurde von Avast Antivirus auf Viren geprüft.\nwww.avast.example",
)

Row = tuple[str, str]
"""A line and its author."""


@dataclass
class Mail:
    text: str
    owners: list[tuple[int, str]] = field(default_factory=list)
    """(length, author) in order; authors are handles or CLIENT."""
    author: str = ""
    subject: str = ""
    reply: bool = False
    style: str = ""

    def leaks(self, parts: list[tuple[str | None, int, int]]) -> int:
        """Letters and digits that a part gives to somebody who did not write them."""
        return self._count(parts, lambda given, true: given is not None and given != true)

    def lost(self, parts: list[tuple[str | None, int, int]]) -> tuple[int, int]:
        """(own characters not given to the mail's author, own characters)."""
        mine = self._count(parts, lambda given, true: true == self.author)
        kept = self._count(parts, lambda given, true: true == self.author == given)
        return mine - kept, mine

    def _count(self, parts, test) -> int:  # type: ignore[no-untyped-def]
        total, at, index = 0, 0, 0
        for length, true in self.owners:
            end = at + length
            while at < end:
                author, _, stop = parts[index]
                upto = min(end, stop)
                if test(author, true):
                    total += sum(c.isalnum() for c in self.text[at:upto])
                at = upto
                if at == stop:
                    index += 1
        return total


def mail(seed: int) -> Mail:
    """One mail; the same seed gives the same."""
    return _Writer(random.Random(seed)).write()


class _Writer:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.people = rng.sample(PEOPLE, 4)

    def write(self) -> Mail:
        rng = self.rng
        depth = rng.choice((1, 2, 2, 2, 3, 3, 4))
        lang = rng.choice(list(WORDS))
        rows: list[Row] = []
        client = spoil = place = ""
        for level in range(depth):
            if rng.random() < 0.15:
                lang = rng.choice(list(WORDS))
            address = self.people[level % 4][1]
            client = rng.choice(CLIENTS)
            place = rng.choice(("top", "bottom", "inline", "forward"))
            last = level == depth - 1
            spoil = rng.choice(SPOILS) if last or rng.random() < 0.2 else "none"
            rows = self.message(rows, level, f"mail:{address}", client, place, lang, spoil, last)
        reply = depth > 1 and place != "forward"
        prefix = (
            {"forward": "Fwd: "}.get(place, rng.choice(("Re: ", "AW: ", "Odp: ", "RE: ")))
            if depth > 1
            else ""
        )
        owners, text = [], []
        for line, owner in rows:
            text.append(line + "\n")
            owners.append((len(line) + 1, owner))
        author = f"mail:{self.people[(depth - 1) % 4][1]}"
        return Mail(
            "".join(text),
            owners,
            author,
            f"{prefix}tickets",
            reply and rng.random() < 0.9,
            f"{client}/{place}/{spoil}",
        )

    # -- one message ----

    def message(
        self,
        parent: list[Row],
        level: int,
        me: str,
        client: str,
        place: str,
        lang: str,
        spoil: str,
        last: bool,
    ) -> list[Row]:
        rng = self.rng
        if not parent:
            rows = self.prose(me, lang, rng.randint(1, 4))
            return rows + self.ending(me, client, lang, last)
        while parent and not parent[-1][0].strip():
            parent = parent[:-1]
        name, address = self.people[(level - 1) % 4]
        if place == "forward":
            return self.forward(parent, me, client, lang, name, address)
        if client in ("outlook desktop", "outlook web", "outlook mobile", "notes"):
            return self.block_reply(parent, me, client, lang, name, address, last)
        prefix, head = self.attribution(client, lang, name, address)
        if client == "yahoo":
            quoted = [(f" {line}", owner) for line, owner in parent]
            return [*self.prose(me, lang, 2), ("", me), *head, *quoted]
        stripped = spoil == "stripped"
        out: list[Row] = []
        if (place in ("top", "inline") and rng.random() < 0.5) or place == "top":
            out += [*self.prose(me, lang, rng.randint(1, 2)), ("", me)]
            if client == "ios mail":
                out += [(PHONE[lang], me), ("", me)]
        out += head
        paragraph_start = True
        for line, owner in parent:
            blank = not line.strip()
            bare = stripped or (spoil == "first lines" and not paragraph_start and not blank)
            marked = line if bare else self.prefixed(prefix, line)
            wrapped = self.wrap(marked, owner) if spoil == "broken wraps" else [(marked, owner)]
            out += wrapped
            paragraph_start = not line.strip("> \u200b\u200e\ufeff")
            if blank and place == "inline" and rng.random() < 0.5:
                out += [("", me), *self.prose(me, lang, 1), ("", me)]
        if place in ("bottom", "inline"):
            out += [("", me), *self.prose(me, lang, rng.randint(1, 2))]
            out += self.ending(me, client, lang, last)
        elif last and rng.random() < 0.3:
            out += [("", CLIENT), *self.footer()]
        if spoil == "invisible":
            out = [self.invisible(row) for row in out]
        return out

    def prefixed(self, prefix: str, line: str) -> str:
        if prefix == "> " and line.startswith(">"):
            return ">" + line
        return (prefix + line).rstrip() if not line else prefix + line

    def wrap(self, line: str, owner: str) -> list[Row]:
        width = self.rng.choice((72, 76, 78))
        rows: list[Row] = []
        while len(line) > width and " " in line[8:width]:
            cut = line.rindex(" ", 8, width)
            rows.append((line[:cut], owner))
            line = line[cut + 1 :]
        return [*rows, (line, owner)]

    def invisible(self, row: Row) -> Row:
        line, owner = row
        if owner == CLIENT:
            line = line.replace(" ", "\u00a0", 2)
        if line and self.rng.random() < 0.3:
            line = self.rng.choice("\u200b\u200e\ufeff") + line
        return line, owner

    def attribution(self, client: str, lang: str, name: str, address: str) -> tuple[str, list[Row]]:
        rng = self.rng
        prefix = "> "
        if client == "gnus" and rng.random() < 0.4:
            initials = "".join(w[0] for w in name.strip('"').split())
            return f"    {initials}> ", [
                (f'>>>>> "{initials}" == {name} <{address}> writes:', CLIENT),
                ("", CLIENT),
            ]
        line = {
            "gmail web": GMAIL[lang],
            "gmail mobile": GMAIL[lang],
            "apple mail": APPLE[lang],
            "ios mail": APPLE[lang],
            "thunderbird": THUNDERBIRD[lang],
            "yahoo": " " + GMAIL[lang],
            "k-9": "{n} <{a}> " + WROTE[lang] + ":",
            "mutt": rng.choice(
                (
                    "On Mon, Mar 03, 2014 at 12:00:00PM +0100, {n} wrote:",
                    "* {n} <{a}> [2014-03-03 12:00:00 +0100]:",
                    "Quoting {n} <{a}>:",
                )
            ),
            "pine": "On Mon, 3 Mar 2014, {n} wrote:",
            "gnus": rng.choice(
                (
                    "{n} <{a}> writes:",
                    "{n} " + WROTE[lang] + ":",
                    "In article <8f7@news.example>,\n{n} <{a}> writes:",
                )
            ),
        }[client].format(n=name, a=address)
        if client in ("gmail mobile", "gmail web") and rng.random() < 0.5:
            line = line.replace(f" <{address}>", f"\n<{address}>")
        elif rng.random() < 0.3 and len(line) > 60:
            cut = line.rindex(" ", 0, len(line) - rng.randint(2, 25))
            line = line[:cut] + "\n" + line[cut + 1 :]
        head = [(part, CLIENT) for part in line.split("\n")]
        if rng.random() < 0.5:
            head.append(("", CLIENT))
        return prefix, head

    def block(self, client: str, lang: str, name: str, address: str) -> list[Row]:
        rng = self.rng
        f, s, t, b = FIELDS[lang]
        to = "; ".join(n for n, _ in self.people[:2])
        with_address = (
            f"{name} <{address}>" if rng.random() < 0.7 else rng.choice((name, f"{name} [mailto:{address}]"))
        )
        bold = "*" if client == "outlook mobile" and rng.random() < 0.5 else ""
        gap = "\t" if client == "notes" else " "
        rows = [
            f"{bold}{f}:{bold}{gap}{with_address}",
            f"{bold}{s}:{bold}{gap}Monday, March 3, 2014 12:00 PM",
            f"{bold}{t}:{bold}{gap}{to}",
            f"{bold}{b}:{bold}{gap}Re: tickets",
        ]
        if lang == "fr":
            rows = [r.replace(":", " :", 1) for r in rows]
        return [(r, CLIENT) for r in rows] + [("", CLIENT)]

    def block_reply(
        self, parent: list[Row], me: str, client: str, lang: str, name: str, address: str, last: bool
    ) -> list[Row]:
        rng = self.rng
        rows = [*self.prose(me, lang, rng.randint(1, 3)), ("", me)]
        if client == "outlook mobile":
            rows += [(OUTLOOK[lang], me), ("", me)]
        if client == "notes" and rng.random() < 0.5:
            rows += [(f"{name}/Org/Example {WROTE[lang]} on 03/03/2014 12:00:00:", CLIENT), ("", CLIENT)]
            return rows + parent
        if client == "outlook desktop":
            if rng.random() < 0.7:
                rows.append((f"-----{ORIGINAL[lang]}-----", CLIENT))
        elif client != "notes":
            rows.append(("_" * 32, CLIENT))
        rows += self.block(client, lang, name, address) + parent
        if last and rng.random() < 0.3:
            rows += [("", CLIENT), *self.footer()]
        return rows

    def forward(
        self, parent: list[Row], me: str, client: str, lang: str, name: str, address: str
    ) -> list[Row]:
        rng = self.rng
        rows = [*self.prose(me, lang, 1), ("", me)] if rng.random() < 0.7 else []
        dashes = rng.choice(("---------- {} ---------", "-------- {} --------", "-----{}-----"))
        if client in ("apple mail", "ios mail"):
            rows += [
                ("Begin forwarded message:" if lang == "en" else dashes.format(FORWARD[lang]), CLIENT),
                ("", CLIENT),
            ]
            inner = self.block(client, lang, name, address) + parent
            return rows + [(self.prefixed("> ", line), owner) for line, owner in inner]
        rows.append((dashes.format(FORWARD[lang]), CLIENT))
        return rows + self.block(client, lang, name, address) + parent

    # -- words ----

    def prose(self, me: str, lang: str, paragraphs: int) -> list[Row]:
        rng = self.rng
        rows: list[Row] = []
        for number in range(paragraphs):
            if number:
                rows.append(("", me))
            text = " ".join(self.sentence(lang) for _ in range(rng.randint(1, 4)))
            if rng.random() < 0.25:
                rows.append((text, me))
                continue
            rows += [(line, me) for line in _fill(text, rng.choice((64, 72, 76)))]
        return rows

    def sentence(self, lang: str) -> str:
        rng = self.rng
        words = WORDS[lang].split()
        start = rng.randrange(len(words) - 4)
        said = " ".join(words[start : start + rng.randint(1, 16)])
        end = rng.choice((".", ".", ".", "?", "!", "", " :-)"))
        return said[:1].upper() + said[1:] + end

    def ending(self, me: str, client: str, lang: str, last: bool) -> list[Row]:
        rng = self.rng
        rows: list[Row] = []
        chance = rng.random()
        if chance < 0.2:
            rows += [
                ("", me),
                ("-- ", me),
                (next(n for n, a in PEOPLE if me == f"mail:{a}"), me),
                ("+1 555 0100", me),
            ]
        elif chance < 0.3:
            rows += [("", me), (PHONE[lang], me)]
        if last and rng.random() < 0.3:
            rows += [("", CLIENT), *self.footer()]
        return rows

    def footer(self) -> list[Row]:
        return [(line, CLIENT) for line in self.rng.choice(FOOTERS).split("\n")]


def _fill(text: str, width: int) -> list[str]:
    rows, row = [], ""
    for word in text.split():
        if row and len(row) + 1 + len(word) > width:
            rows.append(row)
            row = word
        else:
            row = f"{row} {word}".strip()
    return [*rows, row]
