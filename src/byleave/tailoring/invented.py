"""Invented chat for training: films that do not exist, people who talk of them, and chat that names no film.

Every line here is ours. `{t}` takes a title, `{n}` a first name, `{w}` an everyday word that some catalogue
uses as a title; `invent` fills them from a seeded generator. The ordinary lines are full of words that are
titles somewhere (up, home, frozen, the help): a model must learn that they mostly are not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from byleave.words.gazetteer import Gazetteer, Kind, Title, is_name, spoken_rank

_FIRST = [
    "amber",
    "copper",
    "hollow",
    "paper",
    "winter",
    "crimson",
    "velvet",
    "silent",
    "broken",
    "northern",
    "golden",
    "little",
    "last",
    "lost",
    "wild",
    "hidden",
    "burning",
    "glass",
    "iron",
    "marble",
    "salt",
    "electric",
    "crooked",
    "distant",
    "second",
    "restless",
    "stolen",
    "quiet",
    "midnight",
    "scarlet",
]
_NOUN = [
    "harbour",
    "lantern",
    "orchard",
    "ferry",
    "letters",
    "tide",
    "garden",
    "clockmaker",
    "violin",
    "corridor",
    "summer",
    "kingdom",
    "bridge",
    "island",
    "swallows",
    "railway",
    "detective",
    "parade",
    "engine",
    "cathedral",
    "fox",
    "heron",
    "meadow",
    "sailor",
    "compass",
    "bakery",
    "winter",
    "tunnel",
    "carnival",
    "moon",
    "archive",
]
_WORDS = [
    "echo",
    "home",
    "up",
    "click",
    "big",
    "her",
    "frozen",
    "drift",
    "heat",
    "signs",
    "taken",
    "speed",
    "ghost",
    "brave",
    "room",
    "harbour",
    "life",
    "help",
    "town",
    "once",
    "friday",
    "ray",
    "juno",
    "wild",
    "saw",
    "ring",
    "cars",
    "it",
    "splash",
    "rush",
    "flight",
    "elf",
    "hook",
    "nine",
    "bounce",
]
_NAMES = [
    "Ann",
    "Ben",
    "Cara",
    "Dev",
    "Ella",
    "Finn",
    "Gus",
    "Hana",
    "Ivo",
    "Jess",
    "Kit",
    "Lena",
    "Milo",
    "Nora",
    "Omar",
    "Pia",
    "Quinn",
    "Rosa",
    "Sam",
    "Tess",
    "Uma",
    "Vik",
    "Wren",
    "Annie",
    "Max",
    "Ted",
    "Paul",
    "Carrie",
    "Emma",
    "Ray",
    "Jackie",
    "Arthur",
    "Coco",
    "Fred",
    "Carol",
    "Matilda",
    "Jack",
    "Marley",
    "Sully",
    "Rocky",
    "Dave",
    "Alex",
]


def catalogue() -> list[Title]:
    """About 700 invented titles: two-word ones, "The … of the …", series with subtitles, everyday words."""
    found: list[str] = []
    for i, first in enumerate(_FIRST):
        for j, noun in enumerate(_NOUN):
            if (i * 7 + j * 3) % 4 == 0:
                found.append(f"{'The ' if (i + j) % 3 == 0 else ''}{first.title()} {noun.title()}")
            if (i * 5 + j) % 13 == 0:
                found.append(
                    f"The {noun.title()} of the {first.title()} {_NOUN[(j + 5) % len(_NOUN)].title()}"
                )
            if (i + j * 2) % 17 == 0:
                base = f"{first.title()} {_NOUN[(j + 11) % len(_NOUN)].title()}"
                found += [f"{base} {2 + i % 2}", f"{base}: Return to the {noun.title()}"]
    found += [w.title() if i % 3 else f"The {w.title()}" for i, w in enumerate(_WORDS)]
    unique = list(dict.fromkeys(found))
    return [Title(f"x{i:04d}", t, 1960 + (i * 37) % 66) for i, t in enumerate(unique)]


# (line, stance of the speaker towards {t})
FILM_LINES: tuple[tuple[str, str], ...] = (
    ("I loved {t}!", "liked"), ("{t} is my favorite", "liked"), ("have you seen {t}?", "neutral"),
    ("oh {t} was so good, I cried at the end", "liked"), ("we watched {t} last night and loved it", "liked"),
    ("I really liked {t} , great acting", "liked"), ("{t} was awesome", "liked"), ("Yes! {t} is a classic", "liked"),
    ("I've seen {t} about ten times", "liked"), ("{t} is hilarious, my whole family laughs at it", "liked"),
    ("I hated {t}", "disliked"), ("{t} was terrible, I walked out", "disliked"), ("did not like {t} at all", "disliked"),
    ("{t} was boring, I fell asleep", "disliked"), ("I didn't care for {t}", "disliked"),
    ("{t} was a waste of time", "disliked"), ("not a fan of {t} , way too long", "disliked"),
    ("I want to see {t}", "wants"), ("I haven't seen {t} yet but it's on my list", "wants"),
    ("I'll check out {t} , thanks", "wants"), ("never saw {t}, sounds good, I will watch it", "wants"),
    ("been meaning to watch {t}", "wants"), ("can't wait for {t} to come out", "wants"),
    ("What about {t} ?", "neutral"), ("Have you watched {t} or {t} ?", "neutral"), ("You should watch {t}", "liked"),
    ("maybe try {t} or {t}", "neutral"), ("if you like comedies try {t}", "neutral"), ("{t}", "neutral"),
    ("I would suggest {t}, it's about a family by the sea", "neutral"), ("something like {t}", "liked"),
    ("I'm looking for a movie like {t} or {t}", "liked"), ("{t} and {t} are both great", "liked"),
    ("it reminds me of {t}", "neutral"), ("the one with the dog? {t}?", "neutral"), ("I saw {t} in the theater", "seen"),
    ("yes I have seen {t}", "seen"), ("I saw \"{t}\" a while ago", "seen"), ("is {t} on netflix?", "wants"),
    ("um so I think the last movie I saw was {t} and I liked it because it was funny", "liked"),
    ("well I really enjoyed {t} you know the story was just great", "liked"),
    ("I did not enjoy {t} because it was kind of slow", "disliked"), ("yeah {t} is one I would watch again", "liked"),
    ("probably {t}", "liked"), ("{t} was ok, not great", "disliked"), ("my kids are obsessed with {t}", "liked"),
    ("I love {t}, {t}, and {t}", "liked"), ("The trailer for {t} looks great", "wants"),
    ("Just finished {t}. wow.", "liked"), ("tonight: {t} and popcorn?", "wants"),
)  # fmt: skip
FILM_TALK: tuple[str, ...] = (
    "what kind of movies do you like?", "I like horror movies", "something funny", "oh really? who is in it?",
    "it was a good movie", "I have seen it", "no, what is it about?", "thanks for the suggestions!", "Hi there",
    "I'm in the mood for a scary movie", "a good old school comedy", "it is about a guy who lost his home",
    "that one was the best", "I have not seen that, is it any good?", "it came out last year", "bye, enjoy it!",
    "the first one was better than the sequel", "she was great in that", "I love how it ends", "me too!",
    "it is so big and loud, a real popcorn movie", "any good movies up your sleeve?", "I saw it with my mother",
    "I like the part where he takes the help of the town", "animation or action?", "it has a great cast",
    "Okay, I'll add it to my list", "the life of a spy, that kind of thing", "I'm more into drama",
    "I heard it's really good", "sounds good, I'll check it out", "not my thing", "didn't like that one",
)  # fmt: skip
ORDINARY: tuple[str, ...] = (
    "what's up", "are you home yet?", "I'll pick it up on the way home", "click the link in the mail",
    "she left her keys at home", "the big one or the small one?", "frozen pizza again tonight lol",
    "the pipes are frozen, can you call someone", "it is what it is", "up early tomorrow, good night",
    "just give it to her when you see her", "the heat is killing me", "speed limit is 50 there, careful",
    "ok see you at home around six", "signs point to rain", "have you seen my charger?", "I saw your missed call",
    "did you see the email from school?", "watch out, the stairs are wet", "he was taken to hospital but he's fine",
    "get out of bed lazy", "I need to get out of here", "the room is booked from nine to eleven",
    "can you book a room for 12 people", "the help desk says to restart it", "thanks for the help yesterday",
    "going to town, need anything?", "the town hall closes at 4", "once you're done call me", "see you on Friday",
    "friday works for me", "Friday the 13th is our moving day, wish us luck", "next friday or the one after?",
    "saturday night at ours?", "life is short, eat the cake", "that's life", "it's a beautiful life here",
    "it was a good time", "we had such a good time at the lake", "is this a good time to call?",
    "the holiday starts on monday", "booked our vacation!", "we're on vacation until the 14th",
    "the game starts at 8", "who won the game?", "no worries, game over for me anyway", "big day tomorrow!",
    "the ring doesn't fit, I'll have it resized", "someone at the door, give me a ring later", "she said yes to the ring!",
    "the cars are all parked on the left", "two cars and a van", "traffic is awful", "stuck in traffic",
    "there was a crash on the ring road", "my laptop will crash any minute", "her flight lands at 21:40",
    "flight got cancelled", "did your flight leave?", "up in the air about the weekend", "rush hour, sorry",
    "no rush", "sugar rush from all that cake", "the kids are hyper", "the other guys are already there",
    "the others are coming at 7", "where are the others?", "the village bakery is the best",
    "our village has one bus a day", "the road is closed", "hit the road at five, beat the queue",
    "on the road, talk later", "the rock in my shoe lol", "the boss is on leave", "boss baby mode today, he cried for hours",
    "the mask rule still counts at the clinic", "bring a mask", "a ghost of a chance", "he ghosted me",
    "brave girl, the nurse said", "wild party last night??", "into the wild garden behind the shed",
    "the visit went fine, grandma is well", "the call dropped, sorry", "missed the call", "the wedding is on the 9th",
    "at my brother's wedding", "wedding crashers, honestly, who invited them", "my best friend's wedding is in june",
    "the proposal is due monday", "read the proposal?", "the intern starts today", "our intern is great",
    "the accountant needs the receipts", "the firm sent a letter", "the bank was closed", "the judge ruled for us",
    "the guardian signed the form", "the bodyguard of the singer was huge haha", "the terminal is number 2",
    "terminal 3, gate 21", "gate 9 or gate 10?", "meet at 10", "at 9", "make it 7", "42", "42 euros, not bad",
    "a 9 out of 10 for the soup", "room 21", "21 people so far", "he turned 21!", "I'd say 300 guests max",
    "paul says hi", "Ted will bring the grill", "is Max coming?", "Emma has a fever", "Annie's party is at 3",
    "carrie lost her phone again", "tell Ray the boiler is fixed", "Jackie and Arthur are moving", "Coco ate my shoe",
    "Juno needs her walk", "can you feed Rocky tonight", "Matilda starts school on monday!", "saw Marley at the park",
    "Alice in accounting has the form", "Lincoln street, second left", "the chicago office is asking",
    "we fly to Rio in march", "Madagascar was beautiful, send pics", "australia in winter is summer there",
    "philadelphia for work, back thursday", "off to Munich", "brooklyn or queens?", "we met in casablanca",
    "dunkirk by ferry then drive", "Notting Hill is too expensive", "the weather in Fargo, brr", "dallas is hot",
    "nebraska plates", "paris in may?", "from paris with love, ha", "new york, I love you", "vegas baby",
    "venice is sinking, we better go", "troy is two hours away", "alexander signed", "the martian landscape of that desert",
    "gravity is not my friend today", "inside out shirt all day, nobody told me", "your sweater is inside out",
    "it follows that we owe them 20", "step up your game", "knocked up the price again", "break up the work in parts",
    "the break up was hard on her", "date night tonight so no calls", "bad moms club meets at 8 lol",
    "bad teacher, he never answers", "horrible bosses, same everywhere", "step brothers get on fine now",
    "due date is the 12th", "the due date moved", "the hangover is real", "no hangover, miracle", "it's a miracle",
    "the notebook is on your desk", "bring the notebook with the recipes", "the vow of silence, he said and kept talking",
    "dear john, the invoice is attached", "dear frankie thanks for the flowers", "a few good men would help carry it",
    "the usual suspects were late", "pay it forward", "the pursuit of a parking space", "catch me if you can, I run at 6",
    "as good as it gets for this price", "something borrowed: your drill", "he's just not that into you",
    "crazy, stupid, love? no, tired", "love actually beats money", "you've got mail - from the tax office",
    "home alone until sunday, come over", "the parent trap: snacks at the checkout", "lost in translation again",
    "lost and found has your scarf", "the lost keys were in the fridge", "the great wall we built in the garden",
    "the wall is painted", "the lunchbox is in the car", "chef was great, ask for the soup", "spotlight in the hall is broken",
    "whiplash from the accident, nothing bad", "drive safe", "long drive", "baby driver seat is in the trunk",
    "the graduate course starts in fall", "the big short answer is no", "fences need paint", "the shack needs a roof",
    "the cabin is booked", "cabin fever already", "the lake house is free in august", "the beach was packed",
    "the island ferry is at noon", "cast away your doubts and apply", "the perfect storm of deadlines", "twister? the kids have it",
    "jumanji level chaos in the kitchen", "the goonies pub quiz team lost again", "our cat is called Gizmo",
    "alien concept to him, cleaning", "avatar picture updated", "psycho neighbour is drilling again", "scream if you see a spider",
    "I could scream", "elf on the shelf time", "the grinch next door took down the lights", "bolt is loose", "the bolt came off",
    "tangled headphones", "the lights are tangled", "brave the rain?", "up and running", "what's up doc", "up to you",
    "it's up to her", "look up the address", "give up", "hang up", "shut up lol", "he's up", "it broke", "is it on?",
    "it works!", "did it work?", "that's it", "it", "her", "home", "big", "yes it", "her too", "home?", "up?",
    "movie night is cancelled, sorry", "no time for a movie tonight", "we could watch something", "watched the sunset",
    "watch the kids for an hour?", "watching the match", "seen it, will answer later", "have you seen her today?",
    "did you see her?", "I saw him at the gym", "I saw it on the news", "the series of talks starts at 10",
    "the director wants the numbers", "the film on the window peels off", "cast comes off on tuesday", "my cast is off!",
    "what a drama at the office", "the plot behind the house is for sale", "the theatre group meets at 7", "music on full",
    "the band plays at nine", "new album by them is out", "reading a book about her life", "the book club is on thursday",
    "dinner?", "ok", "lol", "haha yes", "thanks!!", "on my way", "running late, 10 min", "love you", "happy birthday!!",
    "congrats", "can you send the file again", "the report is due friday", "invoice 2012 is still open", "version 2 is live",
    "call me back", "what's the wifi password", "who has the key", "milk, eggs, bread", "the rent is due", "rent went up",
    "i paid the rent", "our lease ends in may", "the apartment has two rooms", "the garage code changed", "the interview went well!",
    "the interview is at 3", "good luck with the exam", "exam is over", "school is out", "back to school on monday",
    "the teacher called", "the principal wants to see us", "team lunch?", "the meeting moved", "agenda attached",
    "the social network at work is down", "the internship ends in june", "office space is too small", "the office is closed",
    "the help came at last", "the fighter in her, she'll make it", "a star is born! 3.2 kg, all well", "baby mama drama no thanks",
    "nine lives that cat", "what women want: sleep", "the secret is butter", "the gift is wrapped", "the gift card expired",
    "the package arrived", "the box is too big", "the switch is next to the door", "switch it off", "the birds are loud",
    "the fly in the soup", "don't breathe in there, fresh paint", "lights out at ten", "lights out, early start", "hush, the baby sleeps",
    "hush puppies for dinner", "unknown number, who is this", "unstoppable, that kid", "non-stop rain", "non stop meetings",
    "locked out", "out of time, sorry", "out cold", "in time for the bus", "just in time", "about time!", "it's about time",
    "about last night, sorry", "the morning after is rough", "before sunset we walk the dog", "before sunrise, no thanks",
    "10 things on my list", "27 dresses on sale haha", "12 monkeys in the meeting", "seven of us", "table for seven",
    "the one on the left", "one more", "ok one sec", "the kid is asleep", "the kids are all right", "man on fire at the bbq lol, all ok",
    "hot fuzz on my sweater", "the fault in our boiler", "the fault is in the cable", "easy a little salt then serve",
    "clueless as ever", "clueless, sorry", "mean girls at her school", "grease on the stove", "hairspray set off the alarm",
    "the sound of music from next door", "footloose and free till monday", "big fish for dinner, dad caught it",
    "finding parking is hell", "the good dinosaur sticker is on the red bag", "monsters under the bed again", "bugs in the kitchen",
    "a bug's in the code", "the iron is still on!", "iron man of the triathlon: uncle Ben", "wonder if it rains",
    "wonder who called", "I wonder", "a wonder it works", "thor hammer screwdriver set, only 20", "the avengers of bad parking: us",
)  # fmt: skip
# {w}: any everyday word that is a title somewhere, {n}: a first name that may be one
SLOTTED: tuple[str, ...] = (
    "{n} said hi", "tell {n} I'm late", "is {n} coming on sunday?", "have you seen {n}?", "saw {n} at the market",
    "I love {n} so much", "{n} is the best", "happy birthday {n}!", "{n}'s car broke down", "did {n} call?", "ask {n}",
    "{n} and {n} got married", "met {n} for coffee", "my sister {n} lives there", "Dear {n},", "Thanks, {n}", "hi {n}",
    "the {w} is broken", "we need a new {w}", "{w}?", "what {w}", "no {w} today", "that was so {w}", "some {w} maybe",
    "I left the {w} in the car", "my {w} hurts", "too much {w}", "all about {w}", "{w} or not, we go at 8", "the {w}",
    "so {w} lol", "did you bring the {w}?", "I like the {w} at your place", "have you seen the {w}?", "a bit of {w}",
    "she is {w}", "they {w} all day", "really {w}", "ok {w}", "we saw the {w} from the train", "I love {w} in winter",
    "is the {w} open?", "the {w} was great, thanks for cooking", "{w} is at 5", "more {w} please", "your {w} is ready",
)  # fmt: skip


# Phrases that everybody says and some catalogue has as a title: a trainer adds them to its own catalogue.
DECOYS: tuple[str, ...] = (
    "Sounds Good", "All Good", "No Worries", "Good Point", "Good Morning", "Good Night", "Thank You", "Of Course",
    "See You", "See You Soon", "What Else", "Good One", "No Problem", "Next Time", "Take Care", "Come On", "Not Yet",
    "Right Now", "So Far", "Oh Well", "Never Mind", "Well Done", "Fair Enough", "Let Me Know", "On My Way", "Why Not",
    "Same Here", "Good Luck", "Have Fun", "The Best", "The First One", "Really Good", "Last Night", "This Weekend",
    "Tonight", "Tomorrow", "Maybe", "Okay", "Great", "Perfect", "Thanks", "Welcome", "Hello", "Goodbye", "Morning",
    "Nothing", "Something", "Anything", "Together", "Again", "Later", "Always", "Never", "Enough", "Almost Done",
    "The End", "The One", "The Other One", "My Favorite", "A Classic", "Family", "Kids", "Weekend", "Dinner",
)  # fmt: skip


class Said:
    """One invented line with the spans of its titles: (start, end, title id, stance)."""

    __slots__ = ("gold", "speaker", "text")

    def __init__(self, speaker: str, text: str, gold: tuple[tuple[int, int, str, str], ...] = ()) -> None:
        self.speaker, self.text, self.gold = speaker, text, gold


def everyday(gazetteer: Gazetteer) -> tuple[list[str], list[str]]:
    """(ordinary words, first names) that the catalogue also has as titles, by key."""
    words = []
    names = []
    for alias in gazetteer.aliases.values():
        if alias.kind > Kind.NAME or len(alias.tokens) > 2:
            continue
        if all(is_name(w) for w in alias.tokens) and len(alias.tokens) == 1:
            names.append(alias.key)
        elif all(spoken_rank(w) < 6000 for w in alias.tokens):
            words.append(alias.key)
    return sorted(words), sorted(names)


def ordinary(
    gazetteer: Gazetteer, conversations: int, rng: np.random.Generator, lines: Sequence[str]
) -> list[list[Said]]:
    """Conversations that name no film: the lines given and slotted ones over the catalogue's own words."""
    words, names = everyday(gazetteer)
    out = []
    for _ in range(conversations):
        said = []
        style = rng.random()
        for turn in range(int(rng.integers(4, 24))):
            if rng.random() < 0.6 or not words:
                text = lines[int(rng.integers(len(lines)))]
            else:
                text = SLOTTED[int(rng.integers(len(SLOTTED)))]
            while "{n}" in text or "{w}" in text:
                pool = names if "{n}" in text and names and rng.random() < 0.7 else _NAMES
                text = text.replace("{n}", pool[int(rng.integers(len(pool)))].title(), 1)
                if "{w}" in text:
                    text = text.replace("{w}", words[int(rng.integers(len(words)))], 1)
            if style < 0.35:
                text = text.lower()
            elif rng.random() < 0.4:
                text = text[:1].upper() + text[1:]
            said.append(Said(f"p{1 + turn % 2}", text))
        out.append(said)
    return out


def films(titles: Sequence[Title], conversations: int, rng: np.random.Generator) -> list[list[Said]]:
    """Conversations about films of the catalogue, with every title labelled by span and stance."""
    out = []
    for _ in range(conversations):
        style = rng.random()
        said = []
        known = [titles[int(i)] for i in rng.integers(len(titles), size=4)]
        for turn in range(int(rng.integers(6, 16))):
            speaker = f"p{1 + turn % 2}"
            if rng.random() < 0.5:
                said.append(Said(speaker, FILM_TALK[int(rng.integers(len(FILM_TALK)))]))
                continue
            line, stance = FILM_LINES[int(rng.integers(len(FILM_LINES)))]
            text, *pieces = line.split("{t}")
            gold = []
            for piece in pieces:
                title = (
                    known[int(rng.integers(4))]
                    if rng.random() < 0.6
                    else titles[int(rng.integers(len(titles)))]
                )
                name = title.title.lower() if style < 0.4 or rng.random() < 0.15 else title.title
                if rng.random() < 0.08:
                    name += f" ({title.year})"
                gold.append((len(text), len(text) + len(name), title.id, stance))
                text += name + piece
            said.append(Said(speaker, text, tuple(gold)))
        out.append(said)
    return out
