# ruff: noqa: SIM905
"""Chat lines in seven languages with the places of their personal data: a generator of our own, seeded.

Names, streets and templates are our invention and are not taken from the lists in src/byleave/words/data; numbers are
fiction-reserved where a country has such a range, card and account numbers carry valid check digits of no real account.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

NAMES = {
    "en": ("Hannah Whitlock|Callum Reyes|Priya Raman|Oscar Bellweather|Siobhan Kearney|Tyrone Maddox|Ellie Fairbrother|Dominic Ashdown|"
           "Aisha Karim|Owen Prosser|Megan Tuckwell|Rashid Noor|Bethany Croft|Liam Gallacher|Chidi "
           "Okafor|Zoe Hartnell|Nathan Bligh|Freya Lund"),
    "de": ("Svenja Petersen|Torsten Kuhlmann|Annika Reimers|Matthias Obermeier|Yasemin Yildiz|Jannik Thoms|Friederike Hensel|Lukas Baumgart|"
           "Katrin Ebeling|Heiko Wiesner|Leonie Stark|Mehmet Aydin|Birgit Sommerfeld|Felix Dornbusch|"
           "Marlene Kroll"),
    "fr": ("Amandine Lefebvre|Thibault Marchais|Chloé Garnier|Julien Delaunay|Inès Benali|Mathieu Roussel|Camille Perrot|Antoine Vasseur|"
           "Margaux Pelletier|Youssef Haddad|Élodie Caron|Bastien Leclerc|Noémie Fabre"),
    "es": ("Jimena Echeverría|Álvaro Quintero|Nerea Saldaña|Iker Mendizábal|Lucía Carrasco|Gonzalo Peralta|Marisol Ibáñez|Raúl Montalbán|"
           "Ximena Paredes|Andrés Villaseñor|Carmen Urrutia|Jaime Bermúdez"),
    "pt": ("Beatriz Nogueira|Thiago Albernaz|Inês Farinha|Caio Brandão|Mariana Teles|Gustavo Peixoto|Rita Valadares|Duarte Seabra|"
           "Letícia Amorim|João Figueiredo|Larissa Queirós|Nuno Salvaterra"),
    "it": ("Giulia Bellandi|Federico Marangoni|Ludovica Ferrero|Tommaso Rinaldi|Chiara Zanetti|Davide Colombini|Alessia Moretti|Lorenzo Basile|"
           "Martina Gentile|Riccardo Fontanelli|Francesca Orsini|Stefano Barbieri"),
    "pl": ("Agnieszka Stawicka|Bartek Wojciechowski|Weronika Malinowska|Zbigniew Kurek|Kasia Dąbrowska|Michał Jankowski|Magda Lisowska|"
           "Tomek Zawadzki|Joanna Piotrowska|Paweł Krajewski|Ola Szymczak|Grzegorz Bednarz"),
}  # fmt: skip
TOWNS = {
    "en": "Leeds|Portland|Sheffield|Milwaukee|Glasgow|Austin|Norwich|Denver",
    "de": "Leipzig|Hamburg|Köln|Wien|Dresden|Bremen|Freiburg|Graz",
    "fr": "Nantes|Lyon|Toulouse|Rennes|Grenoble|Bordeaux|Lille",
    "es": "Valencia|Sevilla|Zaragoza|Bilbao|Salamanca|Monterrey|Rosario",
    "pt": "Coimbra|Porto|Braga|Curitiba|Recife|Aveiro|Campinas",
    "it": "Torino|Bologna|Palermo|Verona|Bari|Trieste|Genova",
    "pl": "Gdańska|Krakowa|Poznania|Wrocławia|Lublina|Torunia",
}
STREETS = {
    "en": (
        "{n} Orchard Lane|{n} Kestrel Avenue|{n} Old Mill Road, Norwich NR3 9ZZ|Flat {m}, {n} Station "
        "Road|{n} W Birch Street, Apt {m}B|{n} Harbour View, Bristol BS1 9ZZ|{n} maple street"
    ),
    "de": (
        "Lindenstraße {n}|Am Mühlgraben {n}|Bahnhofstr. {n}, 50674 Köln|Goethestraße {n}a|Lange Gasse "
        "{n}, 01067 Dresden|Birkenweg {n}"
    ),
    "fr": (
        "{n} rue des Lilas|{n} bis avenue Jean Moulin, 75014 Paris|{n}, boulevard Voltaire|{n} chemin du "
        "Moulin, 31000 Toulouse|{n} allée des Tilleuls"
    ),
    "es": (
        "calle Mayor {n}|C/ Alcalá, {n}, 3º B|Avenida de la Constitución {n}, 41001 Sevilla|plaza del "
        "Carmen {n}|paseo de Gracia nº {n}"
    ),
    "pt": (
        "Rua das Flores, {n}|Avenida da Liberdade {n}, 1250-142 Lisboa|Travessa do Carmo {n}|Rua "
        "Augusta, nº {n}|Praça da Alegria {n}"
    ),
    "it": (
        "via Mazzini {n}|corso Garibaldi {n}, 20121 Milano|piazza Dante {n}|viale dei Tigli, {n}|via San "
        "Donato {n}/A"
    ),
    "pl": (
        "ul. Kwiatowa {n}/{m}|ulica Długa {n}, 00-238 Warszawa|al. Jana Pawła II {n}|os. Słoneczne "
        "{n}/{m}|ul. 3 Maja {n}"
    ),
}
PHONES = {
    "en": (
        "07700 900###|+44 7700 900###|(555) 555-01##|555-555-01##|+1 555 555 01##|+1-555-555-01##|020 "
        "7946 0###|07700900###|1 (555) 555-01##|020-7946-0###"
    ),
    "de": (
        "0151 2345####|+49 151 2345####|030 23125###|0171/5550###|0049 170 5550###|+49 (0)171 5550###|"
        "089-5550####|01515550###"
    ),
    "fr": (
        "06 39 98 ## ##|+33 6 39 98 ## ##|01 99 00 ## ##|06.39.98.##.##|0639980###|0033 6 39 98 ## ##|"
        "+33 (0)6 39 98 ## ##"
    ),
    "es": "600 555 0##|+34 600 555 0##|612 34 5# ##|912 555 0##|600555###|0034 600 555 0##",
    "pt": "912 345 ###|+351 912 345 ###|21 345 6###|+55 11 95550-####|(11) 95550-####|912345###",
    "it": "347 555 0###|+39 347 555 0###|06 5550 ####|3475550###|02-5550###|+39 02 5550###",
    "pl": "512 345 ###|+48 512 345 ###|22 555 0# ##|512-345-###|512345###|0048 512 345 ###",
}
IBANS = ("DE", "3704004405320130##", 18), ("GB", "NWBK601613319268##", 18), ("FR", "30006000011234567890189", 23), ("ES", "210004184502000513##", 20), ("IT", "X05428111010000001234##", 23), ("PL", "1090101400000712198128##", 24), ("PT", "0002012312345678901##", 21)  # fmt: skip
TALK: dict[str, dict[str, str]] = {
    "en": {
        "PERSON": (
            "{} is coming too|told {} about saturday|have you heard from {} yet?|lol {} fell asleep in "
            "ten minutes|my cousin {} has the tickets|met {} after work|is {} still mad at you?|me and "
            "{} are on the way"
        ),
        "PHONE": (
            "call me on {}|my new number is {}|text {} when you're outside|{} is my work phone|it's {}, "
            "save it|reach me at {} after six"
        ),
        "EMAIL": "mail it to {}|my address is {} now|{} works best|send the pics to {} please",
        "ADDRESS": "we moved to {}|drop it at {} pls|party is at {}, bring snacks|I'm at {} right now",
        "LOCATION": (
            "she moved to {} last year|I'm in {} till friday|flying from {} tomorrow|do you still live "
            "in {}?"
        ),
        "CARD": "use my card {}|card number is {} exp 09/28|{} is the visa",
        "IBAN": "my iban is {}|send it to {} thanks",
        "DOB": "my birthday is {}|I was born on {}|date of birth {}, if they ask|born {}",
        "LINK": "join here {}|use this link {} before friday",
    },
    "de": {
        "PERSON": (
            "{} kommt auch mit|hab gestern {} getroffen|hat {} dir das erzählt?|meine Freundin {} hat "
            "die Karten|frag mal {}|ich war mit {} im Kino|{} meinte, das geht klar"
        ),
        "PHONE": (
            "ruf mich an unter {}|meine neue Nummer ist {}|Handy: {}|schreib mir auf {}|{} ist mein "
            "Festnetz"
        ),
        "EMAIL": "schick es an {}|meine Mail ist {}|{} geht am besten",
        "ADDRESS": "wir wohnen jetzt {}|komm in die {}|Adresse: {}|Treffpunkt {} um acht",
        "LOCATION": "sie ist nach {} gezogen|bin bis Freitag in {}|kommst du aus {}?",
        "CARD": "nimm meine Karte {}|Kartennummer {} gültig bis 11/27",
        "IBAN": "überweis auf {}|meine IBAN: {}",
        "DOB": "mein Geburtstag ist der {}|ich bin am {} geboren|Geburtsdatum {}",
        "LINK": "hier rein: {}|der Link {} gilt bis Freitag",
    },
    "fr": {
        "PERSON": (
            "{} vient aussi|j'ai vu {} hier soir|tu as des nouvelles de {} ?|ma cousine {} a les billets|"
            "demande à {}|je suis avec {} au ciné"
        ),
        "PHONE": "appelle-moi au {}|mon numéro c'est {}|mon portable : {}|écris-moi au {}",
        "EMAIL": "envoie ça à {}|mon mail c'est {}|écris à {} stp",
        "ADDRESS": "on habite {}|viens au {}|rdv {} à huit heures",
        "LOCATION": "elle a déménagé à {}|je suis à {} jusqu'à vendredi|tu viens de {} ?",
        "CARD": "prends ma carte {}|numéro de carte {}",
        "IBAN": "mon iban : {}|fais le virement sur {}",
        "DOB": "je suis née le {}|date de naissance {}|mon anniversaire c'est le {}",
        "LINK": "rejoins ici {}|le lien {} marche encore",
    },
    "es": {
        "PERSON": (
            "{} también viene|ayer quedé con {}|¿sabes algo de {}?|mi prima {} tiene las entradas|"
            "pregúntale a {}|estoy con {} en el cine"
        ),
        "PHONE": "llámame al {}|mi número es {}|mi móvil: {}|escríbeme al {}",
        "EMAIL": "mándalo a {}|mi correo es {}|escribe a {} porfa",
        "ADDRESS": "vivimos en {}|ven a {}|la fiesta es en {}",
        "LOCATION": "se ha mudado a {}|estoy en {} hasta el viernes|¿vives en {}?",
        "CARD": "usa mi tarjeta {}|la tarjeta es {}",
        "IBAN": "mi iban es {}|hazme el ingreso en {}",
        "DOB": "nací el {}|mi cumpleaños es el {}|fecha de nacimiento {}",
        "LINK": "entra aquí {}|el enlace {} caduca mañana",
    },
    "pt": {
        "PERSON": (
            "a {} também vem|ontem estive com {}|sabes alguma coisa da {}?|meu primo {} tem os bilhetes|"
            "pergunta ao {}|vou com {} ao cinema"
        ),
        "PHONE": "liga-me para o {}|meu número é {}|telemóvel: {}|me chama no zap {}",
        "EMAIL": "manda para {}|o meu email é {}|escreve para {}",
        "ADDRESS": "moramos na {}|a festa é na {}|vem ter à {}",
        "LOCATION": "ela mudou-se para {}|estou em {} até sexta|moras em {}?",
        "CARD": "usa o meu cartão {}|o cartão é {}",
        "IBAN": "o meu iban é {}|transfere para {}",
        "DOB": "nasci em {}|meu aniversário é {}|data de nascimento {}",
        "LINK": "entra aqui {}|o link {} ainda funciona",
    },
    "it": {
        "PERSON": (
            "viene anche {}|ieri ero con {}|hai sentito {}?|mia cugina {} ha i biglietti|chiedi a {}|"
            "sono con {} al cinema"
        ),
        "PHONE": "chiamami al {}|il mio numero è {}|il mio cell: {}|scrivimi al {}",
        "EMAIL": "mandalo a {}|la mia mail è {}|scrivi a {}",
        "ADDRESS": "abitiamo in {}|vieni in {}|la festa è in {}",
        "LOCATION": "si è trasferita a {}|sono a {} fino a venerdì|vivi ancora a {}?",
        "CARD": "usa la mia carta {}|la carta è {}",
        "IBAN": "il mio iban è {}|fai il bonifico su {}",
        "DOB": "sono nato il {}|il mio compleanno è il {}|data di nascita {}",
        "LINK": "entra qui {}|il link {} scade domani",
    },
    "pl": {
        "PERSON": (
            "{} też idzie|wczoraj był u mnie {}|moja siostra {} ma bilety|a {} co na to?|pisała {} w "
            "sprawie kina"
        ),
        "PHONE": "zadzwoń do mnie {}|mój numer to {}|tel. {}|napisz na {}",
        "EMAIL": "wyślij na {}|mój mail to {}|pisz na {}",
        "ADDRESS": "mieszkamy teraz {}|impreza jest {}|wpadaj na {}",
        "LOCATION": "przeprowadziła się do {}|jadę do {} w piątek|wracam z {}",
        "CARD": "płać moją kartą {}|numer karty {}",
        "IBAN": "przelej na {}|moje konto {}",
        "DOB": "urodziłem się {}|moje urodziny są {}|data urodzenia {}",
        "LINK": "wejdź tu {}|link {} działa do jutra",
    },
}  # fmt: skip
DATES = {
    "en": (
        "14 March 1990|March 14, 1990|03/14/1990|14/03/90|1990-03-14|14th of March 1990|Mar 14 1990|14 March"
    ),
    "de": "14.03.1990|14. März 1990|14.3.90|14. Juli|1990-03-14",
    "fr": "14 mars 1990|14/03/1990|1er avril 1988|14.03.90|3 août",
    "es": "14 de marzo de 1990|14/03/1990|14-3-90|3 de agosto",
    "pt": "14 de março de 1990|14/03/1990|14-03-90|3 de agosto de 1991",
    "it": "14 marzo 1990|14/03/1990|14.3.90|3 agosto",
    "pl": "14 marca 1990|14.03.1990|14-03-1990|3 sierpnia",
}
AT = {
    "en": (" at ", " dot "), "de": (" ät ", " punkt "), "fr": (" arobase ", " point "), "es": (" arroba ", " punto "),
    "pt": (" arroba ", " ponto "), "it": (" chiocciola ", " punto "), "pl": (" małpa ", " kropka "),
}  # fmt: skip
LINKS = (
    "https://chat.whatsapp.com/H@@@@@@@@@@@@@@@|https://accounts.example.com/reset?token=@@@@@@@@@@@@|"
    "https://user:pw@files.example.test/a|https://meet.example.test/j/@@@@@@@@@@@@@@@@@@@@|"
    "https://example.test/magic/@@@@@@@@@@@@@@@@@@@@@@@@"
)
CLEAN = {
    "en": (
        "ok see you at eight|that twist in the last act, wow|tickets are 12.50 each, row 14|order "
        "88#######3 is still on its way|it came out on 12.05.2023 and runs 139 minutes|season 2 episode "
        "5 is the best one|will you be there? may be late|hope it rains so we can stay in|tracking says "
        "44######## whatever that means|the #1 film of 2019 for me|we need 3 to 4 chairs and 2 tables|"
        "isbn 97801410361## is the book|lol no way|I think it starts around 18:30 or 19:00|made "
        "1.200.000 on the first weekend|she said the ending was rushed|grace under pressure, that's the "
        "theme|what a mark it left on me|can you bring the blue jacket|I'm on the bus, 10 more minutes|"
        "https://www.imdb.com/title/tt0111161/ is great|Saturday works, Sunday too|The Academy got it "
        "wrong again|Netflix has it, Disney doesn't"
    ),
    "de": (
        "ok bis acht dann|das Ende war echt stark|Bestellung 88######## kommt morgen|der Film dauert 139 "
        "Minuten|Staffel 3 Folge 12 war super|am 12.05.2023 kam der ins Kino|kostet 12,50 Euro pro "
        "Person|der Wolf im Wald war schön gefilmt|ich hab keine Zeit, sorry|um 20:15 Uhr geht es los|"
        "bring bitte Chips und Cola mit|Sendungsnummer 00340########### ist da|die Kamera war klasse, "
        "der Ton nicht|am Freitag im Kino, Reihe 7 Platz 12|die Stimmung in der Szene war großartig|haha "
        "ja genau"
    ),
    "fr": (
        "ok à ce soir|la fin m'a scotché|commande 77######## en retard|le film dure 2h10|sorti le "
        "12/03/2019|ça coûte 9,50 € la place|j'arrive dans dix minutes|saison 2 épisode 4|la pierre dans "
        "le jardin, quel symbole|mdr trop bien|il y a 300 places dans la salle|on prend du pop-corn ?|La "
        "musique était magnifique"
    ),
    "es": (
        "vale, nos vemos luego|qué final más raro|pedido 55###### sin noticias|dura 125 minutos|se "
        "estrenó el 03/10/2019|cuesta 8 euros|llego en diez minutos|temporada 2 capítulo 4|la rosa y la "
        "espada, vaya símbolo|jajaja sí|hay 12 personas en la fila|El guion me pareció flojo"
    ),
    "pt": (
        "ok, até logo|que final estranho|encomenda 99###### atrasada|dura 125 minutos|estreou em "
        "12/04/2018|custa 8 euros|chego em dez minutos|temporada 2 episódio 4|kkkk sim|a fotografia é "
        "linda|O elenco está ótimo"
    ),
    "it": (
        "ok, a dopo|che finale strano|ordine 77###### in lavorazione|dura 125 minuti|uscito il "
        "20/12/1997|costa 8 euro|arrivo tra dieci minuti|stagione 2 episodio 4|ahah sì|la fotografia è "
        "stupenda|Il cast è perfetto"
    ),
    "pl": (
        "ok, do zobaczenia|dziwne zakończenie|zamówienie 88######## w drodze|trwa 132 minuty|premiera "
        "14.09.2018|kosztuje 25 zł|będę za dziesięć minut|sezon 2 odcinek 4|haha tak|zdjęcia są piękne|"
        "Muzyka była świetna"
    ),
}
FRAMES = (
    "watched {} last night, loved it|have you seen {}?|{} is on tonight|I'd recommend {} to anyone|what "
    "about {}?|{} made me cry|my favourite is {}|"
    "gestern {} geschaut, super|hast du {} gesehen?|{} ist mein Lieblingsfilm|on regarde {} ce soir ?|"
    "j'ai adoré {}|tu connais {} ?|"
    "anoche vi {}, me encantó|¿has visto {}?|ontem vi {} e adorei|você já viu {}?|ieri ho visto {}|hai "
    "visto {}?|obejrzałem {} wczoraj|widziałeś {}?|"
    "{} with the kids, again|nothing beats {}|we could put on {} or something"
).split("|")
TITLES = (
    "The Lantern Keepers|Chicago Nights|Annie's Last Song|Harold and the Comet|A Winter in Prague|Saving "
    "Miss Harper|1923|The Mark of Orion|Jackie Stone|"
    "Tomorrow in Vienna|Bridget and the Fox|Twelve Quiet Men|The Ballad of Billy Crane|Rose Harbour|Max "
    "Ironside|Seven Streets|Paris by Night Bus|"
    "Doctor Hollow|The Secret Life of Walter Penn|Emma's War|Blue Meridian|Mary and the Machine|Into the "
    "Marsh|Ghosts of Dublin|The Daniel Code|"
    "Hope Street|Ella in Wonder|The Baron of Berlin|King Rufus|Madame Violet|Charlie's Last Heist|Dead "
    "Letters|The Glass Orchard|Snow over Kyoto"
).split("|")  # fmt: skip


def lines(seed: int, count: int) -> Iterator[dict[str, Any]]:
    """`count` lines {id, text, contacts, spans, previous?}; three in five hold personal data."""
    rng = random.Random(seed)
    for number in range(count):
        lang = rng.choice(tuple(TALK))
        contacts = rng.sample(NAMES[lang].split("|"), 3)
        if rng.random() < 0.4:
            text = _filled(rng, rng.choice(CLEAN[lang].split("|")))
            if rng.random() < 0.3:
                text = (
                    rng.choice(FRAMES).replace("{}", rng.choice(TITLES))
                    if rng.random() < 0.3
                    else text + " " + rng.choice("😂 👍 🎬 !! ...".split())
                )
            yield {"id": f"g{number}", "text": text, "contacts": contacts, "spans": []}
            continue
        kind = rng.choices(tuple(TALK[lang]), (34, 14, 8, 10, 12, 5, 5, 8, 4))[0]
        value = _value(rng, lang, kind, contacts)
        frame = rng.choice(TALK[lang][kind].split("|"))
        if rng.random() < 0.35:
            frame += rng.choice((" :)", " haha", " ok?", "!", " 😂", " …"))
        if rng.random() < 0.5 and not frame.startswith("{}"):
            frame = frame[0].upper() + frame[1:]
        start = frame.index("{}")
        text = frame.replace("{}", value)
        yield {
            "id": f"g{number}",
            "text": text,
            "contacts": contacts,
            "spans": [{"start": start, "end": start + len(value), "type": kind}],
        }


def _value(rng: random.Random, lang: str, kind: str, contacts: list[str]) -> str:
    if kind == "PERSON":
        known = rng.random() < 0.55
        name = (
            rng.choice(contacts)
            if known
            else rng.choice([n for n in NAMES[lang].split("|") if n not in contacts])
        )
        name = rng.choice((name, name.split()[0], name.split()[0], name.split()[-1] if known else name))
        return name.lower() if rng.random() < 0.2 else name
    if kind == "PHONE":
        return _filled(rng, rng.choice(PHONES[lang].split("|")))
    if kind == "EMAIL":
        first, last = rng.choice(NAMES[lang].split("|")).lower().split()
        plain = (
            first.encode("ascii", "ignore").decode()
            + rng.choice("._-")
            + last.encode("ascii", "ignore").decode()
        )
        style = rng.random()
        domain = rng.choice(("mail.example", "post.test", "gmail.com"))
        if style < 0.6:
            return f"{plain}@{domain}"
        if style < 0.8:
            return (
                re.sub("[._-]", ".", plain)
                + rng.choice(("[at]", " (at) ", "(at)", " [at] "))
                + domain.replace(".", rng.choice((".", "[dot]", " (dot) ")))
            )
        at, dot = AT[lang]
        return plain.replace("-", "").replace("_", "").replace(".", dot) + at + domain.replace(".", dot)
    if kind == "ADDRESS":
        return (
            rng.choice(STREETS[lang].split("|"))
            .replace("{n}", str(rng.randint(1, 240)))
            .replace("{m}", str(rng.randint(1, 30)))
        )
    if kind == "LOCATION":
        return rng.choice(TOWNS[lang].split("|"))
    if kind == "CARD":
        return _card(rng)
    if kind == "IBAN":
        return _iban(rng)
    if kind == "DOB":
        return rng.choice(DATES[lang].split("|"))
    return re.sub(
        "@{6,}",
        lambda at: "".join(rng.choices("abcdefghjkmnpqrstuvwxyz23456789ABCDEFG", k=len(at[0]))),
        rng.choice(LINKS.split("|")),
    )


def _filled(rng: random.Random, pattern: str) -> str:
    return re.sub(
        "#+(?=[#\\d ]|$|\\D)",
        lambda run: (
            "".join(rng.choices("123456789", k=len(run[0])))
            if len(run[0]) > 1 or "#1" not in pattern
            else run[0]
        ),
        pattern,
    )


def _card(rng: random.Random) -> str:
    prefix, size = rng.choice((("4", 16), ("51", 16), ("2221", 16), ("37", 15), ("6011", 16), ("55", 16)))
    body = prefix + "".join(rng.choices("0123456789", k=size - len(prefix) - 1))
    total = sum(
        d if i % 2 else (2 * d - 9 if d > 4 else 2 * d) for i, d in enumerate(int(c) for c in reversed(body))
    )
    number = body + str(-total % 10)
    mark = rng.choice((" ", "-", "", ".", " - "))
    groups = (
        (number[:4], number[4:10], number[10:])
        if size == 15
        else (number[:4], number[4:8], number[8:12], number[12:])
    )
    return mark.join(groups)


def _iban(rng: random.Random) -> str:
    country, pattern, size = rng.choice(IBANS)
    body = _filled(rng, pattern)[:size].ljust(size, "7")
    check = 98 - int("".join(str(int(c, 36)) for c in body + country + "00")) % 97
    code = f"{country}{check:02}{body}"
    style = rng.random()
    return (
        code
        if style < 0.3
        else " ".join(code[i : i + 4] for i in range(0, len(code), 4))
        if style < 0.8
        else "-".join(code[i : i + 4] for i in range(0, len(code), 4)).lower()
    )
