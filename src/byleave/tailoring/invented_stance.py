"""Invented ways to say what one thinks of a film, by stance: in a line that names it, and in answer to one.

Every line is ours. `{t}` is the title, `{o}` another one. Answers name no title: they follow somebody else's
mention. A title that nobody answers to is neutral.
"""

from __future__ import annotations

import numpy as np

from byleave.tailoring.invented import FILM_TALK, Said
from byleave.words.gazetteer import Title

NAMED: dict[str, str] = {
    "liked": """I loved {t}|{t} is one of my favorites|I really liked {t}|{t} was so good|{t} was great|yes, {t} is awesome
I enjoyed {t} a lot|my favorite movie is {t}|I like movies like {t}|something like {t}|I love {t} and {o}|{t} is a classic
{t} was hilarious|{t} is the best|I thought {t} was really fun|{t} made me cry, so beautiful|big fan of {t}|I adore {t}
I have seen {t} so many times|I can watch {t} over and over|I'm looking for something similar to {t}|{t} had me laughing
I grew up with {t}|my kids and I love {t}|{t} and {o} are great|I didn't like {o} but {t} was good|{t} was better than {o}
oh man {t} was amazing|I was surprised how good {t} was|not gonna lie, {t} was fantastic|you can't go wrong with {t}
I didn't expect to like {t} but I did|never gets old, {t}|anything in the style of {t} is for me|saw {t} last week, it was excellent
I liked {t} more than {o}|well {t} is perfect|we watch {t} every christmas|{t} still holds up|I can't get enough of {t}
have you seen {t}? It was really good|I just watched {t} and it was really good|{t} is a great movie|{t} was pretty good""",
    "disliked": """I did not like {t}|I didn't like {t}|I don't like {t}|I do not like {t}|I hated {t}|{t} was terrible|{t} was boring
I didn't care for {t}|I don't really care for {t}|didn't care for {t}|{t} is not my thing|{t} wasn't my thing|{t} is not my speed
not so much {t} though|I'm not into {t}|I was never into {t}|I could never get into {t}|couldn't get into {t}|{t} was awful
not a fan of {t}|I'm not a fan of {t}|I wasn't a big fan of {t}|I'm not a huge fan of {t}|never really liked {t}|{t} sucked
{t} was too silly for me|{t} was too long|{t} was too slow for my taste|I fell asleep during {t}|{t} put me to sleep|{t} was horrible
I was disappointed by {t}|{t} was a let down|{t} was disappointing|I was a little underwhelmed by {t}|{t} was underwhelming
{t} was overrated|{t} is so overrated if you ask me|I have no interest in {t}|not interested in {t}|really not interested in {t}
{t} doesn't interest me|I wouldn't watch {t} again|I turned {t} off after twenty minutes|walked out of {t}|{t} was a waste of time
{t} wasn't that good|{t} was not good|{t} wasn't as good|{t} was not as good as {o}|I loved {o} but {t} was bad|{t} was dumb
{t} was confusing and dull|I don't get the hype about {t}|{t} was meh|{t} was just ok, kind of boring|{t} is the worst
I don't like movies like {t}|nothing like {t} please|anything but {t}|please not {t}|{t} is not one of my favorites|{t} was too gory
I liked {o} but not {t}|I liked {o} more than {t}|{o} was great, {t} not so much|{t} was a bit too much for me|can't stand {t}
I saw {t} but didn't care for it|I've seen {t}, didn't like it|ive seen {t} , wasn't a fan|I watched {t} and hated it
I tried to watch {t} but couldn't finish it|{t} was just stupid|{t} was weird, not for me|I didn't enjoy {t}|{t} ruined it for me
not too fond of {t}|wasn't too fond of {t}|{t} is really not my kind of movie|they can keep {t}|{t} was so cheesy, ugh""",
    "wants": """I want to see {t}|I haven't seen {t} but I want to|I have never seen {t}, I'll check it out|I will watch {t} tonight
I'll check out {t}|I will check out {t} thanks|I need to see {t}|I still have to see {t}|I've been meaning to watch {t}
I have been wanting to see {t}|can't wait to see {t}|looking forward to {t}|{t} looks good, haven't seen it yet|{t} is on my list
I'm going to watch {t}|I think I'll watch {t}|{t} sounds good|{t} sounds interesting, never heard of it|I'll have to try {t}
I haven't seen {t}|I haven't seen {t} yet|never seen {t}|I have not seen {t}|I have heard of {t} but never saw it|no I haven't seen {t}
I've heard good things about {t}|I would like to see {t}|thanks, I'll look for {t}|I'll add {t} to the list|I might give {t} a try
I didn't watch {t} yet|what is {t} about?|I really wanna watch {t}|I should watch {t}|I'll rent {t} this weekend|{t} it is then!
I loved {o} but I haven't seen {t}|seen {o}, not {t}|is {t} out yet? I want to go|I've never heard of {t}, I'll look it up""",
    "neutral": """have you seen {t}?|what about {t}?|how about {t} or {o}|there is also {t}|is {t} the one with the boat?|{t} came out in 2011
I have seen {t}|I saw {t}|yes seen {t}|I think {t} is a drama|who played in {t}|you could try {t}|I mean {t}|maybe {t}
I don't remember {t}|I saw {t} when I was little, don't remember it""",
}
ANSWERS: dict[str, str] = {
    "liked": """I loved that one|yes! great movie|that's a good one|I love that movie|yes I liked it a lot|oh yeah, that was awesome|love it
I have seen it and it was great|yes, one of my favorites|that was so funny|it was really good|I enjoyed that one|seen it, loved it
yes I've seen that, very good|that is a classic|such a good movie|yeah that one was pretty good|I liked that one|great choice
Yes I did! It was great|I have, it was good|yes, it's hilarious|oh I forgot about that one, so good|that one always makes me cry
yeah I have that on dvd|I watched it twice, really fun|yes and I liked it|one of the best ever|me too!|I agree, it was great
I have seen it. I liked it|I've seen both, loved them|yep, saw it in the theater, fantastic|that's my all time favorite""",
    "disliked": """I didn't like that one|I did not like it|didn't like it|I hated it|yes I did not like it|I didn't care for it|didn't care for that one
I've seen it, not a fan|I wasn't a big fan of it|not really a fan|I'm not a fan of that one|it was boring|that was terrible|that was awful
I saw it, it was bad|it wasn't very good|wasn't that great|it was not as good as the first|I've seen that, it was just ok|it was ok but too long
I was let down|I was disappointed|it was a letdown|not my type of movie|that's not really my kind of movie|not my thing|not really my thing
that isn't really my thing|doesn't interest me|not interested in that|no thanks|I'll pass on that one|pass|I don't think I would enjoy it
too scary for me|too much blood for me|too gory for me|too silly|too slow|too old for my taste|I don't like that kind of film
I don't like those movies|I don't really like those|I'm not into those|not really into those movies|I'm not a sports movie person
I fell asleep during that one|couldn't finish it|I turned it off|never got into it|hard to get into that one|it didn't do much for me
I've seen it, didn't like it|yes, hated it|yes we didn't care for it|yes. it wasn't that great though|saw it, wasn't impressed
oh god no|ugh no|no, that one is stupid|I can't stand that actor|I don't care for him|not a fan of him|I don't like animated ones
no I don't like musicals|I'm not a huge sci-fi fan|that was weird, did not enjoy it|the previews didn't grab me|that was horrible
I only made it twenty minutes in|seen it, overrated|honestly it was a waste of time|it was confusing|I didn't get it|not for me
that sounds horrible|I don't like horror|not what I'm looking for|something else please|it was dumb|meh, it was alright|not that one""",
    "wants": """I haven't seen that one|I haven't seen it, sounds good|no I haven't, I'll check it out|no, is it good?|I have not seen that
never seen it|I've never seen that one|never heard of it|I will check it out|I'll have to watch it|sounds good|sounds interesting
sounds great, thanks|that sounds like fun|I'll add it to my list|I want to see that|I've been wanting to see that|been meaning to
I've heard good things|I heard it's good|I'll give it a try|I will look for it|not yet, but I want to|not yet|no but I'd like to
I haven't but I will watch it|thanks, I'll try it|ooh, I will have to see that|haven't gotten around to it yet|what is it about?
I'll watch it tonight|no I have not, who is in it?|oh I have not heard of that one|I'd like to see that|perfect, I'll watch that
that looks good|I saw the trailer, looks great|I will rent it|I might have to check that out|no, what's it about?|I have been curious about it
okay, I'll go with that one|I was going to see it but didn't have time|I'll put it on the list|I think I would like it""",
    "neutral": """ok|hmm|who is in that?|I like comedies|anything newer?|yes|with the dog?|I see|and what else|oh|I saw it, don't remember it
is that a western?|I prefer action|what else do you have|I have seen that|yes I've seen it|seen it""",
}


def phrases(table: dict[str, str]) -> dict[str, list[str]]:
    return {k: [p for p in v.replace("\n", "|").split("|") if p] for k, v in table.items()}


def opinions(titles: list[Title], conversations: int, rng: np.random.Generator) -> list[list[Said]]:
    """Conversations in which p2 is asked about titles and tells; each Said's gold carries p2's stance.

    A title p1 names carries the stance that p2's answer shows, so the label stands at the mention whoever
    made it; p1's own stance is not labelled.
    """
    named, answers = phrases(NAMED), phrases(ANSWERS)
    kinds = ("liked", "disliked", "wants", "neutral")
    out = []
    for _ in range(conversations):
        said: list[Said] = []
        for _ in range(int(rng.integers(2, 6))):
            title, other = (titles[int(i)] for i in rng.integers(len(titles), size=2))
            stance = kinds[int(rng.choice(4, p=(0.35, 0.35, 0.22, 0.08)))]
            way = rng.random()
            if way < 0.5:  # p2 names it
                lines = named[stance]
                said.append(_fill("p2", lines[int(rng.integers(len(lines)))], title, other, stance))
                if rng.random() < 0.4:
                    said.append(Said("p1", FILM_TALK[int(rng.integers(len(FILM_TALK)))]))
            else:
                asks = [
                    x
                    for x in named["neutral"]
                    if "{t}" in x and "seen {t}" not in x.replace("have you seen", "")
                ]
                kind = asks if rng.random() < 0.7 else named["liked"]
                said.append(_fill("p1", kind[int(rng.integers(len(kind)))], title, other, stance))
                replies = answers[stance]
                said.append(Said("p2", replies[int(rng.integers(len(replies)))]))
                if rng.random() < 0.3:
                    said.append(Said("p2", FILM_TALK[int(rng.integers(len(FILM_TALK)))]))
        out.append(said)
    return out


def _fill(speaker: str, line: str, title: Title, other: Title, stance: str) -> Said:
    text = ""
    gold = []
    while line:
        at = min((i for i in (line.find("{t}"), line.find("{o}")) if i >= 0), default=-1)
        if at < 0:
            text += line
            break
        which = title if line[at + 1] == "t" else other
        text += line[:at]
        gold.append((len(text), len(text) + len(which.title), which.id, stance if which is title else ""))
        text += which.title
        line = line[at + 3 :]
    return Said(speaker, text, tuple(gold))
