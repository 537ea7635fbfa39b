"""What a text has to offer: names, numbers, addresses, labelled values, sentences. Found lazily, once each.

Strings are returned as they stand in the text, so that a reply is grounded in it.
"""

# ruff: noqa: RUF001  (full-width and typographic signs are what texts hold)

import re
from collections.abc import Iterable
from functools import cached_property

from stream.simulator.figures import AmountFound, DateFound, amounts_in, currency_in, dates_in, percentages_in
from stream.simulator.language import language_of
from stream.simulator.line_items import LineItem, line_items_in

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}")
_URL = re.compile(r"\b(?:https?://|www\.)[^\s<>\"')\]]{3,200}")
_PHONE = re.compile(r"(?<![\w.])(?:\+|00)\d[\d ()/.-]{6,18}\d\b")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_VAT_ID = re.compile(
    r"\b(?:ATU|BE|BG|CY|CZ|DE|DK|EE|EL|ES|FI|FR|GB|HR|HU|IE|IT|LT|LU|LV|MT|NL|PL|PT|RO|SE|SI|SK"
    r"|CHE-)[A-Z0-9]?\d{7,11}(?:B\d\d)?\b"
)
_CODE = re.compile(r"(?<![\w/#-])(?:[A-Z][\w/-]{2,40}|#\d{2,12})(?![\w/-])")
_CODE_LIKE = re.compile(r"#|[A-Z]{1,6}[-/]?[A-Z0-9]*[-/\d]")
_QUOTED = re.compile("[\"“„«»']([^\"“”„«»'\n]{3,80})[\"”“«»']")
_LABELLED = re.compile(
    r"^[ \t>*•|-]{0,6}([^\W\d_][^:=\n|]{0,40}?)[ \t]{0,20}[:=|][ \t]{0,20}(\S[^\n]{0,200})$", re.MULTILINE
)
_LEGAL_FORM = (
    r"GmbH(?: & Co\. KG)?|GMBH|LTD\.?|INC\.?|CORP\.?|AG|SE|UG|KG|OHG|e\.K\.|Ltd\.?|Limited|LLP|LLC|Inc\.?"
    r"|Corp\.?|PLC|plc|SARL|S\.A\.R\.L\."
    r"|SAS|S\.A\.S\.|SA|S\.A\.|SL|S\.L\.|S\.p\.A\.|S\.r\.l\.|SRL|B\.?V\.?|N\.?V\.?|Oy|AB|A/S|AS|ApS"
    r"|Sp\. z o\.o\.|K\.K\.|Pty|Co\."
)
_NAME_WORD = r"[A-ZÀ-ÖØ-ÞŁŚŻ0-9][\w&'’.-]{0,40}"
_JOINING = "&|and|und|et|y|of|du|de|de la|des|della|van|von|der"
_COMPANY = re.compile(
    rf"(?<![\w&.-])((?:{_NAME_WORD}[ \t]{{1,4}}(?:(?:{_JOINING})[ \t]{{1,4}})?){{1,5}}(?:{_LEGAL_FORM}))(?![\w])"
)
_KANJI_COMPANY = re.compile(r"株式会社[^\s、。,：:御様()（）]{1,20}|[^\s、。,：:()（）]{1,20}株式会社")
_INTRODUCED = re.compile(
    r"(?:[Mm]y name is|[Ii]ch hei(?:ß|ss)e|[Mm]ein Name ist|[Jj]e m'appelle|[Mm]e "
    r"llamo)\s+((?:[A-ZÀ-ÞŁ][\w'-]+[ ]?){1,3})"
)
_SIGNED = re.compile(
    r"(?:regards|best|cheers|thanks|sincerely|grüßen?|gruss|cordialement|saludos|saluti|groet(?:en)?)[,.!]?"
    r"[ \t]{0,20}\n[ \t\n]{0,20}"
    r"((?:[A-ZÀ-ÞŁ][\w.'-]+[ ]?){1,3})\s*$",
    re.IGNORECASE | re.MULTILINE,
)
_SENTENCE = re.compile(r"[^.!?。！？\n]{2,400}(?:[.!?](?!\s|$)[^.!?。！？\n]{0,200})*[.!?。！？]*")
_GREETING = re.compile(
    r"^(?:hi|hello|hey|dear|good (?:morning|day|evening)|hallo|guten (?:tag|morgen|abend)|sehr geehrte"
    r"|bonjour|hola|ciao|buongiorno|beste)\b"
    r"[^,!.\n]{0,40}(?:[,!.]+\s*|$)",
    re.IGNORECASE,
)
_PART = re.compile(r"^[A-Za-z][A-Za-z_ ]{1,30}: ")
_TOKEN = re.compile(r"[^\W_]+")


def tokens_of(name: str) -> tuple[str, ...]:
    """A name as lower-case words: `invoiceNumber`, `invoice_number` and `Invoice number` are the same."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return tuple(_TOKEN.findall(spaced.lower()))


class Evidence:
    """One text's offer. text: as returned by `event_text`."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def lower(self) -> str:
        return self.text.lower()

    @cached_property
    def emails(self) -> list[str]:
        return _unique(_EMAIL.findall(self.text))

    @cached_property
    def urls(self) -> list[str]:
        return _unique(url.rstrip(".,;:!?") for url in _URL.findall(self.text))

    @cached_property
    def phones(self) -> list[str]:
        return _unique(_PHONE.findall(self.text))

    @cached_property
    def ibans(self) -> list[str]:
        return _unique(_IBAN.findall(self.text))

    @cached_property
    def vat_ids(self) -> list[str]:
        return _unique(_VAT_ID.findall(self.text))

    @cached_property
    def quoted(self) -> list[str]:
        return _unique(one.strip() for one in _QUOTED.findall(self.text))

    @cached_property
    def dates(self) -> tuple[DateFound, ...]:
        return dates_in(self.text)

    @cached_property
    def without_dates(self) -> str:
        """The text with dates blanked out, lengths kept, so that they aren't read as amounts."""
        text = self.text
        for found in self.dates:
            text = text[: found.start] + " " * (found.end - found.start) + text[found.end :]
        return text

    @cached_property
    def amounts(self) -> tuple[AmountFound, ...]:
        return amounts_in(self.without_dates)

    @cached_property
    def percentages(self) -> tuple[float, ...]:
        return percentages_in(self.text)

    @cached_property
    def currency(self) -> str:
        return next((amount.currency for amount in self.amounts if amount.currency), "") or currency_in(self.text)

    @cached_property
    def language(self) -> str:
        return language_of(self.text)

    @cached_property
    def line_items(self) -> tuple[LineItem, ...]:
        return line_items_in(self.without_dates)

    @cached_property
    def codes(self) -> list[str]:
        """Things like `INV-2024-001`, `#4711`, `PO/77`."""
        taken = {*self.ibans, *self.vat_ids}
        found = (code.rstrip("-/") for code in _CODE.findall(self.text) if _CODE_LIKE.match(code))
        return _unique(code for code in found if code not in taken and any(map(str.isdigit, code)))

    @cached_property
    def labels(self) -> dict[tuple[str, ...], str]:
        """Values by the words of the label before them, the first of each."""
        found: dict[tuple[str, ...], str] = {}
        for label, value in _LABELLED.findall(self.text):
            found.setdefault(tokens_of(label), value.strip(" \t|*"))
        return found

    def labelled(self, wanted: Iterable[str]) -> str | None:
        """The value whose label holds all these words, the shortest such label first; None if there is none."""
        words = set(wanted)
        fitting = [label for label in self.labels if words and words <= set(label)]
        return self.labels[min(fitting, key=len)] if fitting else None

    @cached_property
    def companies(self) -> list[str]:
        """Names that end in a legal form, in the order of the text."""
        return _unique([one.strip() for one in _COMPANY.findall(self.text)] + _KANJI_COMPANY.findall(self.text))

    @cached_property
    def person(self) -> str | None:
        """Whoever introduces themselves or signs."""
        match = _INTRODUCED.search(self.text) or _SIGNED.search(self.text)
        return match[1].strip() if match else None

    @cached_property
    def sentences(self) -> list[str]:
        """Sentences of three words or more (in scripts without spaces: six letters), greetings left out.

        Lines that are a labelled part of the event (`subject: …`) come last, without the label.
        """
        sentences: list[str] = []
        parts: list[str] = []
        for raw in _SENTENCE.findall(self.text):
            plain = raw.strip(" \t>*•-|#")
            sentence = _GREETING.sub("", _PART.sub("", plain))
            if sentence.count(" ") >= 2 or (len(sentence) >= 6 and ord(max(sentence)) > 0x2E80):
                (parts if _PART.match(plain) else sentences).append(sentence)
        return sentences + parts

    @cached_property
    def title(self) -> str | None:
        """The subject line, else the first line."""
        for label in ("subject", "betreff", "objet", "asunto", "title"):
            if (value := self.labelled([label])) is not None:
                return value
        lines = [line.strip(" \t#*>-|=") for line in self.text.splitlines()[:200]]
        return next((line for line in lines if line and not _PART.match(line)), None)

    @cached_property
    def words(self) -> list[str]:
        """The longer words, the commonest first."""
        counts: dict[str, int] = {}
        for word in re.findall(r"[^\W\d_]{5,30}", self.lower):
            counts[word] = counts.get(word, 0) + 1
        return sorted(counts, key=lambda word: -counts[word])


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
