//! People: groups of occupations and relations with their hypernyms, and first names.
//!
//! The table has the form of [`nouns`](super::nouns); `+f` and `+m` mark a noun that names a woman or a man.

/// Groups of person nouns.
pub(super) const PEOPLE: &str = "
cooks | kitchen worker | person | cook=chef, baker, butcher, pastry cook, dishwasher, caterer, waiter+m, waitress+f
guests | visitor | person | guest, customer=client, diner, tourist, stranger
musicians | musician | person | violinist, pianist, singer=vocalist, drummer, guitarist, cellist, trumpeter, conductor, organist, flautist
athletes | athlete | person | runner, swimmer, goalkeeper, cyclist, boxer, skier, sprinter, gymnast, rower, tennis player, wrestler
coaches | sports official | person | coach=trainer, referee, umpire, team captain
medics | medical worker | person | doctor=physician, surgeon, nurse, dentist, paramedic, pharmacist=chemist, midwife/midwives+f, radiologist
patients | patient | person | patient, accident victim, new mother+f, injured driver, pensioner
staff | employee | person | manager, secretary, accountant, engineer, clerk, intern=trainee, receptionist, programmer=software developer, assistant
lawyers | legal professional | person | lawyer=attorney, judge, prosecutor, solicitor, notary
pupils | learner | person | pupil, student, schoolgirl+f, schoolboy+m, freshman/freshmen, graduate
teachers | educator | person | teacher, tutor, lecturer, professor, headmaster+m, headmistress+f, music teacher
kin | relative | person | mother+f, father+m, sister+f, brother+m, uncle+m, aunt+f, grandmother=grandma+f, grandfather=grandpa+m, cousin, niece+f, nephew+m
children | child/children | person | boy+m, girl+f, toddler, teenager, baby, little boy+m, little girl+f
neighbours | local resident | person | neighbour, landlord+m, landlady+f, caretaker=janitor, tenant, lodger
farmers | farm worker | person | farmer, shepherd, farmhand, milkmaid+f, beekeeper, fruit picker, stable boy+m
sailors | seafarer | person | sailor, fisherman/fishermen+m, captain=skipper, lifeguard, diver, ship's cook
builders | craftsman/craftsmen | person | carpenter, plumber, electrician, bricklayer, painter=decorator, roofer, tiler, glazier, blacksmith
gardeners | gardener | person | landscape gardener, forester=forest ranger, florist, botanist, park keeper
travellers | traveller | person | tourist, backpacker, hiker, pilgrim, passenger, explorer, sightseer
drivers | transport worker | person | bus driver, taxi driver=cab driver, pilot, conductor, train driver, courier
police | police officer | person | detective, inspector, constable, sergeant, police officer, traffic warden
villains | criminal | person | thief/thieves=robber, burglar, smuggler, forger, pickpocket
politicians | politician | person | mayor, councillor, minister, senator, governor, ambassador, president
reporters | journalist | person | reporter, editor, photographer, columnist, news presenter, critic=reviewer
actors | performer | person | actor+m, actress+f, dancer, comedian, clown, magician, ballerina+f
filmmakers | film worker | person | director, producer, camera operator, screenwriter, film composer, stuntman/stuntmen+m
writers | writer | person | novelist, poet, biographer, playwright=dramatist, translator, author
scholars | scientist | person | chemist, physicist, biologist, astronomer, geologist, researcher, archaeologist, historian
curators | museum worker | person | curator, museum guide, restorer, archivist, museum guard
sellers | shop worker | person | shopkeeper, cashier, sales assistant=shop assistant, jeweller, tailor, bookseller, greengrocer
";

/// First names of women.
pub(super) const WOMEN: &str = "Anna Maria Julia Clara Emma Sophie Laura Helen Nina Rosa Alice Martha Irene Olga Lucy Diana Ruth Eva Paula Nora \
                                Ingrid Fatima Leila Priya Yuki Carmen Greta Hannah Amina Teresa Agnes Bella Miriam Zoe Judith Katrin";
/// First names of men.
pub(super) const MEN: &str = "Peter Thomas Martin Oliver Henry Daniel Simon Victor Paul Oscar Hugo Felix David Robert Marco Ivan Stefan Ahmed \
                              Kenji Luis Andrew George Samuel Anton Boris Edgar Frank Karim Leo Nathan Philip Ravi Tobias Walter Adam Jonas";
