"""The HTML body of a mail → text in which the quote splitter can see who is quoted.

Rules of this file:

1. What a reader's eyes would not see is not text: script, style, head, comments, `hidden`, `display:none`,
   zero-size fonts, letters in the colour of their ground. Only styles on the element itself are judged;
   a style sheet could hide more, and what it hides then stays in the text.
2. A quote stays a quote: each line of a blockquote, or of what a mail program marks as quoted, begins with
   `>` once a level. An attribution ("On … wrote:") stands before its quote, unmarked, as in plain text.
3. When in doubt it is a quote: behind the header block that Outlook puts above the mail it answers, all is
   quoted; a tree too deep to be read (more than 2,048 levels) is shown as one quote.
4. Linear time, no recursion.
"""

from __future__ import annotations

import re
from typing import Any, Final

import lxml.etree
import lxml.html

MAX_HTML: Final = 8 * 1024 * 1024
"""Bytes of HTML that are read; the rest is left out of the text (it stays in the raw bytes)."""
MAX_LEVEL: Final = 50
MAX_STYLE: Final = 1000
"""Characters of a style attribute that are judged."""

_UNSEEN: Final = frozenset({
    "script", "style", "head", "title", "meta", "link", "template", "noscript", "object", "embed", "applet",
    "iframe", "svg", "math", "audio", "video", "canvas", "select", "option", "textarea", "datalist", "input",
})  # fmt: skip
_BLOCK: Final = frozenset({
    "address", "article", "aside", "blockquote", "body", "center", "dd", "details", "dialog", "div", "dl",
    "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header",
    "hr", "html", "legend", "li", "main", "menu", "nav", "ol", "p", "pre", "section", "summary", "table",
    "tbody", "tfoot", "thead", "tr", "ul", "caption",
})  # fmt: skip
_SPACED: Final = frozenset(
    {"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "blockquote", "pre", "table"}
)

_CONTAINER: Final = re.compile(
    r"(?:x_)*(?:gmail_quote(?:_container)?|yahoo_quoted\w*|yahoo-quoted|protonmail_quote|tutanota_quote|zmail_extra"
    r"|moz-forward-container|moz-email-headers-table|OLK_SRC_BODY_SECTION|mail-editor-reference-message-container"
    r"|ms-outlook-mobile-reference-message|ydp\w*yahoo_quoted)"
)
_ATTRIBUTION: Final = re.compile(r"(?:x_)*(?:gmail_attr|moz-cite-prefix)")
_HEADER: Final = re.compile(r"(?:x_)*(?:OutlookMessageHeader|divRplyFwdMsg)")
_OUTLOOK_RULE: Final = re.compile(
    r"border:none;border-top:solid#(?:e1e1e1|b5c4df)1\.0pt;padding:3\.0pt0(?:in|cm|mm)0(?:in|cm|mm)0(?:in|cm|mm)"
)
_HIDING: Final = re.compile(
    r"(?:^|;)(?:display:none|visibility:(?:hidden|collapse)|mso-hide:all|opacity:0(?:\.0*)?(?:;|$|!)"
    r"|font-size:0(?:\.0*)?(?:px|pt|em|rem|%)?(?:;|$|!)|max-height:0(?:px)?(?:;|$|!).*overflow:hidden"
    r"|overflow:hidden.*max-height:0(?:px)?(?:;|$|!))"
)
_COLOUR: Final = re.compile(r"(?:^|;)color:([#\w(),.%]+)")
_GROUND: Final = re.compile(r"(?:^|;)background(?:-color|-image)?:([^;]+)")
_HEX: Final = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})")
_RGB: Final = re.compile(r"rgb\((\d{1,3}),(\d{1,3}),(\d{1,3})\)")
_NAMED: Final = {"white": "#ffffff", "black": "#000000"}
_SPACES: Final = re.compile(r"[ \t\r\n\f]+")
_TAG: Final = re.compile(r"<[^<>]*>")


def text_of(html: str) -> str:
    """The visible text of `html`: `\\n` line ends, quotes marked with `>`, no blank line twice."""
    source = html[:MAX_HTML].replace("\x00", "").encode("utf-8", "replace")
    # XML's names for itself would overrule the encoding that we have already applied
    parser = lxml.html.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)
    try:
        root = lxml.html.document_fromstring(source, parser=parser)
    except (lxml.etree.LxmlError, ValueError, AssertionError):
        return ""
    text = _Writer().write(root)
    if not text and any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log):
        bare = _TAG.sub(" ", html[:MAX_HTML])
        lines = (" ".join(line.split()) for line in bare.split("\n"))
        return "\n".join(f"> {line}" for line in lines if line)
    return text


class _Writer:
    """One pass over the tree. `level` is the depth of quotes of what is written now."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.pieces: list[str] = []
        self.level = 0
        self.behind = 0
        """Levels opened by Outlook's header blocks; they never close."""
        self.gap = False

    def write(self, root: Any) -> str:
        opened: list[tuple[int, bool, str | None]] = []
        # of each quote that is open: does it take in the next blockquote as its own?
        absorbers: list[bool] = []
        ground: str | None = "#ffffff"
        pre = 0
        walk = lxml.etree.iterwalk(root, events=("start", "end"))
        for event, element in walk:
            tag = element.tag if isinstance(element.tag, str) else ""
            if event == "end":
                if tag in _UNSEEN or not tag:
                    self.say(element.tail, pre)
                    continue
                level, absorbs, ground_before = opened.pop()
                if absorbs:
                    self.line(True)  # at the quote's own level, also where it is a span
                    absorbers.pop()
                if tag in _BLOCK:
                    self.line(tag in _SPACED)
                elif tag in ("td", "th"):
                    self.pieces.append(" ")
                self.level, ground = level, ground_before
                if tag in ("pre", "xmp", "listing"):
                    pre -= 1
                self.say(element.tail, pre)
                continue
            if not tag or tag in _UNSEEN:
                walk.skip_subtree()
                continue
            style = element.get("style") or ""
            if style:
                style = "".join(style[:MAX_STYLE].lower().split())
            before, own = ground, ground
            if style or element.get("bgcolor") or element.get("color"):
                own = _ground(element, style, ground)
            if _hidden(element, style, own):
                # no child is walked, but the end of this element comes: it carries the text behind it
                walk.skip_subtree()
                opened.append((self.level, False, before))
                continue
            if tag in _BLOCK:
                self.line(tag in _SPACED)
            absorbs, level_before = False, self.level
            mark = f"{element.get('class') or ''} {element.get('id') or ''}".split()
            if tag == "blockquote":
                if not (absorbers and absorbers[-1]):
                    self.level += 1
                absorbers.append(False)
                absorbs = True
            elif mark and any(_ATTRIBUTION.fullmatch(word) for word in mark):
                self.line(True)  # or the line above would read as the first half of it
                if absorbers and absorbers[-1]:
                    self.level = max(0, self.level - 1)
            elif mark and any(_CONTAINER.fullmatch(word) for word in mark):
                # with a blockquote in it, that is the quote, and words beside it are an answer in place
                if self.level < MAX_LEVEL and element.find(".//blockquote") is None:
                    self.line(True)
                    self.level += 1
                    absorbers.append(True)
                    absorbs = True
            elif (mark and any(_HEADER.fullmatch(word) for word in mark)) or (
                style and _OUTLOOK_RULE.search(style)
            ):
                self.line(True)
                self.behind += 1
            opened.append((level_before, absorbs, before))
            ground = own
            if tag in ("pre", "xmp", "listing"):
                pre += 1
            if tag == "br":
                self.line(False, force=True)
            elif tag == "img":
                alt = (element.get("alt") or "").strip()
                if alt and len(alt) <= 4 and not any(c.isalnum() for c in alt):
                    self.pieces.append(alt)
            self.say(element.text, pre)
        self.line(False)
        while self.lines and not self.lines[-1].strip("> "):
            self.lines.pop()
        return "\n".join(self.lines)

    def say(self, text: str | None, pre: int) -> None:
        if not text:
            return
        if not pre:
            self.pieces.append(_SPACES.sub(" ", text))
            return
        first, *rest = text.replace("\r\n", "\n").split("\n")
        self.pieces.append(first)
        for line in rest:
            self.line(False, force=True, keep=True)
            self.pieces.append(line)

    def line(self, spaced: bool, force: bool = False, keep: bool = False) -> None:
        """Ends the line. `force` ends an empty one too (`<br>`); `spaced` asks for a blank line after it."""
        text = "".join(self.pieces)
        self.pieces.clear()
        if not keep:
            text = _SPACES.sub(" ", text).strip(" ").replace("\xa0", " ")
        if text.strip():
            if self.gap and self.lines and self.lines[-1].strip("> "):
                self.lines.append(self.marked("", self.lines[-1]))
            self.gap = False
            self.lines.append(self.marked(text))
        elif force and self.lines and self.lines[-1].strip("> "):
            self.lines.append(self.marked(""))
        if spaced:
            self.gap = True

    def marked(self, text: str, above: str | None = None) -> str:
        level = min(self.level + self.behind, MAX_LEVEL)
        if above is not None:  # the blank line between a quote and what is not quoted is nobody's
            level = min(level, len(above) - len(above.lstrip(">")))
        if not level:
            return text
        return ">" * level + (f" {text}" if text else "")


def _hidden(element: Any, style: str, ground: str | None) -> bool:
    if element.get("hidden") is not None:
        return True
    if style and _HIDING.search(style):
        return True
    colour = None
    if style and (found := _COLOUR.search(style)):
        colour = _colour(found[1])
    elif named := element.get("color"):
        colour = _colour(named.lower().strip())
    return colour is not None and colour == ground


def _ground(element: Any, style: str, inherited: str | None) -> str | None:
    """The colour behind the element's letters; None where it cannot be told (a picture, a gradient)."""
    if style and (found := _GROUND.search(style)):
        return (
            None
            if "url(" in found[1] or "gradient" in found[1]
            else _colour(found[1].removesuffix("!important"))
        )
    if named := element.get("bgcolor"):
        return _colour(named.lower().strip())
    if element.get("background"):
        return None
    return inherited


def _colour(word: str) -> str | None:
    word = _NAMED.get(word, word)
    if _HEX.fullmatch(word):
        return word if len(word) == 7 else "#" + "".join(c * 2 for c in word[1:])
    if found := _RGB.fullmatch(word):
        return "#" + "".join(f"{min(int(c), 255):02x}" for c in found.groups())
    return None
