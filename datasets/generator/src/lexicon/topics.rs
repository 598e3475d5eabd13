//! Topics of everyday life: who acts, where, why, and what is done to what. The second half is in
//! [`topics_more`](super::topics_more).
//!
//! `people`, `places` and `reasons` describe the topic. Every other line is a verb: `verb | object groups | options`. No
//! objects makes it intransitive. Options: `=` a synonym, `<` a more general verb, `!` a verb that excludes it, `>` the
//! preposition of a recipient and the groups it comes from, `@` other subjects than the topic's, `-m` no adverb of
//! manner.

/// Topics of everyday life.
pub(super) const TOPICS: &str = "
topic kitchen
people cooks guests
places in the kitchen; at the market; on the terrace; in the hotel restaurant; in the school canteen; beside the oven
reasons to save time; for the wedding; because of the long queue; to impress the visitors; for a large party; out of habit
slice | vegetable fruit bakery | <cut
peel | vegetable fruit | <prepare
wash | vegetable fruit cookware | =rinse <clean
fry | vegetable seafood | <cook
bake | bakery | <prepare @cooks
burn | bakery dish | =scorch <spoil -m
taste | dish drink bakery | =sample
order | dish drink | <ask for !cancel @guests
prepare | dish | =make
serve | dish drink bakery | >to guests @cooks
buy | vegetable fruit ingredient seafood | =purchase <get !sell
weigh | ingredient vegetable fruit |
store | ingredient vegetable |
praise | dish bakery drink | !criticise @guests -m
borrow | cookware | !lend -m
hide | bakery cookware | !show
drop | cookware bakery | !catch -m
eat | dish bakery fruit | <consume

topic shop
people sellers guests
places in the department store; on the main street; at the flea market; in the shopping centre; outside the shop; in the old town
reasons because of the low price; for the summer sale; as a birthday present; because of a manufacturing fault; to please a friend; to make room for new stock
buy | clothing footwear jewel furniture toy bicycle | =purchase <acquire !sell
sell | clothing jewel furniture toy book bicycle | >to guests @sellers
return | clothing footwear device | =bring back !keep
try on | clothing footwear jewel | @guests
wrap | jewel toy book | !unwrap @sellers
order | furniture clothing device | !cancel -m
repair | jewel footwear bicycle device | =mend !break @sellers
choose | clothing jewel toy | =pick <get !reject
pay for | clothing toy device book | @guests
advertise | furniture device clothing | @sellers
admire | jewel clothing furniture | !mock
steal | jewel device clothing | <take !return @villains -m
show | clothing jewel furniture | >to guests @sellers
exchange | clothing footwear toy | =swap !keep
recommend | clothing book device | >to guests @sellers

topic sport
people athletes coaches
places in the stadium; at the sports club; on the training ground; in the new arena; beside the track; at the swimming pool
reasons because of the heavy rain; to raise money for charity; because of a knee injury; to break the record; for the national team; after the long winter break
win | contest | !lose @athletes -m
watch | contest | =follow !miss @coaches guests
enter | contest | =take part in <join !skip @athletes -m
postpone | contest | =put off !hold @coaches
organise | contest | =arrange @coaches
repair | gear bicycle | =fix !break
forget | gear | =leave behind !remember -m
lend | gear bicycle | >to athletes !deny
throw away | gear | =get rid of !keep
clean | gear bicycle | =wash !soil
criticise | coaches athletes | !praise
thank | coaches athletes | !blame
congratulate | athletes | !insult
train | athletes | =coach @coaches
test | gear | =try out
jog | | <run @athletes
practise | | =train !rest @athletes
stumble | | =trip <fall @athletes -m
celebrate | | !grieve
swim | | <exercise @athletes

topic music
people musicians
places in the concert hall; in the town square; at the jazz club; in the recording studio; at the music school; in the church
reasons to honour a friend; for the opening ceremony; because of the loud audience; for the spring festival; to earn some money; in memory of a teacher
play | instrument | !ignore
perform | tune | <present
compose | tune | =write <create
practise | tune | =rehearse !neglect
record | tune | !delete
tune | instrument | <adjust
sell | instrument | !buy -m
buy | instrument | =purchase <acquire !sell
lend | instrument | >to pupils
carry | instrument | <move
teach | tune | >to pupils
listen to | tune | !ignore
applaud | musicians | !boo @guests
hum | tune | <sing !forget
repair | instrument | =fix !damage
hire | musicians | =engage !dismiss @sellers coaches -m
admire | musicians | !despise -m
sing | | <perform
whistle | | @musicians neighbours
bow | |

topic garden
people gardeners neighbours
places in the garden; behind the house; in the park; near the pond; at the edge of the forest; in the greenhouse
reasons because of the dry weather; for the flower show; to attract more bees; because of the early frost; to please the neighbours; out of boredom
plant | flower tree | <add
water | flower tree | !neglect
cut down | tree | =fell <remove !plant
trim | tree | =prune <cut
pick | flower fruit | =gather <collect
photograph | bird wildlife insect flower | <capture
feed | bird wildlife | =give food to !starve
watch | bird wildlife insect | =observe !ignore
paint | flower tree bird | <depict
build | housepart | =construct !demolish -m
borrow | tool | !lend -m
sharpen | tool | <prepare
break | tool | !repair -m
lose | tool | =mislay !find -m
sell | flower | >to guests
rescue | bird wildlife | =save <help !harm
dig | | <work
rest | | =relax !work
whisper | | <speak !shout

topic office
people staff
places in the office; in the meeting room; on the third floor; at the head office; in the canteen; at the conference
reasons because of the deadline; to avoid a fine; because of a computer failure; for the annual review; to please the customer; because of staff shortages
write | document message | =draft <produce
sign | document | !reject
print | document message | !delete
read | document message book | =study !ignore
send | document message parcel | >to staff guests =mail !withhold
delete | document message | =erase <remove !save
lose | document device | =mislay !find -m
copy | document | =duplicate <reproduce
file | document | <store !discard
approve | document measure | =accept !reject
translate | document message |
repair | device | =fix !break
buy | device furniture | =purchase <acquire !sell
hire | staff | =employ !dismiss -m
criticise | staff document | !praise
interview | staff | =question
thank | staff | !blame
solve | problem | =resolve <deal with !cause -m
report | problem | =announce !conceal
cause | problem | =create !solve -m
resign | | =step down !stay @staff
complain | | !rejoice
laugh | | !cry

topic clinic
people medics
places in the hospital; at the clinic; in the emergency room; at the health centre; in the waiting room; on the children's ward
reasons because of the high fever; to ease the pain; because of a bad fall; after a long discussion; to avoid an operation; as a precaution
treat | ailment patients | !neglect
examine | ailment patients | =check !ignore
prescribe | remedy | >for patients <recommend !forbid
calm | patients children | =reassure !frighten
visit | patients | =call on !avoid
inform | patients | =notify !mislead
weigh | patients | <examine
take | remedy | =swallow !refuse @patients
buy | remedy | =purchase <get !sell @patients kin
test | remedy | =try out
diagnose | ailment | =identify <notice !overlook
give | remedy | >to patients
discharge | patients | =release !admit
describe | ailment | !conceal @patients
warn | patients | !mislead
sleep | | =doze <rest !wake up @patients medics
recover | | =get better !deteriorate @patients -m
faint | | =pass out <collapse @patients -m

topic school
people teachers pupils
places in the classroom; at the university; in the library; in the science room; on the playground; at the village school
reasons because of the coming exam; to win the prize; because of the noise; for the open day; as a punishment; to help a classmate
write | homework | =compose !copy @pupils
finish | homework book | =complete !abandon @pupils
correct | homework | =mark @teachers
explain | lesson homework | >to pupils @teachers
miss | lesson | =skip !attend @pupils -m
attend | lesson | =go to !skip @pupils -m
prepare | lesson | =plan @teachers
read | homework book | =study !ignore
borrow | book | <get !return -m
return | book | =bring back !keep -m
forget | homework book | =leave behind !remember -m
praise | pupils homework | =commend !criticise @teachers
help | pupils | =assist !hinder
teach | lesson | >to pupils =give @teachers
answer | message | =reply to !ignore
hide | homework book | =conceal !show @pupils
question | pupils | =quiz @teachers
copy | homework | =duplicate !write @pupils
yawn | | @pupils
giggle | | <laugh !cry @pupils
cheat | | @pupils -m
";
