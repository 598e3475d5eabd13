//! Adjectives in sets that noun groups refer to, adverbs of manner, and phrases that narrow a noun.

/// `set | adjectives`. `a - b` are antonyms, `=` joins synonyms; adjectives divided by `/` exclude each other.
pub(super) const ADJECTIVES: &str = "
person | young - old=elderly, tall - short, cheerful=happy - gloomy=sad, famous=well-known - unknown, rich=wealthy - poor, nervous=anxious - calm, polite - rude, friendly - unfriendly, experienced - inexperienced, patient - impatient, clever=smart - foolish, lazy - hard-working, generous - stingy, shy - outgoing, kind - cruel, tired=weary - energetic, honest - dishonest
food | fresh - stale, warm - cold, tasty=delicious - tasteless, traditional - unusual=strange
produce | fresh - rotten, expensive=costly - cheap=inexpensive
fruit | sweet - sour, ripe - unripe
transit | crowded=packed - empty, fast=quick - slow, modern - old-fashioned
drink | hot - cold, sweet - bitter, strong - weak, expensive=costly - cheap
size | large=big - small=little, huge=enormous - tiny
price | expensive=costly - cheap=inexpensive
plain | cheap=inexpensive - expensive=costly, new - old
thing | new - old, expensive=costly - cheap=inexpensive, large=big - small=little, beautiful=lovely - ugly, modern - old-fashioned, unusual=strange - ordinary
state | clean - dirty, dry - wet, shiny - dull
weight | heavy - light
colour | red / blue / green / yellow / white / black / grey / brown / purple
music | slow - fast, loud=noisy - quiet, sad - cheerful=happy, long - short, famous=well-known - unknown, modern - traditional
text | long - short, interesting=fascinating - boring=dull, useful=helpful - useless, funny=amusing - serious, new - old, simple - complicated=complex
animal | hungry=starving - well-fed, tame - wild, young - old, healthy - sick=ill, noisy - quiet
plant | tall - short, rare - common, healthy - sick
building | old=ancient - modern, famous=well-known - unknown, beautiful=lovely - ugly, quiet - noisy, empty - crowded
contest | exciting=thrilling - boring=dull, long - short, easy - difficult=hard, local - international
ailment | serious=severe - minor=slight, common - rare
art | famous=well-known - unknown, genuine=authentic - fake, valuable=precious - worthless, ancient - modern, beautiful=lovely - ugly
measure | new - old, popular - unpopular, expensive=costly - cheap, strict - lenient, sensible=reasonable - absurd
problem | serious - minor, sudden=unexpected - predictable, old - new, simple - complicated=complex
";

/// Adverbs of manner: `a - b` exclude each other, `=` joins synonyms.
pub(super) const MANNERS: &str = "
quickly=rapidly - slowly, carefully=cautiously - carelessly, quietly=silently - noisily, gladly=happily - reluctantly=unwillingly, \
secretly - openly=publicly, proudly - modestly, patiently - impatiently, calmly - nervously=anxiously, \
eagerly=enthusiastically - halfheartedly, expertly=skilfully - clumsily=awkwardly, promptly=immediately - belatedly, gently - roughly
";

/// Narrowing phrases after a person: (with a singular noun in it, with a plural noun in it).
pub const PERSON_PHRASES: &[(&str, &str)] = &[
    ("from the village", "from the nearby villages"),
    ("with the long beard", "with the thick glasses"),
    ("in the blue coat", "in the blue overalls"),
    ("from the capital", "from the northern islands"),
    ("at the front desk", "at the front tables"),
    ("near the entrance", "near the open windows"),
    ("behind the counter", "behind the wooden counters"),
    ("from the second floor", "from the upper floors"),
    ("next to the old clock", "next to the tall mirrors"),
];

/// Narrowing phrases after a thing.
pub const THING_PHRASES: &[(&str, &str)] = &[
    ("on the upper shelf", "on the upper shelves"),
    ("in the corner", "between the two pillars"),
    ("near the entrance", "near the open windows"),
    ("by the door", "by the glass doors"),
    ("from the catalogue", "from the old catalogues"),
    ("under the stairs", "under the wooden steps"),
    ("next to the lamp", "next to the lamps"),
];
