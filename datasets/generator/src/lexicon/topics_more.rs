//! The second half of the topics, in the form of [`topics`](super::topics). MNLI's mismatched set is made of the last
//! five, which its training set never sees.

/// More topics.
pub(super) const TOPICS_MORE: &str = "
topic home
people kin children neighbours
places in the living room; in the attic; at home; in the cellar; in the backyard; on the stairs
reasons because of the cold; for the family reunion; because of the new baby; to surprise the others; out of curiosity; because of the broken heating
clean | housepart furniture | =scrub !soil
paint | housepart furniture | <decorate
repair | housepart furniture device toy | =fix !break
break | toy device furniture | =smash <damage !repair -m
buy | furniture toy pet | =purchase <get !sell
hide | toy message | =conceal !show
move | furniture | =shift
read | book message | !ignore
give | toy clothing | >to children kin
wash | clothing pet | <clean !dirty
feed | pet | =give food to !starve
lose | toy clothing | =mislay !find -m
hug | children kin | =embrace !push away
scold | children | =tell off !praise @kin
knit | clothing | <make @kin
open | parcel housepart | !close
send | parcel message | >to kin =mail !withhold
call | kin neighbours | =phone <contact !avoid
invite | neighbours kin | !turn away
cry | | =weep !laugh
sleep | | =doze <rest !wake up
argue | | =quarrel !agree
dance | | <move

topic travel
people travellers drivers
places at the airport; on the coast; in the mountains; at the border; at the railway station; along the river
reasons because of the bad weather; to avoid the traffic; for the annual holiday; because of a strike; to see the sunset; after a long journey
visit | sight | =explore <see !avoid
photograph | sight building wildlife | <capture
pack | luggage | !unpack
lose | luggage | =misplace !find -m
carry | luggage | <move !drop
search | luggage vehicle | =inspect !overlook @police drivers
rent | vehicle boat bicycle | =hire <use !buy
drive | vehicle | !park @drivers
stop | vehicle | =halt !start @drivers police
park | vehicle | !drive @drivers
repair | vehicle bicycle | =fix !damage @drivers
miss | transit | !catch @travellers -m
board | transit | =get on !leave @travellers
wait for | transit | @travellers -m
inspect | transit luggage | =check !ignore @drivers police
send | message | >to kin =write
admire | sight building | !dislike -m
describe | sight | >to kin
draw | sight building | =sketch <depict
book | venue | =reserve !cancel -m
warn | travellers | !mislead
rescue | travellers | =save <help !abandon @police drivers
hike | | <walk @travellers
arrive | | !depart -m
wait | | !leave
drown | | <die @travellers -m

topic police
people police reporters
places at the police station; in the city centre; near the bank; in the back street; at the crime scene; outside the court
reasons because of an anonymous call; after a short chase; to protect a witness; because of a false alarm; for lack of evidence; on the advice of a colleague
arrest | villains | =detain <stop !release
question | villains | =interrogate
chase | villains | =pursue <follow !escape from
find | evidence | =discover !lose -m
photograph | evidence villains |
examine | evidence vehicle | =inspect !ignore
destroy | evidence | <damage !preserve @villains
steal | vehicle jewel luggage artwork | <take !return @villains -m
search | vehicle luggage building | =comb through !overlook
release | villains | =free !arrest
publish | evidence | =print <reveal !suppress @reporters
follow | villains | =shadow !lose -m
stop | vehicle | =halt
show | evidence | >to lawyers reporters
sell | evidence jewel | >to reporters @villains -m
identify | villains | =recognise -m
escape | | =get away @villains -m
confess | | !lie @villains
shout | | =yell !whisper

topic council
people politicians
places in parliament; at the town hall; in the capital; at the press conference; in the government building; on television
reasons because of the protests; to win more votes; because of the budget deficit; after weeks of debate; to protect the environment; under pressure from the unions
support | measure | =back !oppose
reject | measure | =turn down !approve
announce | measure | =make public <mention !conceal
discuss | measure | =debate
criticise | measure politicians | =attack !praise
defend | measure politicians | !attack
explain | measure | >to reporters
delay | measure | =hold up !speed up
sign | document | !reject
open | building sight | =inaugurate !close -m
close | building venue | =shut !open -m
visit | building sight venue | !avoid
interview | politicians | =question @reporters
quote | politicians document | =cite @reporters
accuse | politicians | !defend -m
thank | politicians | !blame
fund | measure venue | =finance <support !defund -m
inspect | building housepart | =examine !ignore
resign | | =step down -m
hesitate | | <wait !hurry
win | | =triumph !lose -m

topic cinema
people filmmakers actors
places in the cinema; on the film set; at the festival; in the studio; on the stage; at the premiere
reasons because of the poor script; to attract a younger audience; because of the high costs; for the film festival; to win an award; after months of rehearsal
direct | film show | @filmmakers
watch | film show | =see !miss
finish | film | =complete !abandon
praise | film show actors | =applaud !criticise @reporters
review | film show book | =write about @reporters
finance | film show | =fund <support @filmmakers
hire | actors filmmakers | =engage !dismiss @filmmakers -m
rehearse | show | =practise @actors
cancel | show film | =call off !hold -m
interview | actors | =question @reporters
photograph | actors | !ignore @reporters
recommend | film show | >to guests @reporters
edit | film | =cut @filmmakers
wear | clothing | !take off @actors
forget | clothing | =leave behind !remember @actors -m
thank | actors filmmakers | !blame
insult | actors filmmakers | =offend !flatter
dance | | @actors
applaud | | =clap !boo @guests
rehearse | | =practise !rest @actors

topic farm
people farmers
places on the farm; in the barn; in the meadow; at the cattle market; beside the stable; on the hillside
reasons because of the drought; for the harvest festival; because of the rising prices; to feed the family; before the first snow; because of a disease
feed | livestock | =give food to !starve
milk | livestock |
sell | livestock crop fruit vegetable | !buy -m
buy | livestock vehicle tool | =purchase <get !sell
harvest | crop vegetable fruit | =gather in !sow @farmers
plant | vegetable tree | !dig up
store | crop vegetable | !waste
count | livestock |
lose | livestock tool | !find -m
chase | livestock wildlife | =pursue !lead
wash | livestock vehicle vegetable | <clean !soil
repair | vehicle tool housepart | =fix !break
shoot | wildlife | <kill !protect -m
lead | livestock | =guide !chase
lend | tool vehicle | >to farmers
load | crop luggage | !unload
work | | =labour !rest
whistle | |
rest | | =relax !work

topic harbour
people sailors
places in the harbour; on the open sea; on the beach; at the pier; off the coast; below deck
reasons because of the storm; to catch more fish; because of the low tide; for the boat race; after a collision; because of a warning
paint | boat | <decorate
repair | boat tackle | =mend !damage
sink | boat | !rescue @sailors -m
buy | boat tackle | =purchase <get !sell
rent | boat | =hire <use !buy
lose | tackle | !find -m
throw | tackle | >to sailors =toss !catch
catch | seafood | <get !release
sell | seafood boat | >to guests !buy
clean | boat seafood | =scrub !soil
check | tackle boat | =inspect !neglect
rescue | sailors travellers | =save <help !abandon
steal | boat tackle | <take !return @villains -m
watch | bird boat | =observe !ignore
anchor | boat | <stop @sailors
steer | boat | <control @sailors
fish | | @sailors
swim | | !sink @sailors
wave | |

topic museum
people curators scholars
places in the museum; in the east wing; at the exhibition; in the storeroom; at the auction house; in the reading room
reasons because of water damage; for the new exhibition; to protect it from light; after years of research; on loan from a private owner; because of public interest
restore | artwork exhibit | =repair !damage
display | artwork exhibit | =exhibit <show !hide
examine | artwork exhibit evidence | =study <look at !ignore
discover | exhibit | =find !lose -m
donate | artwork exhibit | >to curators =give !withhold
buy | artwork exhibit | =purchase <acquire !sell
steal | artwork exhibit | <take !return @villains -m
describe | artwork exhibit | >to guests !conceal
photograph | artwork exhibit | <capture
copy | artwork | =reproduce
paint | artwork | @writers
clean | artwork exhibit | =polish !soil
lend | artwork exhibit | >to curators !withhold
sell | artwork | !buy -m
damage | artwork exhibit | =harm !restore @guests -m
publish | book document | =bring out <release !suppress @scholars
use | apparatus | =operate @scholars
draw | exhibit | =sketch <depict
whisper | | <speak !shout
argue | | =quarrel !agree

topic workshop
people builders
places on the building site; in the workshop; next to the church; in the new suburb; on the roof; in the basement
reasons because of a crack; to meet the deadline; because of new safety rules; after the flood; to keep out the cold; at the request of the owner
build | housepart furniture building | =construct !demolish
demolish | housepart building | =tear down <destroy !build
repair | housepart tool building | =fix !damage
paint | housepart building furniture | <decorate
measure | housepart | !ignore
drop | tool | !catch -m
carry | tool furniture | <move !drop
borrow | tool vehicle | !lend -m
lend | tool | >to builders
sell | building furniture | !buy -m
load | vehicle | !unload
inspect | building housepart | =check !neglect
clean | tool housepart | =wash !soil
deliver | furniture parcel | >to neighbours =bring !collect
solve | problem | =deal with !cause -m
ignore | problem | =disregard !notice
hire | builders | =employ !dismiss @kin neighbours -m
whistle | |
work | | =labour !rest
slip | | <fall -m

topic theatre
people writers actors
places in the theatre; at the publishing house; on the book tour; in the bookshop; at the writing class; on stage
reasons because of the bad reviews; to reach more readers; for the anniversary; because of the new ending; to pay the rent; after a quarrel with the publisher
write | book show | =create !copy @writers
publish | book | =bring out <release !withdraw @writers
finish | book | =complete !abandon @writers
read | book | =study !ignore
translate | book show | @writers
sign | book | !deface @writers
review | book show | =write about @reporters
recommend | book show | >to guests !condemn @reporters
rehearse | show | =practise !neglect @actors
perform | show | =put on !cancel @actors
admire | writers actors | !despise -m
interview | writers | =question @reporters
insult | writers actors | =offend !flatter
quote | book writers | =cite @reporters
lose | document | =mislay !find @writers -m
send | document book | >to writers reporters =mail !withhold
burn | document book | <destroy !preserve -m
cry | | =weep !laugh @actors
improvise | | @actors
rest | | =relax !work
";
