"""What mail clients write around other people's words, by language: data for `quotes`, and nothing else.

Rules of this table:

1. Everything is matched on folded text: lower case, NBSP and other blanks as one space, no zero-width marks.
2. A missing cue can show somebody's words under another's choice, a needless one only loses an author some
   of their own. So a doubtful cue stays in.
3. Sources: RFC 3676 §4.3 and §4.5 (signature line, quote marks), and what the named clients write in their
   shipped translations.
"""

from __future__ import annotations

from typing import Final

VERBS: Final = (
    # English, and what people put there for fun
    "wrote", "writes", "written", "asks", "adds", "added", "explains", "explained", "points out", "pointed out",
    "observes", "observed", "continued", "continues", "scripsit", "sez", "mumbled", "answers", "suggests", "complained", "schriebst", "schriebt", "meintest", "sagtest", "as écrit", "écrivais", "escribiste",
    "escreveste", "hai scritto", "scrivevi", "napisałeś", "napisałaś", "pisałeś", "pisałaś", "said", "says", "asked", "replied", "replies", "responded",
    "posted", "stated", "scribbled", "spake", "spoke", "opined", "uttered", "typed", "commented",
    "remarked", "noted", "mentioned", "answered", "suggested", "claimed", "sent this", "schrieb",
    "schrieben", "schreibt", "geschrieben", "meinte", "sagte", "a écrit", "a ecrit", "écrit",
    "écrivait", "écrivit", "a dit", "a répondu", "escribió", "escribio", "escribía", "ha escrito",
    "escribe", "dijo", "escreveu", "escreve", "disse", "ha scritto", "scrisse", "scrive", "scritto",
    "napisał", "napisal", "napisała", "pisze", "pisał", "napisano", "napisali", "schreef",
    "schrijft", "skrev", "skriver", "kirjoitti", "kirjoittaa", "napsal", "napsala", "píše",
    "napísal", "napísala", "написал", "написала", "пишет", "писал", "пише", "написав", "написа",
    "yazdı", "yazmış", "yazdi", "yazıyor", "書きました", "書いた", "のメール",
    "さんからのメッセージ", "写道", "寫道", "寫了", "写了", "编写", "編寫", "작성", "썼습니다",
    "írta", "a scris", "έγραψε", "כתב", "כתבה", "كتب", "đã viết", "menulis", "va escriure",
    "napisao", "napisala", "piše", "kirjutas", "rakstīja", "rašė", "idatzi du", "skrifaði",
    "нaписа", "write",
)  # fmt: skip

OPENERS: Final = (
    # The word a date stands behind at the head of an attribution line.
    "wiadomość napisana przez", "wiadomość od", "on", "at", "in", "am", "vom", "zitat", "le", "il",
    "el", "em", "no dia", "dia", "w dniu", "dnia", "dn", "op", "den", "på", "på den", "d.", "dne",
    "dňa", "v", "в", "на", "la", "pe", "στις", "vào", "pada", "ב", "בתאריך", "في", "a", "al", "na",
    "u", "dana", "de", "du", "date", "data", "datum", "from", "quoting", "vào lúc", "lúc", "ons",
    "tor", "fre", "lör", "sön", "mån", "tis", "man", "tir", "lør", "søn", "mon", "tue", "wed",
    "thu", "fri", "sat", "sun", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday",
    "sunday", "mo", "di", "mi", "do", "fr", "sa", "so", "montag", "dienstag", "mittwoch",
    "donnerstag", "freitag", "samstag", "sonntag", "lundi", "mardi", "mercredi", "jeudi",
    "vendredi", "samedi", "dimanche", "lun", "mar", "mer", "mié", "jue", "vie", "sáb", "dom", "seg",
    "ter", "qua", "qui", "sex", "gio", "ven", "sab", "pon", "wt", "śr", "czw", "pt", "sob", "niedz",
    "ma", "ti", "ke", "to", "su", "po", "út", "st", "čt", "pá", "пн", "вт", "ср", "чт", "пт", "сб",
    "вс", "понедельник", "вторник", "среда", "четверг", "пятница", "суббота", "воскресенье",
    "hello", "hi", "also sprach", "thus spake", "once upon a time", "earlier", "yesterday", "today",
    "gestern", "heute",
)  # fmt: skip

QUOTING: Final = (
    "replying to a message of", "replying to", "in a message originally to", "antwort auf eine nachricht von",
    # A line that opens so and ends in a colon is an attribution without a verb.
    "quoting", "zitat von", "zitiere", "citando", "citando a", "cita de", "citazione", "citat från",
    "citat fra", "cytowanie", "cytat", "citerar", "lainaus", "citát", "цитирую", "цитата",
    "citeren", "citaat", "mensaje citado por", "mensagem citada por", "selon", "according to",
    "begin quote from", "in article", "in message", "in reply to", "in <", "in a message dated",
    "in einer nachricht vom", "in einer email vom", "dans un e-mail", "dans un message",
    "en un mensaje", "in un messaggio", "message from", "nachricht von", "message de", "mensaje de",
    "mensagem de", "messaggio di", "this is what",
)  # fmt: skip

FROM: Final = (
    "from", "von", "de", "da", "od", "van", "från", "fra", "lähettäjä", "от", "от кого", "від",
    "kimden", "gönderen", "差出人", "送信者", "发件人", "發件人", "寄件者", "寄件人", "보낸 사람",
    "보낸사람", "발신", "expéditeur", "expediteur", "remitente", "desde", "remetente", "mittente",
    "nadawca", "afzender", "avsändare", "afsender", "avsender", "absender", "feladó", "de la",
    "από", "מאת", "من", "từ", "dari", "odesílatel", "odosielateľ", "saatja", "nuo", "no", "šalje",
    "pošiljatelj", "author", "posted by",
)  # fmt: skip

DATE: Final = (
    "sent", "date", "sent on", "gesendet", "gesendet am", "datum", "envoyé", "envoyé le", "envoye",
    "enviado", "enviado el", "enviado em", "enviada", "enviada em", "enviada el", "fecha", "data",
    "inviato", "data invio", "wysłano", "wysłane", "verzonden", "skickat", "skickades", "sendt",
    "dato", "lähetetty", "päivämäärä", "päiväys", "pvm", "odesláno", "odoslané", "отправлено",
    "дата", "надіслано", "gönderildi", "gönderme tarihi", "tarih", "送信日時", "送信日", "日付",
    "日時", "发送时间", "發送時間", "发送日期", "日期", "寄件日期", "已傳送", "보낸 날짜", "날짜",
    "보냄", "elküldve", "dátum", "trimis", "trimis la", "dată", "στάλθηκε", "ημερομηνία", "נשלח",
    "תאריך", "التاريخ", "ngày", "tanggal", "kuupäev", "received", "poslano", "time",
)  # fmt: skip

TO: Final = (
    "to", "an", "à", "a", "para", "pour", "destinataire", "destinatario", "destinatário", "do",
    "aan", "till", "til", "vastaanottaja", "komu", "pro", "кому", "kime", "alıcı", "宛先", "收件人",
    "收件者", "받는 사람", "받는사람", "címzett", "către", "προς", "אל", "إلى", "đến", "kepada",
    "za", "prima", "adresat", "ontvanger", "mottagare", "modtager", "empfänger", "delivered-to",
    "envelope-to",
)  # fmt: skip

SUBJECT: Final = (
    "subject", "betreff", "betr", "objet", "asunto", "assunto", "oggetto", "temat", "onderwerp",
    "ämne", "emne", "aihe", "předmět", "predmet", "тема", "konu", "件名", "主题", "主題", "主旨",
    "제목", "tárgy", "subiect", "θέμα", "נושא", "الموضوع", "chủ đề", "perihal", "subjek", "sujet",
    "re", "topic", "teema",
)  # fmt: skip

OTHER: Final = (
    "cc", "bcc", "kopie", "copie", "copie à", "copia", "cópia", "dw", "do wiadomości", "kopia",
    "kopi", "kopio", "копия", "копія", "bilgi", "抄送", "副本", "참조", "másolat", "másolatot kap",
    "cci", "cco", "ccn", "reply-to", "antwort an", "répondre à", "responder a", "rispondi a",
    "odpowiedz do", "message-id", "organization", "newsgroups", "importance", "priority",
    "priorität", "importanza", "wichtigkeit", "attachments", "anlagen", "pièces jointes", "sender",
    "return-path", "mime-version", "content-type", "in-reply-to", "references", "message",
    "mailing list", "list-id", "sent by", "user-agent", "x-mailer",
)  # fmt: skip

FORWARDED: Final = (
    # Between dashes, or alone on the line.
    "forwarded message", "forwarded mail", "forwarded by", "begin forwarded message",
    "forwarded from", "start of forwarded message", "start forwarded message", "forwarded",
    "weitergeleitete nachricht", "weitergeleitet", "weitergeleitet von",
    "anfang der weitergeleiteten", "anfang der weitergeleiteten nachricht", "message transféré",
    "message transfere", "message réexpédié", "début du message transféré",
    "début du message réexpédié", "transféré par", "mensaje reenviado",
    "inicio del mensaje reenviado", "reenviado por", "mensagem encaminhada",
    "mensagem reencaminhada", "início da mensagem encaminhada", "início da mensagem reencaminhada",
    "encaminhado por", "messaggio inoltrato", "inizio messaggio inoltrato", "inoltrato da",
    "inizio del messaggio inoltrato", "przekazana wiadomość", "wiadomość przekazana dalej",
    "początek przekazywanej wiadomości", "przekazane przez", "treść przekazanej wiadomości",
    "wiadomość przekazana", "doorgestuurd bericht", "begin doorgestuurd bericht",
    "doorgezonden bericht", "vidarebefordrat meddelande", "vidarebefordrat brev",
    "vidarebefordrat mail", "börja vidarebefordrat meddelande", "videresendt meddelelse",
    "videresendt besked", "start på videresendt besked", "videresendt melding",
    "videresendt e-post", "begynnelse på videresendt melding", "välitetty viesti",
    "edelleen lähetetty viesti", "välitetty viesti alkaa", "přeposlaná zpráva",
    "začátek přeposlané zprávy", "пересылаемое сообщение", "перенаправленное сообщение",
    "пересланное сообщение", "начало переадресованного сообщения",
    "начало переадресованного письма", "iletilen mesaj", "yönlendirilen ileti", "iletilmiş ileti",
    "転送メッセージ", "転送されたメッセージ", "転送されたメール", "转发的邮件", "转发邮件",
    "轉寄郵件", "轉寄的郵件", "开始转发的邮件", "전달된 메일", "전달된 메시지",
    "továbbított üzenet", "mesaj redirecționat", "προωθημένο μήνυμα", "missatge reenviat",
    "original post", "originally posted by", "begin quoted text", "begin quoted message", "begin quote",
    "begin included message", "begin quotation", "start of quoted text", "quoted text", "start quoted text",
    "begin forwarded text", "begin original message", "included message", "start included message",
)  # fmt: skip

ORIGINAL: Final = (
    "original message", "original messages", "originalmessage", "original email", "original mail",
    "original appointment", "reply message", "reply separator", "quoted message",
    "ursprüngliche nachricht", "originalnachricht", "original-nachricht", "originale nachricht",
    "message d'origine", "message d’origine", "message original", "message initial",
    "mensaje original", "mensagem original", "messaggio originale", "messaggio di origine",
    "wiadomość oryginalna", "oryginalna wiadomość", "treść oryginalnej wiadomości",
    "oorspronkelijk bericht", "oorspronkelijk e-mail", "originele bericht", "origineel bericht",
    "ursprungligt meddelande", "originalmeddelande", "oprindelig meddelelse", "original meddelelse",
    "den oprindelige meddelelse", "opprinnelig melding", "original melding", "alkuperäinen viesti",
    "původní zpráva", "původní e-mail", "pôvodná správa", "исходное сообщение",
    "оригинальное сообщение", "исходное письмо", "оригінальне повідомлення", "orijinal mesaj",
    "özgün ileti", "asıl mesaj", "orijinal ileti", "元のメッセージ", "オリジナルメッセージ",
    "原始邮件", "原始郵件", "邮件原件", "原邮件", "원본 메시지", "원본 메일", "eredeti üzenet",
    "mesaj original", "αρχικό μήνυμα", "missatge original", "הודעה מקורית", "الرسالة الأصلية",
    "previous message", "in reply to", "message from", "end original message", "mail original",
)  # fmt: skip

MOBILE: Final = (
    # A line that opens so is a client's own signature.
    "sent from my", "sent from mail for", "sent from yahoo", "sent from outlook",
    "sent from proton", "sent from a ", "sent from samsung", "sent via ", "sent with ",
    "sent using ", "sent from gmail", "sent from the ", "sent on the go", "sent by mobile",
    "get outlook for", "von meinem ", "gesendet von ", "gesendet mit ", "diese nachricht wurde von",
    "holen sie sich outlook", "outlook für ", "envoyé de mon", "envoyé depuis", "envoyé à partir",
    "envoyé avec", "télécharger outlook", "obtenez outlook", "enviado desde", "enviado do meu",
    "enviado do ", "enviado de ", "obtener outlook", "obter o outlook", "inviato da",
    "ottieni outlook", "scarica outlook", "wysłane z", "wysłano z", "pobierz outlook",
    "verstuurd vanaf", "verzonden vanaf", "download outlook", "skickat från", "hämta outlook",
    "sendt fra", "hent outlook", "lähetetty ", "hanki outlook", "odesláno z", "отправлено с",
    "отправлено из", "iphone'umdan", "iphone'dan gönderildi", "iphoneから送信", "从我的",
    "发自我的", "從我的", "나의 iphone에서", "pardon my brevity", "please excuse my brevity",
    "please excuse brevity", "bitte entschuldigen sie die kürze",
    "diese nachricht wurde von meinem", "excusez ma brièveté", "veuillez excuser ma brièveté",
    "-----begin pgp signature-----",
)  # fmt: skip

FOOTERS: Final = (
    # Anywhere in a line: from its paragraph on nothing is the author's.
    "unsubscribe:", "to unsubscribe", "unsubscribe here", "/listinfo", "-unsubscribe@",
    "unsubscribe options", "mailing list info", "mailing list  -", "maillist  -",
    "mailing list submissions", "more majordomo info", "read the posting guide", "list-unsubscribe",
    "subscription options", "manage your subscription", "subscription settings",
    "manage subscription", "you received this message because", "you received this email because",
    "you are receiving this", "you're receiving this", "you got this message because",
    "sie erhalten diese nachricht", "sie erhalten diese e-mail",
    "sie haben diese nachricht erhalten", "vous recevez ce message",
    "vous avez reçu ce message parce", "has recibido este mensaje", "recibiste este mensaje",
    "você recebeu essa mensagem", "recebeu esta mensagem", "hai ricevuto questo messaggio",
    "ricevi questo messaggio", "otrzymujesz tę wiadomość", "otrzymałeś tę wiadomość",
    "je ontvangt dit bericht", "google groups \"", "__._,_.___", "do you yahoo", "visit your group",
    "groups.io group", "next part --------", "attachment was scrubbed", "attachments was scrubbed",
    "non-text attachment", "view it on github", "digest, vol", "today's topics:",
    "view this message in context", "se désinscrire", "désinscri", "désabonn", "darse de baja",
    "cancelar la suscripción", "cancelar suscripción", "cancelar a inscrição", "cancelar inscrição",
    "cancelar a subscrição", "cancella la tua iscrizione", "annullare l'iscrizione", "disiscriv",
    "wypisać się", "rezygnacja z subskrypcji", "aby zrezygnować", "newsletter abbestellen",
    "abmelden:", "zum abmelden", "um sich abzumelden", "vom newsletter abmelden", "austragen:",
    "afmelden:", "uitschrijven", "avprenumerera", "отписаться от", "отказаться от подписки", "退订",
    "取消订阅", "取消訂閱", "配信停止", "checked for viruses", "checked by avg", "virus-free. www",
    "virus database", "auf viren geprüft", "auf viren überprüft", "virenfrei", "absence de virus",
    "logiciel antivirus", "libre de virus", "livre de vírus", "privo di virus", "wolna od wirusów",
    "pod kątem wirusów", "symantec cloud", "gescand op virussen", "intended recipient",
    "intended only for", "intended solely for", "solely for the use",
    "received this e-mail in error", "received this email in error", "this e-mail and any",
    "this email and any", "this message and any", "confidentiality notice", "legally privileged",
    "consider the environment", "registered in england", "nicht der richtige adressat",
    "irrtümlich erhalten", "rechtlich geschützte", "sitz der gesellschaft",
    "vorsitzender des aufsichtsrat", "bevor sie diese e-mail", "bevor sie diese mail",
    "avant d'imprimer", "avant d’imprimer", "este correo electrónico y", "este e-mail pode",
    "antes de imprimir", "prima di stampare", "treść tej wiadomości", "zanim wydrukujesz",
    "uitsluitend bestemd", "try juno", "view in browser", "view this email in",
    "im browser anzeigen", "reply to this email directly",
)  # fmt: skip

DOUBTFUL_FOOTERS: Final = (
    # Of these the paragraph alone is kept from the author.
    "confidential", "privileged", "disclaimer", "addressee", "do not print", "registered office",
    "vertraulich", "handelsregister", "vorstand:", "aufsichtsrat", "confidentiel", "confidencial",
    "riservat", "poufne", "poufny", "vertrouwelijk", "geadresseerde", "konfidentiell", "fortrolig",
    "luottamuksel", "důvěrné", "конфиденциальн", "gizli", "機密", "保密", "this message was sent",
    "this email was sent", "this mail was sent", "email preferences", "privacy policy", "-list@",
    "all rights reserved", "alle rechte vorbehalten", "tous droits réservés", "the addressee",
    "este mensaje es", "esta mensagem é", "ta wiadomość jest", "questo messaggio è",
    "este mensaje y ", "esta mensagem e ", "questo messaggio e ", "ta wiadomość i",
    "ce message et ", "ce courriel et", "este mensaje puede", "esta mensagem pode",
    "ta wiadomość może", "este e-mail e ", "questa e-mail e", "in error, please", "amtsgericht ",
    "geschäftsführer:", "geschäftsführung:", "before printing", "get your free", "no virus found",
    "sans virus", "informacje poufne", "le informazioni contenute", "est confidentiel",
    "sont confidentiel", "enthält vertrauliche", "mute the thread",
)  # fmt: skip

CLOSING_FOOTERS: Final = (
    # Only under a line of dashes or a signature line: people talk about lists and viruses, too.
    "mailing list", "maillist", "discussion list", "unsubscrib", "subscribed to", "to subscribe",
    "google groups", "listserv", "majordomo", "archives", "list archive", "posting guide",
    "sourceforge.net", "powered by", "terms of service", "datenschutzerklärung", "to post to this",
    "send an email to", "send email to", "send mail to", "antivirus", "virus scanner", "avast",
    "newsletter", "©", "end of ", "sent from the ", "end of message", "scanned by", "signoff ",
    "verificado por", "verificada por", "controllata per", "yahoo! mail", "yahoo! messenger",
    "yahoo! groups", "msn explorer", "msn photos", "join msn", "juno online", "mailscanner",
    "messagelabs", "posting guide http", "unsubscribe from", "unsubscribe at", "unsubscribe |",
    "groups.google.com/",
)  # fmt: skip

BANNERS: Final = (
    # Set above a mail by a gateway: only this paragraph is not the author's.
    "[external", "external email", "external sender", "external mail", "originated from outside",
    "came from outside", "from outside of the organization", "caution:", "don't often get email",
    "do not often get email", "warnung:", "achtung: externe", "externe e-mail", "extern email",
    "courriel externe", "correo externo", "email esterna", "e-mail externo", "wiadomość zewnętrzna",
    "[extern", "[ext]", "learn why this is important",
)  # fmt: skip

INVITATIONS: Final = (
    "has invited you", "have been invited", "you're invited to", "invitation:",
    "updated invitation", "has accepted this invitation", "has declined this invitation",
    "canceled event", "cancelled event", "invitation from google calendar", "join zoom meeting",
    "*~*~*~*", "microsoft teams meeting", "microsoft teams-besprechung", "join microsoft teams",
    "meeting id:", "dial by your location", "hat sie eingeladen", "hat dich eingeladen",
    "sie wurden eingeladen", "einladung:", "vous a invité", "vous êtes invité", "vous invite",
    "te ha invitado", "le ha invitado", "te invitó", "ha sido invitado", "convidou você",
    "convidou-o", "foi convidado", "convite:", "ti ha invitato", "sei stato invitato", "invito:",
    "zaprasza cię", "zaprosił", "zaproszenie:", "heeft je uitgenodigd", "heeft u uitgenodigd",
    "har bjudit in dig", "har inviteret dig", "har invitert deg", "kutsui sinut", "vás zve",
    "приглашает вас", "sizi davet", "さんがあなたを招待", "邀请你", "邀请您", "邀請你",
    "commented on your", "mentioned you in", "replied to your", "sent you a message", "tagged you",
    "shared a document", "shared a file", "shared an album", "shared a folder",
)  # fmt: skip

REPLY_PREFIXES: Final = (
    "re", "r", "aw", "antw", "antwort", "sv", "vs", "odp", "rv", "rép", "rep", "réf", "ref", "rif",
    "res", "resp", "vá", "va", "bls", "ynt", "yanıt", "cevap", "atb", "ats", "απ", "σχετ", "ha",
    "vb", "na", "отв", "ответ", "відп", "回复", "答复", "回覆", "回應", "答覆", "返信", "답장",
    "회신", "הa", "השב", "תשובה", "رد", "ne", "ad", "trả lời", "bal", "svar", "vast", "r e",
    "reply", "reactie",
)  # fmt: skip

FORWARD_PREFIXES: Final = (
    "fw", "fwd", "wg", "wtr", "tr", "i", "enc", "rv", "reenv", "res", "pd", "vb", "vs", "vl",
    "doorst", "dou", "fs", "vidarebef", "pren", "prev", "inoltr", "továbbítás", "προώθ", "ilt",
    "ynl", "yönlendir", "转发", "轉寄", "轉發", "転送", "전달", "пересл", "fwrd", "forward",
    "weitergeleitet", "transf", "trans", "переслано", "הועבר", "إعادة توجيه", "terusan", "přep",
    "prep", "bs", "továbbít", "redir",
)  # fmt: skip
