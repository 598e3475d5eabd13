//! Words of two senses, each with sentences that have the word in that sense.

/// A word and the patterns of its senses: the word stands in brackets, `{p}` and `{q}` are people, and any other name in
/// braces is a thing of that group of the lexicon.
pub(super) const WORDS: &[(&str, [&[&str]; 2])] = &[
    (
        "bat",
        [
            &[
                "{p} saw a [bat] fly out of the barn",
                "the [bat] slept in the dark beside the {wildlife}",
                "{p} was afraid of the [bat] and of the {insect}",
                "the {wildlife} and the [bat] hunt at night, {p} said",
                "{p} found two young [bats] under the roof",
            ],
            &[
                "{p} hit the ball with the [bat]",
                "{p} bought a wooden [bat] and a ball for the match",
                "{p} broke the [bat] during the game",
                "the player held the [bat] with both hands, {p} said",
                "{p} left the ball and the [bats] on the playground",
            ],
        ],
    ),
    (
        "bank",
        [
            &[
                "{p} paid the money into the [bank]",
                "the [bank] gave {p} a loan",
                "{p} opened an account at the [bank]",
                "{p} asked the [bank] for cash to buy the {furniture}",
                "two [banks] refused to lend {p} any money",
            ],
            &[
                "{p} sat on the [bank] of the river",
                "the {livestock} drank water from the [bank]",
                "{p} pulled the {boat} onto the [bank]",
                "{p} saw a {wildlife} on the other [bank] of the river",
                "trees grew on both [banks], {p} said",
            ],
        ],
    ),
    (
        "ring",
        [
            &[
                "{p} wore a gold [ring] on one finger",
                "{p} lost the [ring] with the stone",
                "{p} bought the [ring] for the wedding",
                "the jeweller sold {p} a silver [ring]",
                "{p} kept the [rings] beside the {jewel}",
            ],
            &[
                "the boxer fell down in the [ring], {p} said",
                "{p} fought against {q} in the [ring]",
                "{p} was the stronger boxer in the [ring]",
                "the referee sent {p} out of the [ring]",
                "{p} trained with {q} in both [rings] of the gym",
            ],
        ],
    ),
    (
        "match",
        [
            &[
                "{p} won the [match] against {q}",
                "the team of {p} lost the [match]",
                "{p} watched the tennis [match] with {q}",
                "the referee stopped the [match] because of {p}",
                "{p} played in all the [matches] of the season",
            ],
            &[
                "{p} lit the fire with a [match]",
                "{p} burned a finger on the [match]",
                "the [match] was too wet to light the lamp, {p} said",
                "{p} needed a [match] for the candle",
                "{p} bought a box of [matches] to light the oven",
            ],
        ],
    ),
    (
        "bill",
        [
            &[
                "{p} paid the [bill] at the restaurant",
                "the waiter brought {p} the [bill] for the {dish}",
                "{p} found a mistake in the [bill] from the shop",
                "{p} had no money for the electric [bill]",
                "the [bills] for the repairs surprised {p}",
            ],
            &[
                "the {bird} opened its long [bill], {p} said",
                "{p} saw a {bird} with a fish in its [bill]",
                "the {bird} cleaned its wings with its [bill] before {p}",
                "{p} fed a {bird} with a yellow [bill]",
                "the young birds opened their [bills] when {p} came",
            ],
        ],
    ),
    (
        "coach",
        [
            &[
                "{p} travelled to the city by [coach]",
                "the [coach] was full of tourists, {p} said",
                "{p} missed the [coach] and took the {transit}",
                "{p} put the {luggage} into the [coach]",
                "the driver parked both [coaches] near {p}",
            ],
            &[
                "the [coach] trained the team of {p}",
                "{p} is the [coach] of a young runner, {q} said",
                "the [coach] told {p} to run faster",
                "{p} thanked the [coach] after the victory",
                "two [coaches] taught {p} how to swim",
            ],
        ],
    ),
    (
        "conductor",
        [
            &[
                "the [conductor] led the orchestra of {p}",
                "{p} played the {instrument} for the new [conductor]",
                "the [conductor] gave the {instrument} its sign, {p} said",
                "{p} became the [conductor] of a choir",
                "both [conductors] praised how {p} played the {instrument}",
            ],
            &[
                "the [conductor] asked {p} for a ticket on the train",
                "{p} showed the ticket to the [conductor]",
                "{p} had no ticket when the [conductor] came",
                "{p} worked as a [conductor] on the {transit}",
                "the [conductors] of the train helped {p} with the {luggage}",
            ],
        ],
    ),
    (
        "letter",
        [
            &[
                "{p} wrote a [letter] to {q}",
                "{p} sent the [letter] by post",
                "the [letter] from {q} made {p} happy",
                "{p} put a stamp on the [letter]",
                "{p} opened the [letters] and the {parcel}",
            ],
            &[
                "{p} learned the first [letter] of the alphabet",
                "the name of {p} begins with the [letter] A, {q} said",
                "{p} forgot a [letter] in the long word",
                "{p} could read every [letter] on the sign",
                "the word had too many [letters], {p} said",
            ],
        ],
    ),
    (
        "note",
        [
            &[
                "{p} left a [note] on the table for {q}",
                "{p} wrote a short [note] beside the {document}",
                "the teacher read the [note] of {p}",
                "{p} stuck a [note] to the door",
                "{p} took [notes] during the lecture",
            ],
            &[
                "{p} sang a wrong [note] in the {tune}",
                "the {instrument} played a high [note] for {p}",
                "{p} held the last [note] of the {tune}",
                "{p} could not reach the high [note] of the song",
                "the first [notes] of the {tune} moved {p}",
            ],
        ],
    ),
    (
        "glass",
        [
            &[
                "{p} drank a [glass] of water",
                "{p} poured the {drink} into a [glass]",
                "{p} filled the [glass] with {drink}",
                "the waiter gave {p} an empty [glass]",
                "{p} washed the [glasses] and the {cookware}",
            ],
            &[
                "the door of {p} was made of [glass]",
                "{p} repaired the broken [glass] of the window",
                "the artist made the {artwork} of coloured [glass] for {p}",
                "{p} cut the [glass] for a new window",
                "{p} stood behind a wall of thick [glass]",
            ],
        ],
    ),
    (
        "mouse",
        [
            &[
                "{p} saw a [mouse] run across the kitchen",
                "the cat of {p} caught a [mouse]",
                "a [mouse] ate the cheese of {p}",
                "{p} was afraid of the small grey [mouse]",
                "the {pet} chased the [mouse] past {p}",
            ],
            &[
                "{p} clicked the button with the [mouse]",
                "{p} connected the [mouse] to the computer",
                "the [mouse] and the keyboard of {p} were broken",
                "{p} bought a new [mouse] for the laptop",
                "{p} moved the [mouse] to open the email",
            ],
        ],
    ),
    (
        "plant",
        [
            &[
                "{p} watered the [plant] beside the {flower}",
                "the [plant] of {p} had green leaves",
                "{p} put the [plant] into the sun",
                "{p} grew a [plant] in the garden",
                "{p} cut the [plants] and the {tree}",
            ],
            &[
                "{p} worked at the [plant] that makes cars",
                "the [plant] produced steel for {p}",
                "{p} lost a job when the [plant] closed",
                "the engineers of the [plant] met {p}",
                "{p} visited two [plants] where machines are built",
            ],
        ],
    ),
    (
        "park",
        [
            &[
                "{p} drove the {vehicle} into the [park] for cars",
                "{p} left the {vehicle} in the car [park]",
                "the car [park] was full when {p} came",
                "{p} paid for the car [park] at the airport",
                "{p} found the {vehicle} in one of the car [parks]",
            ],
            &[
                "{p} walked through the [park] under the {tree}",
                "children played in the [park] near {p}",
                "{p} fed a {bird} in the [park]",
                "{p} sat on a bench in the [park]",
                "the city gave {p} two new [parks] with trees",
            ],
        ],
    ),
    (
        "drill",
        [
            &[
                "{p} made a hole in the wall with the [drill]",
                "{p} borrowed the [drill] and the {tool}",
                "the [drill] of {p} was too loud for the neighbours",
                "{p} repaired the {furniture} with a [drill]",
                "{p} sold [drills] and other tools",
            ],
            &[
                "the school held a fire [drill] for {p}",
                "{p} left the building during the fire [drill]",
                "all pupils took part in the [drill] with {p}",
                "the soldiers began the [drill] when {p} came",
                "{p} explained the safety [drills] to {q}",
            ],
        ],
    ),
    (
        "film",
        [
            &[
                "{p} watched the [film] at the cinema",
                "the actor in the [film] looked like {p}",
                "{p} directed a [film] about {q}",
                "the critics praised the [film] of {p}",
                "{p} saw two [films] on television",
            ],
            &[
                "a thin [film] of ice covered the {boat} of {p}",
                "{p} wiped the [film] of dust from the {furniture}",
                "{p} saw a [film] of oil on the water",
                "a [film] of grease was left on the {cookware} of {p}",
                "thin [films] of ice lay on the windows of {p}",
            ],
        ],
    ),
    (
        "play",
        [
            &[
                "{p} wrote a [play] for the theatre",
                "{p} acted in a [play] about {q}",
                "the audience applauded the [play] of {p}",
                "the actors rehearsed the [play] with {p}",
                "{p} read all the [plays] of the dramatist",
            ],
            &[
                "{p} watched the children at [play] on the beach",
                "the young {pet} was full of [play], {p} said",
                "the toddlers learn by [play], {p} said",
                "{p} left the girls to their [play] with the {toy}",
                "the rules of [play] with a {toy} bored {p}",
            ],
        ],
    ),
    (
        "spring",
        [
            &[
                "the flowers come up in [spring], {p} said",
                "{p} enjoyed the warm sun of [spring]",
                "the winter ended and [spring] made {p} happy",
                "the first day of [spring] brought {p} a {flower}",
                "{p} remembered many warm [springs] in the garden",
            ],
            &[
                "{p} repaired the [spring] of the old sofa",
                "a metal [spring] jumped out of the {device} of {p}",
                "{p} put a new [spring] into the clock",
                "the [spring] in the bed hurt {p}",
                "the {furniture} of {p} had broken [springs]",
            ],
        ],
    ),
    (
        "light",
        [
            &[
                "{p} turned on the [light] in the room",
                "the [light] of the lamp was too bright for {p}",
                "{p} could not read without any [light]",
                "{p} switched off the [light] before bed",
                "the [lights] of the town could be seen by {p}",
            ],
            &[
                "{p} asked {q} for a [light] for the cigarette",
                "the smoker had no [light], {p} said",
                "{p} gave the smoker a [light]",
                "nobody with a cigarette could offer {p} a [light]",
                "{p} borrowed a [light] to smoke a pipe",
            ],
        ],
    ),
    (
        "nail",
        [
            &[
                "{p} hung the {artwork} on a [nail]",
                "{p} hit the [nail] with the hammer",
                "the [nail] held the wooden board of {p}",
                "{p} pulled a [nail] out of the wall",
                "{p} mended the {furniture} with six [nails]",
            ],
            &[
                "{p} painted the [nail] of one finger red",
                "{p} broke a [nail] while washing",
                "{p} cut the long [nail] on the little finger",
                "the doctor looked at the [nail] on the toe of {p}",
                "{p} bit the [nails] of one hand",
            ],
        ],
    ),
    (
        "watch",
        [
            &[
                "{p} looked at the [watch] to see the time",
                "the [watch] of {p} is ten minutes late, {q} said",
                "{p} wore a gold [watch] on one arm",
                "{p} took the [watch] to be repaired",
                "{p} bought two [watches] and the {jewel}",
            ],
            &[
                "{p} kept [watch] at the gate of the castle",
                "the police kept a close [watch] on {p}",
                "the sailor on [watch] saw the {boat} of {p}",
                "{p} was on [watch] when the thief came",
                "the guards and {p} shared the night [watches]",
            ],
        ],
    ),
    (
        "trunk",
        [
            &[
                "{p} packed the clothes into the [trunk]",
                "{p} carried the [trunk] and the {luggage}",
                "the [trunk] of {p} was too heavy to lift",
                "{p} lost the key of the old [trunk]",
                "the [trunks] on the train belonged to {p}",
            ],
            &[
                "{p} cut a heart into the [trunk] of the {tree}",
                "the {tree} had a thick [trunk], {p} said",
                "{p} leaned against the [trunk] of a tree",
                "{p} sat behind the [trunk] of the old {tree}",
                "the storm broke the [trunks] of two trees near {p}",
            ],
        ],
    ),
    (
        "train",
        [
            &[
                "{p} went to the city by [train]",
                "the [train] left the station without {p}",
                "{p} missed the [train] because of {q}",
                "{p} bought a ticket for the night [train]",
                "all the [trains] were late, {p} said",
            ],
            &[
                "the bride wore a dress with a long [train], {p} said",
                "{p} stepped on the [train] of the dress",
                "two girls carried the [train] of the bride for {p}",
                "the [train] of the white dress got dirty beside {p}",
                "{p} sewed the silk [trains] of both dresses",
            ],
        ],
    ),
    (
        "seal",
        [
            &[
                "the [seal] swam in the sea near {p}",
                "{p} fed a fish to the [seal]",
                "{p} saw a grey [seal] on the rock",
                "a young [seal] followed the {boat} of {p}",
                "{p} took photos of the [seals] on the beach",
            ],
            &[
                "{p} broke the [seal] of the {document}",
                "the {document} had a red [seal], {p} said",
                "the king put his [seal] on the letter for {p}",
                "{p} signed the contract and pressed a [seal] on it",
                "the [seals] on the letters were fake, {p} said",
            ],
        ],
    ),
    (
        "crane",
        [
            &[
                "the [crane] lifted the stones onto the roof for {p}",
                "{p} worked with a [crane] on the building",
                "the builders used a [crane] to move the {vehicle} of {p}",
                "{p} drove the [crane] at the harbour",
                "two tall [cranes] stood near the house of {p}",
            ],
            &[
                "the [crane] flew away from the {bird}, {p} said",
                "{p} saw a [crane] stand on one leg in the water",
                "the [crane] built its nest near the house of {p}",
                "{p} heard the cry of a [crane] and of a {bird}",
                "{p} watched the [cranes] fly to the south",
            ],
        ],
    ),
    (
        "club",
        [
            &[
                "{p} joined the tennis [club]",
                "the members of the [club] chose {p}",
                "{p} paid the fee to the sports [club]",
                "{p} met {q} at the chess [club]",
                "both [clubs] wanted {p} as a member",
            ],
            &[
                "the thief hit {p} with a heavy [club]",
                "{p} carried a wooden [club] as a weapon",
                "the giant in the story held a [club], {p} said",
                "{p} chased the {wildlife} away with a [club]",
                "the men attacked {p} with [clubs] and stones",
            ],
        ],
    ),
    (
        "organ",
        [
            &[
                "{p} played the [organ] in the church",
                "the [organ] has more sound than the {instrument}, {p} said",
                "{p} listened to the music of the [organ]",
                "{p} repaired the pipes of the old [organ]",
                "{p} tuned the {instrument} and the [organs]",
            ],
            &[
                "the heart is an [organ] of the body, {p} explained",
                "the surgeon removed the sick [organ] of {p}",
                "{p} waited in hospital for a new [organ]",
                "the doctor examined every [organ] of {p}",
                "the accident had damaged the [organs] of {p}",
            ],
        ],
    ),
    (
        "board",
        [
            &[
                "{p} wrote the answer on the [board]",
                "{p} cleaned the [board] in the classroom",
                "the teacher drew a map on the [board] for {p}",
                "{p} could not read the words on the [board]",
                "the [boards] in the school surprised {p}",
            ],
            &[
                "the [board] of the company met {p}",
                "{p} was chosen to sit on the [board] of the firm",
                "the [board] approved the {measure} of {p}",
                "{p} told the [board] about the profit",
                "the [boards] of both companies dismissed {p}",
            ],
        ],
    ),
    (
        "band",
        [
            &[
                "the [band] played the {tune} for {p}",
                "{p} sang in a [band] with {q}",
                "{p} played the {instrument} in a rock [band]",
                "the fans of the [band] cheered {p}",
                "{p} listened to three [bands] at the concert",
            ],
            &[
                "{p} wore a [band] around the hair",
                "{p} put a rubber [band] around the letters",
                "the {parcel} of {p} was held by a [band] of steel",
                "{p} tied the hair back with a [band]",
                "{p} bought [bands] and ribbons for the hat",
            ],
        ],
    ),
    (
        "bark",
        [
            &[
                "{p} heard the [bark] of the dog",
                "the loud [bark] of the dog woke {p}",
                "the dog gave a [bark] when {p} came",
                "the {pet} ran from the [bark] of a dog, {p} said",
                "the [barks] of the dogs frightened {p}",
            ],
            &[
                "the {tree} had rough [bark], {p} said",
                "{p} pulled the [bark] from the {tree}",
                "the {insect} lived under the [bark] of a tree near {p}",
                "{p} made medicine from the [bark] of the {tree}",
                "{p} collected pieces of [bark] in the forest",
            ],
        ],
    ),
    (
        "fan",
        [
            &[
                "the [fan] asked the singer and {p} for a photo",
                "{p} was a great [fan] of the team",
                "every [fan] of the player cheered {p}",
                "{p} is a [fan] of the film star, {q} said",
                "the [fans] sang when {p} won the match",
            ],
            &[
                "{p} turned on the [fan] to cool the room",
                "the [fan] blew cold air at {p}",
                "{p} cooled the hot office with a [fan]",
                "the [fan] of the {device} was too loud for {p}",
                "{p} bought electric [fans] for the hot summer",
            ],
        ],
    ),
    (
        "key",
        [
            &[
                "{p} opened the door with the [key]",
                "{p} lost the [key] of the house",
                "the [key] did not fit the lock of {p}",
                "{p} hid the [key] under the {furniture}",
                "{p} gave the [keys] of the {vehicle} to {q}",
            ],
            &[
                "{p} pressed the wrong [key] of the piano",
                "one black [key] of the piano made no sound, {p} said",
                "{p} hit every [key] on the keyboard",
                "{p} cleaned the white [key] of the piano",
                "the [keys] of the laptop were too small for {p}",
            ],
        ],
    ),
    (
        "mine",
        [
            &[
                "{p} worked in the coal [mine]",
                "{p} brought gold out of the [mine]",
                "the miners and {p} went down into the [mine]",
                "the [mine] under the mountain was closed by {p}",
                "{p} bought two silver [mines] in the mountains",
            ],
            &[
                "the soldier and {p} stepped on a [mine]",
                "the ship of {p} hit a [mine] and sank",
                "a [mine] exploded near the army of {p}",
                "{p} found an old bomb and a [mine] from the war",
                "the soldiers hid [mines] on the road of {p}",
            ],
        ],
    ),
    (
        "palm",
        [
            &[
                "{p} held the coin in the [palm] of the hand",
                "{p} wrote a number on one [palm] with a pen",
                "the {insect} sat on the [palm] of {p}",
                "{p} hid the {jewel} in one [palm]",
                "{p} washed both [palms] and all the fingers",
            ],
            &[
                "{p} sat in the shade of the [palm] on the beach",
                "{p} planted a [palm] beside the {tree}",
                "the [palm] grew taller than the {tree}, {p} said",
                "{p} climbed the [palm] on the island",
                "the [palms] on the beach were older than {p}",
            ],
        ],
    ),
    (
        "pen",
        [
            &[
                "{p} wrote the {document} with a [pen]",
                "{p} borrowed the [pen] to sign the {document}",
                "the [pen] of {p} had blue ink",
                "{p} lost the [pen] during the exam",
                "{p} bought [pens] and paper",
            ],
            &[
                "{p} drove the {livestock} into the [pen]",
                "the {livestock} broke out of the [pen] of {p}",
                "{p} built a [pen] for the sheep",
                "the farmer and {p} cleaned the [pen] of the pigs",
                "{p} fed the animals in their [pens]",
            ],
        ],
    ),
    (
        "pitcher",
        [
            &[
                "{p} filled the [pitcher] with water",
                "{p} poured {drink} from the [pitcher]",
                "the waiter put a [pitcher] of {drink} before {p}",
                "{p} broke the [pitcher] and the {cookware}",
                "{p} washed the [pitchers] in the kitchen",
            ],
            &[
                "the [pitcher] threw the ball to {p}",
                "{p} was the best [pitcher] of the baseball team",
                "the coach praised the [pitcher] and {p}",
                "{p} hit the ball of the [pitcher]",
                "both [pitchers] in the baseball game knew {p}",
            ],
        ],
    ),
    (
        "pool",
        [
            &[
                "{p} swam in the [pool]",
                "{p} jumped into the cold [pool]",
                "the children and {p} played in the [pool] with a ball",
                "{p} cleaned the water of the [pool]",
                "the hotel of {p} had two [pools]",
            ],
            &[
                "{p} played a game of [pool] with {q}",
                "{p} won at [pool] in the bar",
                "the table for [pool] belonged to {p}",
                "{p} lost money when playing [pool] against {q}",
                "{p} taught {q} how to play [pool]",
            ],
        ],
    ),
    (
        "press",
        [
            &[
                "the [press] wrote about {p} in the newspaper",
                "{p} told the [press] about the {measure}",
                "the minister gave the [press] an interview, {p} said",
                "{p} read in the [press] that {q} had won",
                "the [press] published a photograph of {p}",
            ],
            &[
                "{p} made juice with the fruit [press]",
                "{p} put the fruit into the [press]",
                "the [press] squeezed oil out of the seeds for {p}",
                "{p} repaired the [press] that makes the {fruit} juice",
                "{p} printed the pages with two old [presses]",
            ],
        ],
    ),
    (
        "rock",
        [
            &[
                "{p} climbed the [rock] on the mountain",
                "the {boat} hit a [rock] in the sea, {p} said",
                "{p} sat down on a [rock] near the water",
                "{p} threw a [rock] at the window",
                "the ship of {p} sailed past the [rocks]",
            ],
            &[
                "{p} listened to [rock] on the radio",
                "{p} played [rock] with a band",
                "the concert of [rock] was too loud for {p}",
                "{p} liked [rock] more than the {show}",
                "the guitarist wrote [rock] and sang with {p}",
            ],
        ],
    ),
    (
        "scale",
        [
            &[
                "{p} put the {fruit} on the [scale]",
                "the [scale] showed the weight of {p}",
                "{p} weighed the {ingredient} on the kitchen [scale]",
                "the nurse asked {p} to stand on the [scale]",
                "{p} weighed the {parcel} on two [scales]",
            ],
            &[
                "{p} scraped a [scale] off the fish",
                "a shining [scale] of the {seafood} stuck to {p}",
                "{p} removed every [scale] from the fish with a knife",
                "the snake lost a [scale] near {p}",
                "{p} cleaned the fish and threw away the [scales]",
            ],
        ],
    ),
    (
        "score",
        [
            &[
                "the [score] of the match was two to one, {p} said",
                "{p} won with a [score] of six to three",
                "{p} wrote down the [score] of the game",
                "the team of {p} had the best [score]",
                "the [scores] of both games pleased {p}",
            ],
            &[
                "{p} read the [score] of the {tune}",
                "the composer wrote the [score] for the orchestra of {p}",
                "{p} played the {instrument} without the [score]",
                "{p} put the [score] of the symphony on the piano",
                "the musicians and {p} opened their [scores]",
            ],
        ],
    ),
    (
        "sentence",
        [
            &[
                "{p} wrote a long [sentence] in the essay",
                "{p} read the first [sentence] of the {book}",
                "the verb in the [sentence] was wrong, {p} said",
                "{p} did not understand one [sentence] of the text",
                "{p} translated the [sentences] for {q}",
            ],
            &[
                "the judge gave the thief and {p} a long [sentence]",
                "{p} got a [sentence] of two years in prison",
                "the lawyer called the [sentence] of the court too hard, {p} said",
                "{p} served a prison [sentence] for the robbery",
                "the court reduced the [sentences] of {p} and {q}",
            ],
        ],
    ),
    (
        "star",
        [
            &[
                "{p} saw a bright [star] in the sky",
                "{p} looked at a [star] through the telescope",
                "the astronomer showed {p} a distant [star]",
                "{p} drew the moon and a [star]",
                "the [stars] were hidden by clouds, {p} said",
            ],
            &[
                "{p} was the [star] of the {film}",
                "the fans waited for the [star] and {p}",
                "the young actress became a film [star] like {p}",
                "{p} interviewed a [star] of the theatre",
                "the famous [stars] signed a photo for {p}",
            ],
        ],
    ),
    (
        "table",
        [
            &[
                "{p} put the {cookware} on the [table]",
                "{p} sat at the [table] in the kitchen",
                "{p} bought a wooden [table] and the {furniture}",
                "{p} cleaned the [table] after the meal",
                "the carpenter made two [tables] for {p}",
            ],
            &[
                "{p} found the number in a [table] on page nine",
                "the [table] in the {document} was wrong, {p} said",
                "{p} added a line to the [table] of results",
                "{p} compared the figures in the [table]",
                "the report of {p} had three [tables] of numbers",
            ],
        ],
    ),
    (
        "tie",
        [
            &[
                "{p} wore a [tie] with the {clothing}",
                "{p} bought a silk [tie] and a shirt",
                "the [tie] did not go with the {clothing} of {p}",
                "{p} put on a [tie] for the wedding",
                "{p} hung the [ties] beside the {clothing}",
            ],
            &[
                "the game of {p} ended in a [tie]",
                "nobody won because it was a [tie], {p} said",
                "{p} scored the goal that made it a [tie]",
                "the contest between {p} and {q} was a [tie]",
                "two [ties] and one victory were enough for {p}",
            ],
        ],
    ),
    (
        "tip",
        [
            &[
                "{p} gave the waiter a [tip]",
                "the waitress thanked {p} for the [tip]",
                "the driver got a large [tip] from {p}",
                "{p} left a [tip] on the table after the meal",
                "the guests and {p} paid good [tips]",
            ],
            &[
                "{p} broke the [tip] of the pencil",
                "the {bird} touched the water with the [tip] of a wing, {p} said",
                "{p} burned the [tip] of a finger",
                "{p} cut off the [tip] of the {vegetable}",
                "the [tips] of the leaves were brown, {p} said",
            ],
        ],
    ),
    (
        "wave",
        [
            &[
                "a high [wave] hit the {boat} of {p}",
                "{p} was afraid of the big [wave]",
                "the [wave] threw {p} onto the beach",
                "{p} dived under the [wave] in the sea",
                "the storm sent [waves] over the {boat} of {p}",
            ],
            &[
                "{p} greeted {q} with a [wave] of the hand",
                "{p} gave a friendly [wave] from the window",
                "the queen answered {p} with a [wave]",
                "{p} sent the children away with a [wave]",
                "the passengers said goodbye to {p} with [waves]",
            ],
        ],
    ),
    (
        "court",
        [
            &[
                "{p} was a witness at the [court]",
                "the [court] sent the thief and {p} to prison",
                "the lawyer defended {p} in [court]",
                "the judge left the [court] before {p}",
                "both [courts] believed the lawyer of {p}",
            ],
            &[
                "{p} played tennis on the [court]",
                "the ball flew off the [court] past {p}",
                "{p} hit the ball across the [court]",
                "{p} met {q} on the tennis [court]",
                "the club of {p} built two new [courts] for tennis",
            ],
        ],
    ),
    (
        "case",
        [
            &[
                "the detective solved the [case] of the stolen {jewel} for {p}",
                "the lawyer of {p} won the [case]",
                "{p} worked on the murder [case]",
                "the police closed the [case] against {p}",
                "the judge decided the [cases] of {p} and {q}",
            ],
            &[
                "{p} put the {instrument} into its [case]",
                "{p} packed the [case] for the journey",
                "the leather [case] of {p} was too small for the {device}",
                "{p} carried a heavy [case] to the train",
                "{p} locked the [cases] with the {jewel}",
            ],
        ],
    ),
    (
        "chest",
        [
            &[
                "{p} felt a pain in the [chest]",
                "the doctor listened to the [chest] of {p}",
                "the ball hit {p} in the [chest]",
                "{p} held the baby to the [chest]",
                "the soldiers and {p} put medals on their [chests]",
            ],
            &[
                "{p} kept the gold in a wooden [chest]",
                "{p} opened the [chest] with a key",
                "the pirates hid a [chest] full of coins from {p}",
                "{p} found the {jewel} in an old [chest]",
                "{p} carried the [chests] into the castle",
            ],
        ],
    ),
    (
        "file",
        [
            &[
                "{p} stored the [file] on the computer",
                "{p} deleted the [file] by mistake",
                "{p} sent {q} the [file] in an email",
                "the computer could not open the [file] of {p}",
                "{p} copied the [files] onto the laptop",
            ],
            &[
                "{p} smoothed the metal with a [file]",
                "{p} sharpened the {tool} with a [file]",
                "{p} kept the [file] beside the hammer",
                "the prisoner cut the iron bar with a [file], {p} said",
                "{p} bought steel [files] and the {tool}",
            ],
        ],
    ),
    (
        "deck",
        [
            &[
                "{p} stood on the [deck] of the ship",
                "the sailors cleaned the [deck] for {p}",
                "a wave washed {p} from the [deck]",
                "{p} walked on the upper [deck] of the {boat}",
                "the passengers and {p} slept on both [decks]",
            ],
            &[
                "{p} shuffled the [deck] of cards",
                "{p} took a card from the [deck]",
                "one card of the [deck] was lost by {p}",
                "the magician asked {p} to cut the [deck]",
                "{p} played with two [decks] of cards",
            ],
        ],
    ),
    (
        "speaker",
        [
            &[
                "the [speaker] told the audience about {p}",
                "{p} was the first [speaker] at the conference",
                "the audience applauded the [speaker] and {p}",
                "{p} introduced the [speaker] to the students",
                "the [speakers] at the meeting praised {p}",
            ],
            &[
                "the [speaker] of the radio was too loud for {p}",
                "{p} connected the [speaker] to the {device}",
                "{p} played the {tune} through the [speaker]",
                "the sound from the [speaker] woke {p}",
                "{p} put the [speakers] on both sides of the television",
            ],
        ],
    ),
    (
        "cabinet",
        [
            &[
                "{p} put the {cookware} into the [cabinet]",
                "the door of the [cabinet] hit {p}",
                "{p} painted the wooden [cabinet] in the kitchen",
                "{p} locked the {book} in the [cabinet]",
                "the carpenter sold {p} two [cabinets]",
            ],
            &[
                "the president chose {p} for the [cabinet]",
                "the [cabinet] discussed the {measure} with {p}",
                "{p} became a minister in the new [cabinet]",
                "the [cabinet] rejected the {measure}, {p} said",
                "ministers of both [cabinets] knew {p}",
            ],
        ],
    ),
    (
        "degree",
        [
            &[
                "{p} got a [degree] from the university",
                "the students and {p} studied for a [degree]",
                "{p} finished the [degree] in history",
                "the professor gave {p} a [degree]",
                "{p} had two [degrees] in law",
            ],
            &[
                "it was one [degree] colder than {p} had thought",
                "{p} heated the water by a [degree]",
                "the temperature fell by one [degree], {p} said",
                "{p} read every [degree] from the thermometer",
                "the fever of {p} rose by two [degrees]",
            ],
        ],
    ),
    (
        "ticket",
        [
            &[
                "{p} bought a [ticket] for the {show}",
                "{p} showed the [ticket] at the door of the theatre",
                "{p} lost the train [ticket]",
                "the conductor looked at the [ticket] of {p}",
                "{p} sold the [tickets] for the concert to {q}",
            ],
            &[
                "the police gave {p} a [ticket] for driving too fast",
                "{p} got a parking [ticket] on the {vehicle}",
                "the officer wrote a [ticket] because {p} had parked there",
                "{p} had to pay a fine for the parking [ticket]",
                "the driver and {p} tore up the parking [tickets]",
            ],
        ],
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_pattern_has_its_word_once_and_not_first() {
        let words: HashSet<&str> = WORDS.iter().map(|(word, _)| *word).collect();
        assert_eq!(words.len(), WORDS.len(), "a word occurs twice");
        for (word, senses) in WORDS {
            let patterns: HashSet<&str> = senses.iter().copied().flatten().copied().collect();
            assert_eq!(patterns.len(), 10, "{word}: a pattern occurs twice");
            for pattern in patterns {
                let found: Vec<&str> = pattern.split(['[', ']']).collect();
                assert_eq!(found.len(), 3, "{pattern}");
                assert!(!found[0].is_empty(), "{pattern}");
                let plural = [format!("{word}s"), format!("{word}es")];
                assert!(found[1] == *word || plural.contains(&found[1].to_owned()), "{pattern}");
                assert!(pattern.contains('{'), "{pattern}: always the same");
            }
        }
    }
}
