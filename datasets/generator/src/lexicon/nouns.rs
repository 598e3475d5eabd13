//! Things: noun groups with their hypernyms and the adjectives that go with them.
//!
//! A line is `group | hypernym | adjective sets | members`. A noun is `singular`, `singular/plural` where the plural is
//! not regular, `~noun` for a mass noun, and `=synonym` after it for another word that means the same.

/// The table that [`Lexicon`](super::Lexicon) reads.
pub(super) const THINGS: &str = "
vegetable | vegetable | produce size | onion, carrot, potato/potatoes, leek, cabbage, cucumber, turnip, radish, parsnip, aubergine=eggplant, courgette=zucchini, pumpkin, beetroot, mushroom
fruit | ~fruit | produce fruit | apple, pear, plum, cherry, peach, apricot, melon, lemon, orange, mango/mangoes, fig, strawberry
bakery | baked treat | food size | loaf/loaves of bread, bun, croissant, pie, scone, cake, muffin, tart, biscuit=cookie, pretzel, bagel, waffle
dish | meal | food price | omelette, curry, stew, salad, casserole, pancake, lasagne, pizza, burger, sandwich, kebab, roast
drink | ~something to drink | drink | ~coffee, ~tea, ~lemonade, ~orange juice, ~cider, ~milk, ~hot chocolate, ~mineral water, ~ginger beer
seafood | ~seafood | produce size | crab, lobster, oyster, sardine, prawn=shrimp, mussel, herring, eel
ingredient | ingredient | plain | ~flour, ~butter, ~sugar, ~salt, ~honey, ~olive oil, ~vinegar, ~garlic, ~cinnamon, ~yeast
cookware | kitchen utensil | thing state | pan, kettle, knife/knives, bowl, plate, spoon, teapot, saucepan, jug=pitcher, baking tray, whisk, mug
furniture | piece/pieces of furniture | thing weight colour | chair, table, sofa=couch, desk, wardrobe, bookcase, stool, bench, cupboard=cabinet, armchair, bed, chest of drawers
clothing | piece/pieces of clothing | thing state colour | shirt, jacket, coat, scarf/scarves, sweater=jumper, dress, skirt, hat, raincoat, cardigan, waistcoat=vest, blouse
footwear | ~footwear | thing state colour | boot, sandal, slipper, trainer=sneaker, clog, riding boot, hiking boot
jewel | piece/pieces of jewellery | thing | ring, necklace, bracelet, brooch, earring, pendant, silver chain, tiara
vehicle | vehicle | thing state colour | car, bus, lorry=truck, van, motorcycle=motorbike, taxi=cab, tractor, minibus, ambulance, limousine
transit | vehicle | transit | bus, train, ferry, coach, tram, plane=aeroplane, airship, night train, cable car
bicycle | means/means of transport | thing state colour | bicycle=bike, scooter, tricycle, mountain bike, racing bike, tandem
boat | boat | thing state colour | ferry, yacht, canoe, rowing boat, trawler, kayak, sailing boat=sailboat, barge, speedboat
instrument | musical instrument | thing | violin, guitar, piano, flute, trumpet, cello, harp, clarinet, saxophone, accordion, banjo, trombone, drum
tune | piece/pieces of music | music | song, sonata, waltz, ballad, hymn, march, symphony, lullaby, tune=melody, folk song, concerto, anthem
book | book | text | novel, biography, diary, cookbook, dictionary, atlas, thriller, guidebook, textbook, encyclopedia, detective story, picture book
document | document | text | report, letter, contract=agreement, invoice=bill, memo, form, budget, proposal, application, leaflet, spreadsheet, schedule=timetable
message | message | text | email, postcard, note, telegram, reply=answer, text message, invitation, reminder
device | device | thing | laptop, printer, phone=telephone, camera, radio, tablet, projector, scanner, torch=flashlight, microphone, headset
tool | tool | thing weight | hammer, saw, drill, spade, rake, ladder, screwdriver, axe, wrench=spanner, chisel, wheelbarrow, shovel
livestock | farm animal | animal size | cow, goat, horse, pig, hen, donkey, lamb, calf/calves, goose/geese, turkey, pony
pet | pet | animal size | dog, cat, rabbit, hamster, parrot, puppy, kitten, guinea pig, canary, tortoise
wildlife | wild animal | animal size | fox, owl, squirrel, badger, hedgehog, hare, wolf/wolves, bear, otter, beaver, bat, lynx
bird | bird | animal size | robin, heron, sparrow, eagle, swan, seagull=gull, woodpecker, kingfisher, falcon, stork, pigeon
flower | flower | plant colour | rose, tulip, daisy, lily, orchid, daffodil, sunflower, violet, poppy, iris, marigold, primrose
tree | tree | plant size | oak, pine, birch, willow, maple, cedar, chestnut tree, apple tree, poplar, beech, cypress
building | building | building size | church, cottage, barn, garage, shed, tower, warehouse, chapel, hotel, school, library, town hall
housepart | part/parts of the house | thing state colour | wall, roof, gate, door, window, floor, ceiling, staircase, balcony, chimney, fence
gear | piece/pieces of sports equipment | thing weight colour | racket, football, helmet, hockey stick, surfboard, dumbbell, skateboard, paddle, cricket bat, snowboard
contest | competition | contest | match=game, race, tournament, relay, marathon, semi-final, boxing match, regatta, swimming contest, cycling race
remedy | remedy | plain | pill=tablet, vaccine, ointment, painkiller, cough syrup, eye drop, antibiotic, sedative
ailment | health problem | ailment | wound, burn, fracture, rash, bruise, infection, headache, fever, cough, toothache, sprain, allergy
artwork | work/works of art | art size | painting, sculpture, portrait, sketch, mosaic, statue, watercolour, engraving, mural, fresco
exhibit | exhibit | art size | fossil, skeleton, coin, manuscript, mask, sword, mummy, meteorite, stone axe, vase, helmet, map
film | film=movie | text | comedy, western, documentary, cartoon=animated film, war film, romance, musical, science fiction film, silent film, horror film
show | performance | music | play, opera, ballet, concert, puppet show, pantomime, circus act, recital, tragedy
homework | assignment | text | essay, poem, summary, diagram, book review, worksheet, short story, lab report, translation
lesson | class | text | lecture, seminar, history lesson, chemistry lesson, workshop, tutorial, grammar lesson, singing lesson
evidence | piece/pieces of evidence | thing | fingerprint, photograph=photo, recording, witness statement, footprint, fake passport, bank statement, receipt
toy | toy | thing colour | doll, kite, puzzle, puppet, teddy bear, toy train, spinning top, rocking horse, yo-yo, board game
luggage | piece/pieces of luggage | thing weight colour | suitcase, backpack=rucksack, travel bag, trunk, holdall, briefcase, handbag=purse
parcel | item/items of post | thing weight | parcel=package, crate, box, envelope, basket, hamper
sight | tourist attraction | building size | museum, castle, palace, lighthouse, waterfall, volcano/volcanoes, cathedral, vineyard, temple, harbour, aquarium
measure | measure | measure | plan, tax, law, reform, project, ban, subsidy, treaty, regulation
tackle | piece/pieces of equipment | thing weight | net, anchor, sail, rope, oar, life jacket, buoy, lantern, compass
apparatus | scientific instrument | thing | microscope, telescope, thermometer, barometer, test tube, magnet, laser, weighing scale
crop | crop | plain | ~wheat, ~barley, ~corn=maize, ~hay, ~rye, ~oats, ~rapeseed, ~cotton
fabric | fabric | colour | ~silk, ~wool, ~linen, ~velvet, ~cotton, ~denim, ~lace, ~felt
insect | insect | animal size | butterfly, beetle, dragonfly, moth, ladybird=ladybug, bumblebee, grasshopper, ant
problem | problem | problem | leak, fault=defect, error=mistake, delay, shortage, misunderstanding, dispute, power cut=blackout
venue | building | building size | cinema, restaurant, theatre, bakery, café, bookshop=bookstore, pharmacy, supermarket, gym
";
