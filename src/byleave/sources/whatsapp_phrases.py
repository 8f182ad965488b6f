"""What WhatsApp itself writes into an export, by language. Data only; sources/whatsapp.py gives it meaning.

Phrases were collected from exports' published descriptions; a language that is missing here still imports: its
notices without a sender are notices by their shape, and on iOS by the mark U+200E before them.
"""

from __future__ import annotations

import re

AM, PM, NOON = 0, 12, -1

HALF_DAYS: dict[str, int] = {
    word: half
    for half, words in {
        AM: "am vorm fm dop ap de sa öö пр пре проб 上午 凌晨 清晨 早上 午前 오전 ص صباحا קודם לפנהצ πμ "
            "pg पूर्वाह्न পূর্বাহ্ণ ก่อนเที่ยง قظ ጥዋት pd",
        PM: "pm nachm em odp ip du ch ös сл слоб 下午 晚上 傍晚 午後 오후 م مساء אחהצ μμ "
            "ptg अपराह्न অপরাহ্ণ หลังเที่ยง بظ ከሰዓት md",
        NOON: "中午",
    }.items()
    for word in words.split()
}  # fmt: skip
"""Half-day words, folded: lower case without dots, spaces and quotes."""

TITLES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"WhatsApp[ -]Chat(?:t)?(?: with| mit| met| med| -|-) (.+)",
        r"WhatsApp-chatt?(?: met| med| -) (.+)",
        r"Chat (?:de )?WhatsApp (?:con|com|cu|dengan|-) (.+)",
        r"(?:Discussion|Conversation) WhatsApp (?:avec|-) (.+)",
        r"Conversa do WhatsApp (?:com|-) (.+)",
        r"Cza[tc] WhatsApp (?:z|-) (.+)",
        r"(.+) ile WhatsApp Sohbeti",
        r"Чат WhatsApp (?:с|со|-) (.+)",
        r"Chat WhatsApp (?:con|-) (.+)",
        r"WhatsApp - (.+)",
    )
)
"""Names of files, zips and folders that tell the chat's name (group 1)."""

DELETED = frozenset({
    "this message was deleted", "you deleted this message", "message deleted by admin",
    "this message was deleted by admin", "diese nachricht wurde gelöscht", "du hast diese nachricht gelöscht",
    "se eliminó este mensaje", "eliminaste este mensaje", "este mensaje fue eliminado", "mensaje eliminado",
    "ce message a été supprimé", "vous avez supprimé ce message", "questo messaggio è stato eliminato",
    "hai eliminato questo messaggio", "esta mensagem foi apagada", "mensagem apagada", "você apagou esta mensagem",
    "apagou esta mensagem", "esta mensagem foi eliminada", "eliminou esta mensagem", "dit bericht is verwijderd",
    "je hebt dit bericht verwijderd", "u hebt dit bericht verwijderd", "ta wiadomość została usunięta",
    "usunąłeś tę wiadomość", "usunięto tę wiadomość", "bu mesaj silindi", "bu mesajı sildiniz", "данное сообщение удалено",
    "вы удалили данное сообщение", "det här meddelandet togs bort", "denne besked blev slettet",
    "denne meldingen ble slettet", "tämä viesti poistettiin", "تم حذف هذه الرسالة", "このメッセージは削除されました",
    "此消息已被删除", "삭제된 메시지입니다", "यह मैसेज हटाया गया", "pesan ini dihapus", "ההודעה נמחקה", "tato zpráva byla odstraněna",
})  # fmt: skip

EDITED = frozenset({
    "this message was edited", "diese nachricht wurde bearbeitet", "se editó este mensaje", "este mensaje fue editado",
    "ce message a été modifié", "questo messaggio è stato modificato", "mensagem editada", "esta mensagem foi editada",
    "dit bericht is bewerkt", "dit bericht werd bewerkt", "ta wiadomość została edytowana", "wiadomość edytowana",
    "edytowano wiadomość", "bu mesaj düzenlendi", "сообщение изменено", "данное сообщение изменено", "det här meddelandet har redigerats",
    "denne besked blev redigeret", "denne meldingen ble redigert", "tätä viestiä muokattiin", "تم تعديل هذه الرسالة",
    "このメッセージは編集されました", "此消息已编辑", "편집된 메시지입니다", "pesan ini diedit", "ההודעה נערכה", "tato zpráva byla upravena",
})  # fmt: skip

OMITTED = frozenset({
    "media omitted", "medien ausgeschlossen", "medien weggelassen", "multimedia omitido", "archivo omitido",
    "médias omis", "fichier média omis", "média omis", "media omessi", "media omesso", "mídia oculta", "mídia omitida",
    "arquivo de mídia oculto", "ficheiro não revelado", "multimédia oculto", "media weggelaten", "pominięto multimedia",
    "pominięte multimedia", "plik multimedialny pominięty", "medya dahil edilmedi", "без медиафайлов", "медиафайл пропущен", "media utelämnades",
    "mediefil udeladt", "medier utelatt", "media jätettiin pois", "تم استبعاد الوسائط", "メディアは含まれていません", "省略多媒体文件",
    "미디어 파일 제외됨", "media tidak disertakan", "המדיה לא נכללה", "média vynechána", "मीडिया को निकाला गया",
    "файл не добавлен", "медіафайли пропущено", "медіа пропущено", "без медіафайлів", "media utelämnat", "media utelämnad",
    "mediefil utelämnad", "média vynecháno", "médium vynechané", "médiá vynechané", "bez médií", "média kihagyva",
    "hiányzó médiafájl", "fără media", "media omisă", "fișier media omis", "εξαιρέθηκαν τα πολυμέσα", "εξαιρούνται τα πολυμέσα",
    "multimedia izpuščena", "izostavljeni mediji", "medijski sadržaj izostavljen", "media er udeladt", "medieindhold udeladt",
    "media utelatt", "uten vedlegg", "ไม่รวมไฟล์มีเดีย", "ไฟล์มีเดียถูกละไว้", "tệp media bị loại bỏ", "bỏ qua tệp phương tiện", "без медия",
    "медийният файл е пропуснат", "video note omitted", "view once voice message omitted",
})  # fmt: skip
"""What stands in angle brackets for a file that was not exported (Android)."""

OMITTED_KIND = re.compile(
    r"(?:.{1,120} • .{0,40})?(?:view once |ver una vez )?[\w-]+(?: [\w-]+){0,3} (?:omitted|weggelassen|ausgelassen|omitid[oa]|ocultad[oa]"
    r"|oculto|absente?|manquante?|omise?|retiré|omess[oa]|inclus[oa]|esclus[oa]|weggelaten|pominięt[yaeo]"
    r"|dahil edilmedi|опущено|пропущен[ао]?|utelämnad|udeladt|utelatt)\.?",
    re.IGNORECASE,
)
"""`image omitted` (iOS), the whole text."""

OMITTED_PLAIN = re.compile(
    r"(?:image|video|audio|gif|sticker|document|contact card|bild|dokument|kontaktkarte|imagen|vídeo|documento"
    r"|vidéo|immagine|imagem|áudio|figurinha|afbeelding|obraz|görüntü|ses) (?:omitted|weggelassen|ausgelassen"
    r"|omitid[oa]|ocultad[oa]|absente?|manquant|omis|retiré|omess[oa]|non inclus[oa]|esclus[oa]|weggelaten|pominięt[yo]"
    r"|dahil edilmedi)",
    re.IGNORECASE,
)
"""The same where the export lost its marks: only with the noun."""

ATTACHED = frozenset({
    "file attached", "datei angehängt", "archivo adjunto", "fichier joint", "file allegato", "allegato",
    "arquivo anexado", "ficheiro anexado", "bestand bijgevoegd", "plik dołączony", "załączono plik", "dosya ekli",
    "файл добавлен", "bifogad fil", "fil vedhæftet", "fil vedlagt", "tiedosto liitetty", "ملف مرفق", "添付ファイル",
    "文件附件", "附件", "첨부된 파일", "file terlampir", "קובץ מצורף", "soubor byl přiložen", "फ़ाइल अटैच है",
})  # fmt: skip

CALLS = re.compile(
    r"missed (?:voice|video|group)|(?:voice|video) call|silenced voice|no answer|call (?:back|ended)"
    r"|verpasster? .*(?:anruf|chat)|(?:sprach|video)anruf|(?:llamada|videollamada)|appel (?:vocal|vidéo|manqué)"
    r"|chiamata|videochiamata|(?:chamada|ligação)|gemiste? .*oproep|(?:spraak|video)oproep|nieodebrane|połączenie"
    r"|cevapsız|sesli arama|görüntülü arama|пропущенный|звонок",
    re.IGNORECASE,
)

MEMBERS = re.compile(
    r"created (?:this )?group|created this community| added|\badded | left\b| removed| joined|were added|was added|requested to join"
    r"|changed (?:the|this|their|to|your)|\badmin\b|security code|phone number|contact\b"
    r"|gruppe .*erstellt|hinzugefügt|verlassen|entfernt|beigetreten|geändert"
    r"|creó (?:el|este) grupo|añadi|agreg[óa]|salió|eliminó a|se unió|cambió"
    r"|a créé (?:le|ce) groupe|a ajouté|est parti|a quitté|a retiré|a rejoint|a changé|a modifié"
    r"|ha creato (?:il|questo) gruppo|ha aggiunto|ha abbandonato|è uscit|ha rimosso|ha cambiato|ha modificato"
    r"|criou (?:o|este) grupo|adicionou|saiu|removeu|entrou|mudou|alterou"
    r"|heeft de groep|toegevoegd|verlaten|verwijderd|gewijzigd"
    r"|utworzył|dodał|opuścił|wyszedł|usunął|dołączył|zmienił"
    r"|grubu|ekledi|ayrıldı|çıkardı|katıldı|değiştirdi"
    r"|создал|добавил|покинул|вышел|удалил|присоединил|изменил",
    re.IGNORECASE,
)
"""Who came, went and renamed."""

NOTICES = re.compile(
    r"end-to-end|ende-zu-ende|extremo a extremo|bout en bout|ponta a ponta|crittograf|uçtan uca|сквозн|eind-tot-eind"
    r"|created group \W|changed (?:the )?(?:subject|group|description)|disappearing messages|security code|pinned a message"
    r"|hat (?:die gruppe|den betreff|den gruppennamen)|creó el grupo|cambió el (?:asunto|nombre)|a créé le groupe|a changé (?:le sujet|l.objet|le nom)"
    r"|ha creato il gruppo|ha cambiato l.oggetto|criou o grupo|mudou o (?:nome|assunto)|heeft de groep|heeft het onderwerp"
    r"|utworzył\w* grupę|zmienił\w* temat|grubunu oluşturdu|создал\w* группу|изменил\w* тему",
    re.IGNORECASE,
)
"""Notices whose text may hold a ": " that must not be taken for the end of a name."""


def folded(text: str) -> str:
    """A phrase as the tables have it: lower case, without the full stop at its end."""
    return text.strip().rstrip(".。").lower()
