//! Words of praise and blame for SST-2: what is reviewed, its aspects, and what is said of them. Lists are read by
//! [`Dice::word`](crate::dice::Dice::word), which cuts them at `, `.

/// Something that is reviewed.
#[derive(Debug)]
pub struct Domain {
    /// Names for it.
    pub items: &'static str,
    /// Its aspects in the singular.
    pub aspects: &'static str,
    /// Its aspects in the plural.
    pub plural_aspects: &'static str,
    /// Whether it is made by an author: then it can be witty or pretentious.
    pub art: bool,
    /// Adjectives of praise that fit these items only.
    pub praise: &'static str,
    /// Adjectives of blame that fit these items only.
    pub blame: &'static str,
}

/// All domains.
pub const DOMAINS: &[Domain] = &[
    Domain {
        items: "film, movie, comedy, thriller, drama, documentary, sequel, romance, western, musical",
        aspects: "plot, script, ending, acting, direction, dialogue, cast, camera work, pacing, soundtrack, opening, final act, \
                  premise, story, lead performance",
        plural_aspects: "performances, jokes, characters, special effects, chases, scenes, twists, songs",
        art: true,
        praise: "gripping, suspenseful, well acted, beautifully shot, tightly plotted, heartfelt, riveting",
        blame: "badly acted, poorly edited, overlong, clumsily plotted, hammy, uninvolving, derivative",
    },
    Domain {
        items: "novel, book, biography, memoir, collection, story, debut, mystery, essay, saga",
        aspects: "prose, plot, ending, style, first chapter, narrator, translation, argument, voice, tone",
        plural_aspects: "characters, chapters, descriptions, dialogues, footnotes, stories, images",
        art: true,
        praise: "beautifully written, hard to put down, wise, lyrical, well observed, eloquent",
        blame: "badly written, hard to finish, wooden, overwritten, long-winded, preachy",
    },
    Domain {
        items: "meal, lunch, dinner, brunch, supper, menu, breakfast, buffet, stew, pizza",
        aspects: "soup, service, wine list, dessert, fish, coffee, kitchen, sauce, bread, dining room, pasta",
        plural_aspects: "portions, waiters, starters, vegetables, prices, desserts, noodles, side dishes",
        art: false,
        praise: "delicious, tasty, perfectly seasoned, mouth-watering, filling, fragrant",
        blame: "tasteless, greasy, overcooked, soggy, overpriced, lukewarm, inedible",
    },
    Domain {
        items: "hotel, guest house, resort, hostel, apartment, campsite, spa, bed and breakfast, lodge",
        aspects: "room, lobby, breakfast, staff, view, bathroom, pool, location, bed, garden, reception",
        plural_aspects: "rooms, beds, corridors, towels, windows, neighbours, staff members",
        art: false,
        praise: "spotless, comfortable, cosy, welcoming, spacious, restful, well kept",
        blame: "filthy, cramped, draughty, run-down, smelly, shabby, neglected",
    },
    Domain {
        items: "concert, album, show, play, opera, festival, exhibition, recital, ballet, production",
        aspects: "staging, orchestra, singing, second half, lighting, sound, opening number, choreography, band",
        plural_aspects: "songs, costumes, dancers, melodies, lyrics, musicians, solos",
        art: true,
        praise: "stirring, catchy, virtuosic, spirited, dazzling, tuneful, polished",
        blame: "off-key, shrill, under-rehearsed, listless, plodding, muddy, tuneless",
    },
    Domain {
        items: "game, phone, laptop, app, camera, headset, watch, speaker, gadget, tablet",
        aspects: "design, battery, screen, interface, sound, manual, build, keyboard, update, menu",
        plural_aspects: "controls, graphics, buttons, settings, levels, features, pictures",
        art: false,
        praise: "reliable, intuitive, sturdy, fast, easy to use, responsive, well made",
        blame: "unreliable, confusing, flimsy, sluggish, hard to use, buggy, badly made",
    },
];

/// Praise that fits anything.
pub const PRAISE: &str = "wonderful, delightful, brilliant, superb, excellent, charming, splendid, enjoyable, remarkable, \
    elegant, impressive, memorable, outstanding, terrific, lovely, satisfying, marvellous, pleasing, magnificent, pleasant, \
    great, good, fine, first-rate, appealing, admirable, perfect, fantastic, exquisite, amazing, flawless, tasteful, well chosen";

/// Praise for works of art and entertainment.
pub const ART_PRAISE: &str = "witty, thoughtful, touching, graceful, lively, rewarding, inspired, clever, original, warm, \
    moving, fascinating, exciting, engaging, surprising, imaginative, fresh, funny, tender, haunting, subtle";

/// Blame that fits anything.
pub const BLAME: &str = "awful, dreadful, dull, terrible, disappointing, bland, mediocre, forgettable, annoying, cheap, ugly, \
    dreary, horrible, unpleasant, irritating, poor, bad, second-rate, dismal, sloppy, uninspired, appalling, hideous, boring, \
    unworthy, abysmal, shoddy, laughable, miserable, careless, badly chosen, inferior, depressing";

/// Blame for works of art and entertainment.
pub const ART_BLAME: &str = "tedious, clumsy, tiresome, pointless, lifeless, stale, pathetic, lazy, messy, shallow, \
    predictable, lame, empty, mindless, stupid, pretentious, joyless, feeble, contrived, sentimental, soulless";

/// Good things to be full of.
pub const VIRTUES: &str = "charm, warmth, style, good ideas, care, character, pleasant surprises, good taste";

/// The same for art.
pub const ART_VIRTUES: &str = "wit, imagination, heart, humour, passion, intelligence, feeling, grace, energy";

/// Bad things to be full of.
pub const FAULTS: &str =
    "mistakes, carelessness, bad taste, confusion, clumsiness, defects, nasty surprises, bad ideas";

/// The same for art.
pub const ART_FAULTS: &str =
    "clichés, noise, boredom, padding, filler, self-importance, empty gestures, false notes, pretension, nonsense";

/// What good things do.
pub const DELIGHTS: &str = "rewards every minute of attention, puts a smile on your face, delivers on all its promises, \
    wins you over at once, gets everything right, deserves to be better known, stays with you for days, is worth every penny, \
    exceeds expectations, grows on you, makes you want to come back, leaves you wanting more, lives up to its name, \
    never puts a foot wrong, is a pleasure, beats all its rivals";

/// What bad things do.
pub const DISAPPOINTS: &str = "wastes every minute of your time, puts a frown on your face, breaks all its promises, \
    loses you at once, gets everything wrong, deserves to be forgotten, is gone from memory in an hour, is not worth a penny, \
    falls short of expectations, wears you out, makes you want to leave, leaves you cold, fails to live up to its name, \
    never finds its feet, is a waste of money, trails all its rivals";

/// What becomes of a good thing.
pub const LANDS: &str = "hits its mark, finds its feet, comes alive, holds together, earns its praise";

/// What becomes of a bad thing.
pub const FALLS: &str = "misses its mark, loses its way, falls flat, falls apart, earns its bad name";

/// Words of degree that keep the sense.
pub const DEGREES: &str =
    "really, truly, quite, utterly, simply, so, surprisingly, consistently, absolutely, thoroughly, once again";

/// Words that turn an adjective into its opposite.
pub const REVERSERS: &str = "not at all, anything but, far from, never, hardly, by no means, not in the least, not, \
                             nowhere near, not remotely";
