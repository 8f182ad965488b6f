"""What Messenger and Instagram themselves write into an export, by language. Data only; messenger.py uses it."""

from __future__ import annotations

import re

UNSENT = frozenset({"user unsent a message", "you unsent a message"})
GONE = frozenset({
    "facebook user", "instagram user", "instagrammer", "meta user", "messenger user", "facebook-nutzer",
    "facebook-nutzer/in", "instagram-nutzer", "usuario de facebook", "usuario de instagram", "utilisateur de facebook",
    "utilisateur facebook", "utilisateur instagram", "utilisateur d’instagram", "utente di facebook",
    "utente facebook", "utente di instagram", "usuário do facebook", "utilizador do facebook", "usuário do instagram",
    "facebook-gebruiker", "instagram-gebruiker", "użytkownik facebooka", "użytkownik instagrama",
    "facebook kullanıcısı", "instagram kullanıcısı", "пользователь facebook",
})  # fmt: skip
REACTED = re.compile(
    r"reacted \S{1,16} to your (?:message|photo|video)|hat mit \S{1,16} auf deine nachricht reagiert"
    r"|reaccionó con \S{1,16} a tu mensaje|a réagi avec \S{1,16} à votre message|a réagi \S{1,16} à votre message"
    r"|ha reagito con \S{1,16} al tuo messaggio|reagiu com \S{1,16} à sua mensagem|heeft met \S{1,16} op je bericht gereageerd"
    r"|liked a message|hat eine nachricht mit .gefällt mir. markiert|le gustó un mensaje|curtiu uma mensagem",
    re.IGNORECASE,
)
REACTED_WHOLE = re.compile(r"(?:\S+ ){0,4}?(?:" + REACTED.pattern + r")\.?\s*", re.IGNORECASE)
MEMBER = re.compile(
    r"(?:.{1,80} )?(?:created the group|added .{1,80} to the group|left the group|removed .{1,80} from the group"
    r"|named the group .*|changed the (?:theme|group photo|chat theme|group name).*|set the (?:quick reaction|emoji|nickname).*"
    r"|joined the (?:group|call|video chat)|hat die gruppe (?:erstellt|verlassen).*|hat .{1,80} zur gruppe hinzugefügt"
    r"|creó el grupo|salió del grupo|abandonó el grupo|a créé le groupe|a quitté le groupe|ha creato il gruppo"
    r"|ha abbandonato il gruppo|criou o grupo|saiu do grupo)\.?",
    re.IGNORECASE,
)
CALL = re.compile(
    r"(?:.{1,80} )?(?:missed your (?:video )?call|called you|missed a (?:video )?call (?:from|with) .*|started a (?:video )?(?:call|chat)"
    r"|the video (?:call|chat) ended|you missed a (?:video )?call.*|audio call ended|video chat ended)\.?",
    re.IGNORECASE,
)
