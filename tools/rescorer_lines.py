"""Chat lines for the re-scorer of the tier `full`: people, towns and streets that no list knows, and what only
looks like them.

Frames and nouns are our own, by hand, in seven languages; names are the lexicon's, or made of the halves of two
of them so that no list helps. Film titles, brands, teams, dishes and German compounds are the hard negatives.
Seeded: the same seed gives the same lines. None of it is used by bench/mask.py, whose lines measure the result.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import NamedTuple

from byleave.tailoring import invented
from byleave.words.lexicon import everyday, lines, words


class Line(NamedTuple):
    """A text and the spans of its personal data."""

    text: str
    spans: list[tuple[int, int]]


PERSONAL = {
    "en": """did {P} ever reply to you about the tent|{P} is such a legend|can you ask {P} if the car is free|ok but {P} started it|
going round to {P}'s later if you fancy|{P} and {P} broke up again|saw {P} at the gym, looked rough|omg {P} got the job!!|{P} sent me the photos finally|
who invited {P}|happy birthday {P}!!|{P}, are you about tonight?|thanks {P} x|the physio ({P}) says two weeks off|it was {P} who broke the mug|{P} from work is driving|
I never liked {P}'s mum|{P} {P2} wants a word with you|give it to {P} please|tbh {P} was right|is that {P}'s jacket?|{P} lives in {L} now|moved out to {L} with {P}|
the train to {L} is late|my folks are near {L}|we're staying in a cottage outside {L}|{P} cried|what's {P} up to these days|pls tell {P2} the form is due|signed for by {P} {P2}|
I'm round the corner from {S}|turn left at {S} {N}|we live on {S}, the blue door|cheers {P} you star|hi {P} it's {P2} from the school|{P} can't do thursday so it's just me and {P}""",
    "de": """hat {P} dir schon geantwortet|{P} ist echt die Beste|kannst du {P} fragen ob das Auto frei ist|ich fahr nachher zu {P}|{P} und {P} sind wieder auseinander|
hab {P} im Supermarkt gesehen|{P} hat den Job!!|wer hat {P} eingeladen|alles Gute {P}!|{P}, bist du da?|danke {P}|das war {P}, nicht ich|{P} von der Arbeit fährt|
die Jacke gehört {P}|{P} {P2} will dich sprechen|gib das bitte {P}|ehrlich gesagt hatte {P} recht|{P} wohnt jetzt in {L}|ich bin mit {P} nach {L} gezogen|der Zug nach {L} hat Verspätung|
meine Eltern wohnen bei {L}|was macht {P} eigentlich so|sag {P} dass das Formular fehlt|unterschrieben hat {P} {P2}|{P} heult schon wieder|wir waren mit {P} und {P2} grillen|
die Physiotherapeutin heißt {P}|bei {P} brennt noch Licht|kommt {P2} auch?|{P} meint, das wird nix|ich hol {P} um vier ab|wegen {P} sind wir zu spät""",
    "fr": """est-ce que {P} t'a répondu|{P} est trop forte|tu peux demander à {P} si la voiture est libre|je passe chez {P} tout à l'heure|{P} et {P} se sont encore séparés|
j'ai croisé {P} au marché|{P} a eu le poste !!|qui a invité {P}|bon anniversaire {P} !|{P}, t'es là ?|merci {P}|c'est {P} qui a cassé la tasse|{P} du boulot conduit|
la veste est à {P}|{P} {P2} veut te parler|donne ça à {P} stp|franchement {P} avait raison|{P} habite à {L} maintenant|j'ai déménagé à {L} avec {P}|le train pour {L} a du retard|
mes parents sont près de {L}|il devient quoi {P}|dis à {P} qu'il manque le formulaire|signé par {P} {P2}|{P} pleure encore|on a mangé avec {P} et {P2}|la kiné s'appelle {P}|
{P2} vient aussi ?|{P} pense que ça va pas le faire|je récupère {P} à quatre heures|à cause de {P} on est en retard""",
    "es": """¿te ha contestado {P}?|{P} es la mejor|¿le preguntas a {P} si está libre el coche?|luego me paso por casa de {P}|{P} y {P} lo han dejado otra vez|
me crucé con {P} en el mercado|¡a {P} le han dado el trabajo!|¿quién ha invitado a {P}?|felicidades {P}!|{P}, ¿estás?|gracias {P}|fue {P}, yo no|{P} el del curro conduce|
la chaqueta es de {P}|{P} {P2} quiere hablar contigo|dáselo a {P} porfa|la verdad, {P} tenía razón|{P} vive ahora en {L}|me mudé a {L} con {P}|el tren a {L} va tarde|
mis padres están cerca de {L}|¿qué es de {P}?|dile a {P} que falta el papel|firmado por {P} {P2}|{P} está llorando otra vez|comimos con {P} y {P2}|la fisio se llama {P}|
¿viene {P2}?|{P} dice que no llega|recojo a {P} a las cuatro|por culpa de {P} llegamos tarde""",
    "pt": """o {P} já te respondeu?|a {P} é a maior|podes perguntar ao {P} se o carro está livre|logo passo em casa da {P}|o {P} e a {P} acabaram outra vez|vi a {P} no mercado|
a {P} ficou com o emprego!!|quem convidou o {P}|parabéns {P}!|{P}, estás aí?|obrigado {P}|foi o {P}, não fui eu|o {P} do trabalho conduz|o casaco é da {P}|{P} {P2} quer falar contigo|
dá isso à {P} por favor|sinceramente a {P} tinha razão|o {P} mora em {L} agora|mudei-me para {L} com a {P}|o comboio para {L} está atrasado|os meus pais estão perto de {L}|
que é feito do {P}?|diz ao {P} que falta o papel|assinado por {P} {P2}|{P} tá chorando de novo|almoçámos com {P} e {P2}|a fisioterapeuta chama-se {P}|{P2} também vem?|
{P} acha que não vai dar|vou buscar o {P} às quatro|por causa da {P} chegámos tarde""",
    "it": """{P} ti ha risposto?|{P} è la migliore|chiedi a {P} se la macchina è libera|dopo passo da {P}|{P} e {P} si sono lasciati di nuovo|ho incrociato {P} al mercato|
{P} ha avuto il posto!!|chi ha invitato {P}|auguri {P}!|{P}, ci sei?|grazie {P}|è stato {P}, non io|guida {P} del lavoro|la giacca è di {P}|{P} {P2} vuole parlarti|dallo a {P} per favore|
onestamente {P} aveva ragione|{P} adesso vive a {L}|mi sono trasferito a {L} con {P}|il treno per {L} è in ritardo|i miei stanno vicino a {L}|che fine ha fatto {P}?|
di' a {P} che manca il modulo|firmato da {P} {P2}|{P} piange ancora|abbiamo mangiato con {P} e {P2}|la fisioterapista si chiama {P}|viene anche {P2}?|{P} dice che non ce la fa|
prendo {P} alle quattro|per colpa di {P} siamo in ritardo""",
    "pl": """czy {P} ci odpisała|{P} jest najlepsza|zapytasz {P} czy auto wolne|wpadnę potem do {P}|{P} i {P} znowu się rozstali|widziałam {P} na targu|{P} dostała tę pracę!!|
kto zaprosił {P}|wszystkiego najlepszego {P}!|{P}, jesteś?|dzięki {P}|to był {P}, nie ja|{P} z pracy prowadzi|kurtka jest {P}|{P} {P2} chce z tobą gadać|daj to {P} proszę|
szczerze to {P} miał rację|{P} mieszka teraz w {L}|przeprowadziłam się do {L} z {P}|pociąg do {L} ma opóźnienie|rodzice są koło {L}|co słychać u {P}|powiedz {P} że brakuje druku|
podpisał {P} {P2}|{P} znowu płacze|jedliśmy z {P} i {P2}|rehabilitantka ma na imię {P}|{P2} też będzie?|{P} mówi że nie da rady|odbieram {P} o czwartej|przez {P} się spóźniliśmy""",
}  # fmt: skip

CLEAN = {
    "en": """lol no way|can you grab milk on the way back|{B} are taking forever to deliver|watched {T} last night, wow|is {T} on {B}?|{T} is overrated, fight me|the {W} broke again and nobody will fix it|
my {W} hurts|Honestly the {W} was the best bit|new {B} phone is huge|they announced it at the {B} thing|I need a {W} for saturday|order {N} still says pending|the second season drags a bit|
Who even watches {T} twice|went to see {T} with the girls|{B} got relegated haha|she makes a mean {W}|That was so awkward|no I meant the other {W}|read the {W} before you sign|
I'd give {T} a solid 8|Tuesday or Wednesday, either works|{T}? never heard of it|the director of {T} did that other thing too|pass me the {W} will you|Monopoly or Scrabble tonight|
the {W} at {B} was ok I guess|my {B} account is locked|just finished {T}, in bits|{T} then bed|doing a {T} rewatch, who's in|why is the {W} sticky|running late, bus again""",
    "de": """haha ja genau|bringst du Milch mit|{B} liefert wieder nicht|gestern {T} geschaut, stark|läuft {T} auf {B}?|{T} ist total überschätzt|die {C} ist schon wieder kaputt|mein {C} tut weh|
ehrlich, die {C} war das Beste|das neue {B} Handy ist riesig|ich brauch eine {C} für Samstag|Bestellung {N} hängt noch|die zweite Staffel zieht sich|wer guckt {T} denn zweimal|
{B} ist abgestiegen|die macht eine geile {C}|das war so peinlich|nein ich meinte die andere {C}|lies den {C} bevor du unterschreibst|ich geb {T} eine solide 8|Dienstag oder Mittwoch, beides geht|
{T}? nie gehört|gib mir mal die {C}|Monopoly oder Skat heute|die {C} bei {B} war ganz ok|mein {B} Konto ist gesperrt|gerade {T} zu Ende geguckt|warum klebt die {C}|der Bus hat Verspätung|
kommt drauf an, welche {C} du meinst|hab die {C} vergessen, sorry|schönes Wochenende euch|hast du die {C} vom Amt bekommen?|Nächste Woche ist {C}""",
    "fr": """mdr n'importe quoi|tu prends du lait en rentrant|{B} livre jamais à l'heure|on a vu {T} hier, énorme|{T} c'est sur {B} ?|{T} est surcoté|la {W} est encore cassée|j'ai mal au {W}|
franchement la {W} c'était le meilleur|le nouveau téléphone {B} est énorme|il me faut une {W} pour samedi|commande {N} toujours en attente|la saison deux traîne un peu|qui regarde {T} deux fois|
{B} est relégué haha|elle fait une super {W}|c'était gênant|non je parlais de l'autre {W}|lis le {W} avant de signer|je mets 8 à {T}|mardi ou mercredi, les deux me vont|{T} ? jamais entendu parler|
passe-moi la {W}|un Monopoly ce soir|la {W} chez {B} c'était bof|mon compte {B} est bloqué|je viens de finir {T}, en larmes|pourquoi la {W} colle|le bus est en retard|bon week-end à tous""",
    "es": """jajaja qué va|¿traes leche al volver?|{B} nunca entrega a tiempo|anoche vimos {T}, brutal|¿{T} está en {B}?|{T} está sobrevalorada|la {W} se ha roto otra vez|me duele la {W}|
la verdad, la {W} fue lo mejor|el nuevo móvil de {B} es enorme|necesito una {W} para el sábado|el pedido {N} sigue pendiente|la segunda temporada se hace larga|¿quién ve {T} dos veces?|
{B} ha bajado a segunda|hace una {W} buenísima|qué vergüenza pasé|no, decía la otra {W}|lee el {W} antes de firmar|a {T} le doy un 8|martes o miércoles, me da igual|¿{T}? ni idea|
pásame la {W}|¿un Monopoly esta noche?|la {W} de {B} estaba regular|mi cuenta de {B} está bloqueada|acabo de terminar {T}, llorando|¿por qué está pegajosa la {W}?|el bus va tarde|buen finde a todos""",
    "pt": """kkkk nem pensar|trazes leite quando voltares?|a {B} nunca entrega a horas|ontem vimos {T}, brutal|{T} está na {B}?|{T} é sobrevalorizado|a {W} avariou outra vez|dói-me a {W}|
sinceramente a {W} foi o melhor|o novo telemóvel da {B} é enorme|preciso de uma {W} para sábado|a encomenda {N} continua pendente|a segunda temporada arrasta-se|quem vê {T} duas vezes|
o {B} desceu de divisão|ela faz uma {W} ótima|que vergonha|não, falava da outra {W}|lê o {W} antes de assinar|dou 8 ao {T}|terça ou quarta, tanto faz|{T}? nunca ouvi falar|passa-me a {W}|
um Monopólio logo?|a {W} da {B} era razoável|a minha conta {B} está bloqueada|acabei de ver {T}, chorei|porque é que a {W} cola|o autocarro está atrasado|bom fim de semana a todos""",
    "it": """ahah ma figurati|prendi il latte al ritorno?|{B} non consegna mai in tempo|ieri visto {T}, bellissimo|{T} è su {B}?|{T} è sopravvalutato|la {W} si è rotta di nuovo|mi fa male la {W}|
onestamente la {W} era la parte migliore|il nuovo telefono {B} è enorme|mi serve una {W} per sabato|l'ordine {N} è ancora in attesa|la seconda stagione è lenta|chi guarda {T} due volte|
{B} è retrocessa ahah|fa una {W} pazzesca|che imbarazzo|no intendevo l'altra {W}|leggi il {W} prima di firmare|a {T} do un 8|martedì o mercoledì, uguale|{T}? mai sentito|passami la {W}|
Monopoli stasera?|la {W} da {B} era così così|il mio account {B} è bloccato|appena finito {T}, in lacrime|perché la {W} è appiccicosa|il bus è in ritardo|buon fine settimana a tutti""",
    "pl": """haha no nie|kupisz mleko wracając?|{B} nigdy nie dowozi na czas|wczoraj widzieliśmy {T}, sztos|{T} jest na {B}?|{T} jest przereklamowany|{W} znowu się zepsuła|boli mnie {W}|
szczerze {W} była najlepsza|nowy telefon {B} jest ogromny|potrzebuję {W} na sobotę|zamówienie {N} dalej czeka|drugi sezon się ciągnie|kto ogląda {T} dwa razy|{B} spadło z ligi|robi świetną {W}|
ale wstyd|nie, chodziło mi o drugą {W}|przeczytaj {W} zanim podpiszesz|daję {T} mocne 8|wtorek czy środa, wszystko jedno|{T}? nie znam|podaj mi {W}|Monopoly dziś?|{W} w {B} była taka sobie|
moje konto {B} jest zablokowane|właśnie skończyłam {T}, płaczę|czemu {W} się klei|autobus się spóźnia|miłego weekendu wszystkim""",
}  # fmt: skip

NOUNS = {
    "en": "boiler|kettle|dishwasher|casserole|receipt|invoice|scaffolding|harness|pavlova|crumble|shoulder|ankle|contract|paperwork|trampoline|hoover|projector|screwdriver|marmalade|lasagne|umbrella|stapler|cardigan|duvet|radiator|tenancy|gutter|hedge|syllabus|spreadsheet|trolley|buggy|vaccine|dentist|landlord|plumber|referee|chorus|soundtrack|finale|sequel|villain|plot twist",
    "fr": "chaudière|bouilloire|facture|perceuse|tondeuse|ordonnance|baguette|quiche|tarte|épaule|cheville|contrat|imprimante|serrure|poussette|moquette|gouttière|ratatouille|randonnée|réunion|bibliothèque|caution|voisine|serveuse|maîtresse|boulangère|chorale|rediffusion",
    "es": "caldera|tetera|factura|taladradora|receta|tortilla|empanada|rodilla|espalda|fianza|impresora|cerradura|mochila|alfombra|persiana|paella|excursión|reunión|biblioteca|vecina|camarera|maestra|panadera|linterna|lavadora|nevera|bufanda|hipoteca",
    "pt": "caldeira|chaleira|fatura|berbequim|receita|francesinha|feijoada|anca|coluna|caução|impressora|fechadura|mochila|alcatifa|persiana|cataplana|caminhada|reunião|biblioteca|vizinha|empregada|professora|padeira|lanterna|máquina|geladeira|hipoteca",
    "it": "caldaia|teiera|fattura|trapano|ricetta|frittata|focaccia|spalla|caviglia|caparra|stampante|serratura|zaino|moquette|tapparella|parmigiana|escursione|riunione|biblioteca|vicina|cameriera|maestra|fornaia|torcia|lavatrice|bolletta|sciarpa|grondaia",
    "pl": "kotłownia|suszarka|faktura|wiertarka|recepta|zapiekanka|szarlotka|kostka|kaucja|drukarka|wykładzina|roleta|wycieczka|biblioteka|sąsiadka|kelnerka|nauczycielka|latarka|pralka|lodówka|rynna|umowa|zmywarka|hulajnoga|rozprawka|ściereczka",
}  # fmt: skip
HEADS = "Nebenkosten|Steuer|Wohnungs|Fahrrad|Kühlschrank|Kinder|Heizungs|Garten|Urlaubs|Kranken|Geburtstags|Wochenend|Bahnhofs|Kartoffel|Zwiebel|Spül|Wasch|Schul|Arbeits|Balkon|Weihnachts|Knie|Rücken|Sommer|Keller|Bücher|Straßen|Feuerwehr"
TAILS = "abrechnung|erklärung|übergabe|reparatur|tür|garten|rechnung|schlauch|planung|kasse|feier|suppe|kuchen|maschine|ausflug|vertrag|blumen|markt|verletzung|schmerzen|fest|regal|bahn|tasche|lampe|leiter|schrank|übung|platte|salat"
BRANDS = "Ikea|Netflix|Tesla|Samsung|Spotify|Nintendo|Lego|Nike|Adidas|Arsenal|Barça|Juve|Bayern|Schalke|Benfica|Porto|Legia|Celtic|Lidl|Aldi|Carrefour|Mercadona|Biedronka|Rewe|Tesco|Zara|Uber|Vinted|Allegro|Deliveroo|Glovo|Vodafone|Orange|Telekom|Ryanair|Lufthansa|Trenitalia|Renfe|PlayStation|Xbox|Minecraft|Zelda|Tetris|Coldplay|Radiohead|Metallica|Abba|Nirvana|Excel|Teams|Zoom|Photoshop|Duolingo|Strava|Champions League|Eurovision|Glastonbury|Oktoberfest|Bundesliga|Serie A|La Liga|Tatort|Moncloa|Sorbonne|Bayreuth|Dyson|Thermomix|Nespresso|Nutella|Haribo|Toblerone|Guinness|Aperol|Pilates|Ibuprofen|Paracetamol|Voltaren|Brexit|Erasmus|Interrail|Airbnb|Blablacar|Bizum|Multibanco|Blik"
FILM_HEAD = "The|The Last|A|My|Dead|Midnight|Return to|Saving|Finding|Goodbye|Being|Killing|Waiting for|Becoming|The Trial of|The Diary of|Las|El|La|Le|Les|Der|Die|Das|O|A|Il|Un|Una|Pan|"
FILM_NOUN = "Lighthouse|Orphan|Hunter|Garden|Storm|Silence|Shadow|River|Winter|Dragon|Kingdom|Wedding|Heist|Mirror|Detective|Tango|Samurai|Laberinto|Noche|Silencio|Mar|Casa|Nuit|Femme|Soleil|Chambre|Nacht|Himmel|Stille|Leben|Vento|Cidade|Sertão|Notte|Vita|Strada|Ladri|Noc|Wojna|Ziemia|Cisza|Miasto"
FILM_TAIL = " 2| II| Returns|: The Beginning| of Fire| in Paris| Street| Boulevard| and Me| Reloaded| Forever| del Sur| de Sal| sans Nom| ohne Ende| do Norte| del Nord| bez Końca"
_LANGS = tuple(PERSONAL)


class Names:
    """Given names, family names and towns: half of them the lexicon's, half made of two halves."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.first = sorted(
            w
            for w in words("first") | words("more")
            if w.isalpha() and 3 < len(w) < 11 and w not in everyday()
        )
        self.last = sorted(
            w for w in words("last") if w.isalpha() and 3 < len(w) < 13 and w not in everyday()
        )
        self.towns = sorted(
            w for w in lines("cities") if w.isalpha() and 4 < len(w) < 13 and w not in everyday()
        )

    def _one(self, pool: list[str], made: float) -> str:
        name = self.rng.choice(pool)
        if self.rng.random() < made:
            other = self.rng.choice(pool)
            name = name[: max(2, len(name) // 2)] + other[len(other) // 2 :]
        return name.title()

    def given(self) -> str:
        name = self._one(self.first, 0.45)
        roll = self.rng.random()
        if roll < 0.08:
            name = name[:3] + self.rng.choice(("i", "y", "o", "ie", "a", "zz"))
        elif roll < 0.12:
            name += "-" + self._one(self.first, 0.2)
        return name

    def family(self) -> str:
        name = self._one(self.last, 0.6)
        roll = self.rng.random()
        if roll < 0.05:
            name = self.rng.choice(("van ", "de ", "Mc", "O'", "Di ", "von ", "da ")) + name
        elif roll < 0.1:
            name += "-" + self._one(self.last, 0.5)
        return name

    def person(self) -> str:
        roll = self.rng.random()
        if roll < 0.68:
            return self.given()
        if roll < 0.9:
            return f"{self.given()} {self.family()}"
        return self.family()

    def town(self) -> str:
        return self._one(self.towns, 0.6)


def title(rng: random.Random, names: Names) -> str:
    """A film title: plain words, or with a name in it as every fourth has."""
    roll = rng.random()
    if roll < 0.12:
        return f"{names.given()} {names.family()}"
    if roll < 0.2:
        return names.given()
    if roll < 0.26:
        return f"{rng.choice(('Saving', 'Finding', 'The Ballad of', 'Being', 'Goodbye', 'Le Cas', 'Das Leben der'))} {names.given()}"
    if roll < 0.3:
        return f"{names.given()} {rng.choice(('and the', 'et le', 'y el', 'und der', 'e o', 'e il', 'i'))} {rng.choice(FILM_NOUN.split('|'))}"
    if roll < 0.34:
        return f"{rng.choice(FILM_NOUN.split('|'))} in {names.town()}"
    if roll < 0.6:
        return rng.choice(_INVENTED)
    head = rng.choice(FILM_HEAD.split("|"))
    body = f"{head} {rng.choice(FILM_NOUN.split('|'))}".strip()
    return body + (rng.choice(FILM_TAIL.split("|")) if rng.random() < 0.45 else "")


_INVENTED = sorted(t.title for t in invented.catalogue())
_SLOT = re.compile(r"\{(P2|[PLSTBWCN])\}")
_PERSONAL_SLOTS = frozenset(("P", "P2", "L", "S"))


def made(seed: int, count: int) -> Iterator[Line]:
    """`count` lines, of which four in nine hold personal data."""
    rng = random.Random(seed)
    names = Names(rng)
    for _ in range(count):
        lang = rng.choice(_LANGS)
        personal = rng.random() < 0.45
        frames = (PERSONAL if personal else CLEAN)[lang].replace("\n", "").split("|")
        frame = rng.choice(frames)
        if rng.random() < 0.25:
            more = rng.choice((PERSONAL if rng.random() < 0.3 else CLEAN)[lang].replace("\n", "").split("|"))
            frame += rng.choice((". ", ", ", "! ", " ", "\n", " … ", " 😂 ")) + more
        yield _filled(rng, names, lang, frame)


def _filled(rng: random.Random, names: Names, lang: str, frame: str) -> Line:
    lower_names, lower_all = rng.random() < 0.3, rng.random() < 0.12
    film_lower = rng.random() < 0.25
    out, spans, at = "", [], 0
    for slot in _SLOT.finditer(frame):
        out += frame[at : slot.start()]
        at = slot.end()
        kind = slot[1]
        value = _value(rng, names, lang, kind)
        if (lower_names and kind in _PERSONAL_SLOTS) or (film_lower and kind == "T"):
            value = value.lower()
        if kind in _PERSONAL_SLOTS:
            spans.append((len(out), len(out) + len(value)))
        out += value
    out += frame[at:]
    if lower_all:
        out = out.lower()
    elif rng.random() < 0.5:
        out = out[:1].upper() + out[1:]
    elif rng.random() < 0.04:
        out = out.upper()
    return Line(out, spans)


def _value(rng: random.Random, names: Names, lang: str, kind: str) -> str:
    if kind == "P":
        return names.person()
    if kind == "P2":
        return names.family() if rng.random() < 0.7 else names.given()
    if kind == "L":
        return names.town()
    if kind == "S":
        return f"{names.family()} {rng.choice(('Close', 'Road', 'Lane', 'Way', 'Row', 'Gardens', 'Walk'))}"
    if kind == "T":
        return title(rng, names)
    if kind == "B":
        return rng.choice(BRANDS.split("|"))
    if kind == "N":
        return str(rng.randrange(10**5, 10**10))
    if kind == "C":
        return rng.choice(HEADS.split("|")) + rng.choice(TAILS.split("|"))
    return rng.choice(NOUNS[lang].split("|"))
