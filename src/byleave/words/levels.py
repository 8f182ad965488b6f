"""One quoting level of a mail, read line by line: which lines are its owner's, and where that ends.

The rules stand in `quotes`; here they are kept, each cue by one method that returns the index of the next
line to read, or the same index where the cue does not apply.
"""

from __future__ import annotations

import re
from typing import Final

from byleave.model import Handle
from byleave.words import cues
from byleave.words.attribution import (
    BRACKETED,
    ENDED,
    FURNITURE,
    MARK,
    RULE,
    SNIP,
    TIMED,
    VERB,
    WINDOW,
    Line,
    address,
    attribution_at,
    could_end,
    fold,
    opens,
)
from byleave.words.blocks import (
    COMMENT,
    END,
    Memo,
    block_at,
    fields,
    heading_above,
    lotus_at,
    separates,
    tagged_to,
)

DEEPEST: Final = 12
"""Levels of quoting that are read; what is deeper has no known author."""
NARROWEST: Final = 58
"""Columns from which on a marked line may have been wrapped by a client, its rest having lost the mark."""

Label = tuple[Handle | None, str]
NOBODY: Final[Label] = (None, "quote")
ATTRIBUTION: Final[Label] = (None, "attribution")
FOOTER: Final[Label] = (None, "footer")


class Mail:
    """The mail being split: its text and author, which cues occur in it at all, the label of each line."""

    def __init__(self, text: str, author: Handle | None, *, reply: bool, forward: bool) -> None:
        self.text, self.author, self.reply, self.forward = text, author, reply, forward
        self.labels: dict[int, Label] = {}
        self.memo: Memo = {}
        low = fold(text)
        self.footers = tuple(c for c in cues.FOOTERS if c in low)
        self.doubtful = tuple(c for c in cues.DOUBTFUL_FOOTERS if c in low)
        self.closing = tuple(c for c in cues.CLOSING_FOOTERS if c in low)
        self.banners = tuple(c for c in cues.BANNERS if c in low)
        self.invitations = tuple(c for c in cues.INVITATIONS if c in low)
        self.verbs = VERB.search(low) is not None
        self.tags = any(tag in low for tag in ("[quote", "<quote", "{quote"))

    def mark(self, lines: list[Line], label: Label) -> None:
        for line in lines:
            self.labels[line.start] = label


class Region:
    """The lines of one quoting level, read from top to bottom. In a `lost` one marks were torn off, so that
    no line in it can name an author."""

    def __init__(self, mail: Mail, lines: list[Line], label: Label, depth: int, lost: bool) -> None:
        self.mail, self.lines, self.depth = mail, lines, depth
        self.label = label
        """Whose the next unmarked line is."""
        self.owner = label
        self.clean = True
        """Whether unmarked text is still the owner's (rule 4)."""
        self.run_author: Handle | None = None
        self.run_mark = ""
        self.stacked = False
        """The attribution line above has another one under it: then neither names the quote's author."""
        self.seen = False
        """Some unmarked text of the owner has stood here."""
        self.marked = [self._marked(line) for line in lines]
        self.signed_at = -1
        self.paragraph = 0
        self.rule_at = -1
        self.long_rule_at = -1
        """The first of the long lines of dashes under the last quote: advertisements stand between two."""
        self.torn = False
        """The attribution above lost a mark: the next run's levels cannot be told."""
        self.lost = lost
        """Unmarked text of unknown extent has begun: a header block in it names nobody either."""
        self.one_paragraph = False
        """The label holds to the next blank line only."""

    def _marked(self, line: Line) -> re.Match[str] | None:
        if not line.said or (line.said.startswith("-----original message-----") and line.at == line.start):
            return None
        return MARK.match(self.mail.text, line.at, line.end)

    def run(self) -> bool:
        """Labels the lines; True if the unmarked ones were the owner's to the end."""
        index, count = 0, len(self.lines)
        while index < count:
            line = self.lines[index]
            if self.marked[index] is not None:
                index = self.quoted(index)
            elif not line.said:
                self.blank(index)
                index += 1
            else:
                index = self.unmarked(index)
        return self.clean

    # -- marked lines ----

    def quoted(self, index: int) -> int:
        """A run of lines with one kind of mark, and the blanks between them, read as a region of its own."""
        mark = self.kind(index)
        self.introduced(index)
        end = index
        inner: list[Line] = []
        while end < len(self.lines):
            match = self.marked[end]
            line = self.lines[end]
            if match is None:
                if line.said or not self.goes_on(end, mark):
                    break
                inner.append(line)
            elif self.kind(end) != mark:
                break
            else:
                at = min(match.end(), line.end)
                inner.append(
                    Line(line.start, at, line.end, fold(self.mail.text[at : min(line.end, at + WINDOW)]))
                )
            end += 1
        end = self.bracketed(index, end)
        if self.run_author is not None and not self.run_mark:
            self.run_mark = mark
        author = self.run_author if mark == self.run_mark and mark != "name" else None
        if author is not None and self.resumes(index):
            author = None
        if len(inner) == 1 and self.mail.text[self.lines[index].at :][:6] == ">From ":
            author = None
        if self.depth + 1 >= DEEPEST:
            self.mail.mark(inner, NOBODY)
        elif not Region(self.mail, inner, (author, "quote"), self.depth + 1, self.torn).run():
            self.run_author, self.torn = (
                None,
                True,
            )  # unmarked foreign text began in it, and may go on in the next
        if self.dangles(inner):
            self.run_author = None
            after = self.next_said(end)
            heads = [self.mail.labels[line.start] == ATTRIBUTION for line in inner if line.said]
            under = index > 0 and self.mail.labels[self.lines[index - 1].start] == ATTRIBUTION
            stacked = all(heads) and (under or len(heads) > 1)
            if stacked or (after < len(self.lines) and self.marked[after] is None):
                self.end(NOBODY)
        if self.label[1] == "signature" or self.one_paragraph:
            self.label, self.one_paragraph = self.owner, False
        self.paragraph, self.rule_at, self.long_rule_at = end, -1, -1
        return end

    def bracketed(self, index: int, end: int) -> int:
        """`<< … >>` as AOL quotes, over several lines: all of it is somebody else's, to the end where none closes it."""
        if self.kind(index) != "<" or ">>" in self.lines[end - 1].said:
            return end
        last = next(
            (n for n in range(end, len(self.lines)) if ">>" in self.lines[n].said), len(self.lines) - 1
        )
        self.fill(end, last + 1, NOBODY)
        return last + 1

    def resumes(self, index: int) -> bool:
        """Whether the run goes on, below lines without marks, what stood deeper: it may have lost some."""
        for before in range(index - 1, max(-1, index - 8), -1):
            match = self.marked[before]
            if match is not None:
                return (
                    before < index - 1
                    and MARK.match(self.mail.text, match.end(), self.lines[before].end) is not None
                )
            if not self.lines[before].said:
                return False
        return False

    def dangles(self, inner: list[Line]) -> bool:
        """Whether a marked run ends in an attribution whose quote would stand below, unmarked."""
        said = next((line for line in reversed(inner) if line.said), None)
        return said is not None and self.mail.labels[said.start] == ATTRIBUTION

    def kind(self, index: int) -> str:
        match = self.marked[index]
        assert match is not None
        return "name" if match["name"] else match["mark"].strip().lower()

    def goes_on(self, index: int, mark: str) -> bool:
        """Whether a blank line stands between two marked lines of one kind."""
        after = index + 1
        return after < len(self.lines) and self.marked[after] is not None and self.kind(after) == mark

    def introduced(self, index: int) -> None:
        """A line of the owner's that ends in a colon introduces the quote: by whom it is, is not known."""
        for before in range(index - 1, max(-1, index - 3), -1):
            line = self.lines[before]
            if not line.said:
                continue
            if self.marked[before] is None and self.mail.labels[line.start] != ATTRIBUTION:
                if BRACKETED.match(line.said) or ("@" in line.said and "from" in fields(line.said)):
                    self.mail.labels[line.start] = ATTRIBUTION
                    self.run_author = None
                elif line.said.endswith((":", "：")):
                    self.run_author = None
                    if self.names_someone(line):
                        self.mail.labels[line.start] = ATTRIBUTION
                elif before == index - 1 and len(line.said) < 50 and not line.said.endswith(ENDED):
                    self.run_author = None
                    if self.continues(index, line.said):
                        self.mail.labels[line.start] = NOBODY
                elif before == index - 1 and self.continues(index, line.said):
                    self.mail.labels[line.start] = NOBODY
            return

    def names_someone(self, line: Line) -> bool:
        """Whether a line over a quote is but an address or a name: `Ann Example:`."""
        bare = self.mail.text[line.at : line.end].strip(" \t\r\n:*_>")
        words = bare.split()
        return (
            "@" in bare
            or TIMED.search(line.said) is not None
            or (0 < len(words) <= 3 and all(word[:1].isupper() for word in words))
        )

    def continues(self, index: int, said: str) -> bool:
        """Whether the marked line carries on the sentence of the unmarked line right above it."""
        match = self.marked[index]
        assert match is not None
        head = self.mail.text[match.end() : match.end() + 1]
        return head.islower() and not said.endswith(ENDED)

    # -- unmarked lines ----

    def blank(self, index: int) -> None:
        """A blank line goes with what stands before it."""
        line = self.lines[index]
        before = self.mail.labels[self.lines[index - 1].start] if index else self.label
        self.mail.labels[line.start] = (
            self.label if line.at > line.start and before != ATTRIBUTION else before
        )
        self.paragraph = index + 1
        if self.one_paragraph:
            self.label, self.one_paragraph = self.owner, False
        elif self.label[1] == "signature" and index > self.signed_at + 1 and self.mail.reply:
            self.end(NOBODY)

    def unmarked(self, index: int) -> int:
        line = self.lines[index]
        for look in (
            self.tagged,
            self.separator,
            self.lotus,
            self.header_block,
            self.attribution,
            self.footer,
            self.signature,
        ):
            after = look(index)
            if after > index:
                return after
        if self.label[1] == "signature" and index - self.signed_at > 12:
            self.end(NOBODY)
        if self.broken_wrap(index):
            self.mail.labels[line.start] = NOBODY
            self.label, self.one_paragraph = NOBODY, True
            above = self.said_in_marks(index - 1)
            if "@" in line.said or could_end(line.said) or "@" in above or opens(above):
                self.mail.labels[self.lines[index - 1].start] = NOBODY
                self.run_author, self.torn = None, True
            return index + 1
        if RULE.match(line.said):
            return self.rule(index)
        self.mail.labels[line.start] = self.label
        self.seen = self.seen or self.label == self.owner
        return index + 1

    def end(self, label: Label) -> None:
        """From here on nothing unmarked is the owner's (rule 4)."""
        self.label = self.owner = label
        self.lost = self.lost or label == NOBODY
        self.clean = self.one_paragraph = False

    def broken_wrap(self, index: int) -> bool:
        """Whether an unmarked line right under a marked one may be its rest."""
        if index == 0 or self.marked[index - 1] is None:
            return False
        above = self.lines[index - 1]
        content = self.mail.text[above.at : min(above.end, above.at + WINDOW)].rstrip()
        inner = self.marked[index - 1]
        assert inner is not None
        bare = self.mail.text[inner.end() : min(above.end, inner.end() + WINDOW)].strip(" \t\r\n>|")
        if not bare:
            return self.sandwiched(index)
        width = above.at - above.start + len(content) + 1 + len(self.lines[index].said.split(" ", 1)[0])
        if not content.isascii():
            width += sum(1 for c in content if c > "\u2e80")
        return width >= NARROWEST or not bare.endswith(ENDED) or self.sandwiched(index)

    def sandwiched(self, index: int) -> bool:
        """Whether the unmarked lines from here reach a marked line without a blank."""
        for after in range(index + 1, min(index + 5, len(self.lines))):
            if self.marked[after] is not None:
                return True
            if not self.lines[after].said:
                return False
        return False

    def rule(self, index: int) -> int:
        """A line of dashes: the end of a quoted message, and a suspicion of one in a reply."""
        said = self.lines[index].said
        self.rule_at = index
        if len(said) >= 30 and self.long_rule_at < 0:
            self.long_rule_at = index
        heading = index > 0 and self.lines[index - 1].said and said[0] in "-=~#*+."
        if said.startswith("_" * 16) or (
            self.owner[1] in ("quote", "forward") and len(said) >= 10 and not heading
        ):
            self.end(FOOTER if self.owner[1] == "own" else NOBODY)
        elif self.mail.reply and len(said) >= 5 and not heading:
            self.end(NOBODY)
        self.mail.labels[self.lines[index].start] = self.label
        return index + 1

    # -- cues ----

    def tagged(self, index: int) -> int:
        """`[quote=Ann] … [/quote]` and its kin, nested too: all of it, to the end of the mail where none closes it."""
        if FURNITURE.match(self.lines[index].said):
            self.mail.labels[self.lines[index].start] = ATTRIBUTION
            return index + 1
        after = tagged_to(self.mail.text, self.lines, index) if self.mail.tags else index
        self.fill(index, after, NOBODY)
        return after

    def separator(self, index: int) -> int:
        """`-----Original Message-----`, `Begin forwarded message:` and their kin."""
        said = self.lines[index].said
        if END.match(said) or (COMMENT.match(said) and (said[0] == "-" or not self.seen)):
            self.end(NOBODY)
            self.mail.labels[self.lines[index].start] = ATTRIBUTION
            return index + 1
        how = separates(said, alone=self.stands_alone(index))
        if how is None:
            return index
        self.mail.labels[self.lines[index].start] = ATTRIBUTION
        after = self.next_said(index + 1)
        self.fill(index + 1, after, ATTRIBUTION)
        if after >= len(self.lines):
            self.end((None, how))
            return after
        if self.marked[after] is not None:
            self.run_author, self.run_mark = None, ""
            return after
        block = self.header_block(after, how)
        if block > after:
            return block
        attributed = self.attribution(after)
        if attributed > after:
            return attributed
        self.end((None, how))
        return after

    def stands_alone(self, index: int) -> bool:
        """Blank before and after."""
        return (index == 0 or not self.lines[index - 1].said) and (
            index + 1 >= len(self.lines) or not self.lines[index + 1].said
        )

    def header_block(self, index: int, how: str = "") -> int:
        """`From: … Sent: … To: … Subject: …`: what stands under it is the From's, until the next block."""
        if ":" not in self.lines[index].said and "：" not in self.lines[index].said:
            return index
        on_top = not self.seen and self.depth == 0 and "@" in self.lines[index].said
        if on_top and self.stands_alone(index) and "from" in fields(self.lines[index].said):
            return self.other_patch(index)
        block = block_at(self.lines, self.marked, index, announced=bool(how), memo=self.mail.memo)
        if block is None:
            return index
        after = block.last + 1
        while after < len(self.lines) and self.lines[after].said and self.marked[after] is None:
            after += 1
        body = self.next_said(after)
        author = address(block.sender)
        if not how:
            how = "quote" if self.mail.reply and not self.mail.forward else "forward"
        self.relabel_rule(index)
        if not block.sender:
            self.fill(*heading_above(self.lines, self.marked, index), ATTRIBUTION)
        if self.tears_off(index):
            self.lost = True
        self.fill(index, body, ATTRIBUTION)
        doubtful = self.lost or how == "quote"  # answers between its unmarked lines would show no seam
        if body < len(self.lines) and self.marked[body] is not None:
            doubtful = True
        self.end((None if doubtful or author == self.mail.author else author, how))
        self.run_author, self.run_mark = None, ""
        return body

    def other_patch(self, index: int) -> int:
        """A lone `From:` on top, as git writes it: the patch under it is another's, if not the author's."""
        if address(self.lines[index].said) != self.mail.author:
            self.end((None, "forward"))
        return index

    def lotus(self, index: int) -> int:
        """Lotus Notes: a name, a date, then `To`, `cc`, `Subject` on lines of their own."""
        if not lotus_at(self.lines, index):
            return index
        self.mark_back(index)
        self.end(NOBODY)
        return index

    def mark_back(self, index: int) -> None:
        """The paragraph above, up to four lines, belongs to the block that begins here."""
        at = index - 1
        while at >= 0 and at > index - 5 and self.marked[at] is None:
            self.mail.labels[self.lines[at].start] = NOBODY
            if self.lines[at].said and (at == 0 or not self.lines[at - 1].said):
                break
            at -= 1

    def relabel_rule(self, index: int) -> None:
        """A rule right above a header block is the block's."""
        for at in range(index - 1, max(-1, index - 3), -1):
            if RULE.match(self.lines[at].said):
                self.mail.labels[self.lines[at].start] = ATTRIBUTION
                return

    def attribution(self, index: int) -> int:
        """`On … Ann <ann@x.example> wrote:` over one to four lines; decides what follows."""
        found = attribution_at(self.lines, self.marked, index)
        if found is None:
            return self.weak_attribution(index)
        end, said = found
        author = address(said)
        if author == self.mail.author or self.stacked or self.lost:
            author = None
        self.stacked = False
        self.torn = False
        if self.tears_off(index):
            author = None
        self.fill(index, end, ATTRIBUTION)
        after = end
        while after < len(self.lines) and (not self.lines[after].said or SNIP.match(self.lines[after].said)):
            after += 1
        self.fill(end, after, ATTRIBUTION)
        if after >= len(self.lines):
            return after
        if self.marked[after] is not None:
            self.run_author, self.run_mark = author, self.kind(after)
            return after
        if attribution_at(self.lines, self.marked, after) is not None:
            self.end(NOBODY)
            self.stacked = True
            return after
        self.lost = True
        block = self.header_block(after)
        if block > after:
            return block
        self.end(NOBODY)
        self.run_author = None
        return after

    def tears_off(self, index: int) -> bool:
        """Whether an attribution stands right under a marked line: then that line is its head, torn off by a
        lost mark, and the marks below count from another level."""
        if index == 0 or not (
            self.marked[index - 1] is not None or (self.one_paragraph and self.label == NOBODY)
        ):
            return False
        self.mail.labels[self.lines[index - 1].start] = ATTRIBUTION
        self.torn = True
        return True

    def said_in_marks(self, index: int) -> str:
        """The folded words of a marked line, all marks off."""
        line = self.lines[index]
        return fold(self.mail.text[line.at : min(line.end, line.at + WINDOW)]).lstrip("> |")

    def weak_attribution(self, index: int) -> int:
        """Prose that ends in "…, he wrote:": the passage under it is not the author's."""
        said = self.lines[index].said
        if not self.mail.verbs or not said.endswith((":", "：")) or not VERB.search(said[-60:]):
            return index
        after = self.next_said(index + 1)
        told = after < len(self.lines) and self.marked[after] is not None
        self.fill(index, after, ATTRIBUTION if told else self.label)
        if after < len(self.lines) and not told:
            self.label, self.one_paragraph = NOBODY, True
        self.run_author = None
        return after

    def footer(self, index: int) -> int:
        """Footers of lists, scanners and lawyers, invitations, and a gateway's banner on top."""
        said = self.lines[index].said
        mail = self.mail
        if mail.banners and not self.seen and any(c in said for c in mail.banners):
            return self.doubt(index, FOOTER)
        if mail.footers and any(c in said for c in mail.footers):
            self.back_to_rule(index)
            self.end(FOOTER)
        elif mail.invitations and any(c in said for c in mail.invitations):
            if self.seen:
                return self.doubt(index, NOBODY)
            self.back_to_paragraph(index, NOBODY)
            self.end(NOBODY)
        elif mail.closing and self.closes(index) and any(c in said for c in mail.closing):
            self.back_to_rule(index)
            self.end(FOOTER)
        elif mail.doubtful and any(c in said for c in mail.doubtful):
            if not self.closes(index):
                return self.doubt(index, FOOTER)
            self.back_to_rule(index)
            self.end(FOOTER)
        else:
            return index
        mail.labels[self.lines[index].start] = self.label
        return index + 1

    def closes(self, index: int) -> bool:
        """Whether a line of dashes or a signature line stands a few lines above."""
        return (self.rule_at >= 0 and index - self.rule_at <= 4) or self.label[1] == "signature"

    def doubt(self, index: int, label: Label) -> int:
        """This paragraph alone is not the owner's."""
        self.back_to_paragraph(index, label)
        self.label, self.one_paragraph = label, True
        self.mail.labels[self.lines[index].start] = self.label
        return index + 1

    def back_to_paragraph(self, index: int, label: Label) -> None:
        for at in range(max(self.paragraph, index - 40), index):
            if self.marked[at] is None and self.mail.labels[self.lines[at].start][1] in ("own", "signature"):
                self.mail.labels[self.lines[at].start] = label

    def back_to_rule(self, index: int) -> None:
        """A footer begins at the line of dashes above it, or at its paragraph."""
        if self.rule_at >= 0 and index - self.rule_at <= 4:
            self.paragraph = self.rule_at
        if self.long_rule_at >= 0 and index - self.long_rule_at <= 30:
            self.paragraph = self.long_rule_at
        self.back_to_paragraph(index, FOOTER)

    def signature(self, index: int) -> int:
        """`-- ` or a phone's "Sent from my …": the owner's, to the next blank line or a dozen lines."""
        said = self.lines[index].said
        if said in ("--", "—", "–", "- --") or said.startswith("-----begin pgp signature"):
            if self.label[1] == "signature" and self.signed_at >= 0 and index - self.signed_at > 1:
                self.end(FOOTER)
                self.mail.labels[self.lines[index].start] = FOOTER
                self.paragraph = index
                return index + 1
        elif not said.startswith(cues.MOBILE) or len(said) > 100:
            return index
        if self.owner != FOOTER:
            self.label, self.one_paragraph = (self.owner[0], "signature"), False
            self.signed_at = self.paragraph = index
        self.mail.labels[self.lines[index].start] = self.label
        return index + 1

    # -- small steps ----

    def next_said(self, index: int) -> int:
        while index < len(self.lines) and not self.lines[index].said:
            index += 1
        return index

    def fill(self, first: int, after: int, label: Label) -> None:
        self.mail.mark(self.lines[first:after], label)
