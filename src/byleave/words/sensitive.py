"""Which titles are sensitive (tailoring.md, "No sensitive inference: by type").

A title that speaks of health, faith, love, politics or loss says more of whoever names it than a taste. `themes`
flags by the title's own words, in the six languages of the mask, and would rather flag too much: a flagged title
is left out, nothing else. What words do not tell, two operators say.
"""

from __future__ import annotations

import re
from enum import StrEnum

from byleave.words.gazetteer import fold


class Theme(StrEnum):
    """Why a title is sensitive. Never a partner's to say."""

    HEALTH = "health"
    ADDICTION = "addiction"
    LGBTQ = "lgbtq"
    RELIGION = "religion"
    POLITICS = "politics"
    ETHNICITY = "ethnicity"
    SEXUAL_CONTENT = "sexual-content"
    SUICIDE = "suicide"
    ABUSE = "abuse"
    BEREAVEMENT = "bereavement"


_STEMS: dict[Theme, str] = {
    Theme.HEALTH: r"cancer|krebs|chemotherap\w*|tumou?rs?|leukemia|leukaemia|alzheimer\w*|dementia|demenz|dyslexi\w*|"
    r"autis\w+|asperger\w*|schizo\w+|bipolar|depress\w+|anorexi\w*|bulimi\w*|hiv|aids|epilep\w+|diabet\w+|"
    r"infertil\w*|miscarriage|abort\w*|avortement|abtreibung|disabled|disabilit\w*|psychiatr\w*|asylum|ocd|ptsd",
    Theme.ADDICTION: r"addict\w*|sucht|alcoholi\w*|alkoholi\w*|heroin|cocaine|kokain|crack|opioids?|oxycontin|rehab|"
    r"overdose|junkies?|gambl\w+|drunks?|sober|sobriety|narcotics|meth",
    Theme.LGBTQ: r"gays?|lesb\w+|queers?|trans|transgender\w*|transsexual\w*|bisexual\w*|homosex\w*|lgbt\w*|drag|"
    r"schwul\w*|coming out|nonbinary|intersex|sodom\w*",
    Theme.RELIGION: r"jesus|christ|christian\w*|christus|gospel|bible|bibel|church\w*|catholic\w*|pope|papst|priests?|"
    r"nuns?|islam\w*|muslim\w*|mohammed|muhammad|quran|koran|jihad|jew|jews|jewish|juif\w*|juden|rabbi\w*|torah|"
    r"kosher|hindu\w*|buddh\w*|sikhs?|mormon\w*|scientolog\w*|atheis\w*|god|gods|gott|allah|faith|prayers?|sect|cults?",
    Theme.POLITICS: r"president\w*|election\w*|senator\w*|congress|parliament|communis\w*|marx\w*|lenin|stalin|hitler|"
    r"nazis?|fascis\w*|socialis\w*|capitalis\w*|trump|obama|clinton|brexit|revolution\w*|dictator\w*|propaganda|"
    r"activists?|protest\w*|zionis\w*|palestin\w*|apartheid|suffragette\w*|feminis\w*",
    Theme.ETHNICITY: r"racis\w*|race war|ethnic\w*|negro\w*|immigra\w*|migrants?|refugees?|fluchtling\w*|slavery|slaves?|"
    r"holocaust|genocid\w*|gypsy|gypsies|roma|aborigin\w*|kkk|klan|ku klux|white power|blackface|pogrom\w*|auschwitz",
    Theme.SEXUAL_CONTENT: r"sex|sexo|sexe|sexual\w*|erotic\w*|erotik\w*|porn\w*|nymphomania\w*|prostitut\w*|hookers?|"
    r"escorts?|brothel\w*|bordell\w*|strippers?|orgas\w*|orgy|fetish\w*|bdsm|virgin|virgins|fifty shades|playboy|nude",
    Theme.SUICIDE: r"suicid\w*|selbstmord\w*|suizid\w*|self harm|kill myself|hang myself",
    Theme.ABUSE: r"abus\w+|missbrauch\w*|rape|raped|rapist\w*|viol|vergewalt\w*|molest\w*|incest|pedophil\w*|paedophil\w*|"
    r"grooming|battered|domestic violence|trafficking",
    Theme.BEREAVEMENT: r"grief|griev\w+|mourn\w*|trauer\w*|deuil|luto|widow\w*|witwe\w*|funeral\w*|orphan\w*|stillborn|"
    r"bereave\w*|bereft",
}  # fmt: skip
_PATTERNS = {theme: re.compile(rf"(?<![^\W_])(?:{stems})(?![^\W_])") for theme, stems in _STEMS.items()}
_ANY = re.compile(rf"(?<![^\W_])(?:{'|'.join(_STEMS.values())})(?![^\W_])")


def themes(title: str) -> frozenset[Theme]:
    """The themes that the title's own words tell of."""
    text = fold(title)
    if not _ANY.search(text):
        return frozenset()
    return frozenset(theme for theme, pattern in _PATTERNS.items() if pattern.search(text))
