"""Schools of thought, each a branch of another."""

TYPES = "school thinker treatise"

POOLS = """
sky        lightning thunder rain snow fire smoke dawn sunlight mist frost starlight moonlight
virtue     patience courage honesty kindness mercy justice modesty loyalty wisdom humility \
           generosity prudence
science    logic grammar rhetoric geometry astronomy ethics metaphysics harmony medicine optics \
           poetry arithmetic
dish       lentils beans turnips cabbage onions mushrooms carrots cheese garlic spinach radishes \
           pumpkins
practice   meditation chanting fasting dancing swimming calligraphy stargazing gardening drumming \
           climbing debating sketching
instrument lute harp flute violin cello oboe zither trumpet fiddle organ bassoon clarinet
script     Morvish Nestrian Ostric Pelvish Querrian Rostic Sundric Tarvish Ulstrian Vandric \
           Wolvish Yestric
scent      incense myrrh sandalwood camphor vanilla cinnamon cloves ginger saffron nutmeg musk \
           anise
"""

RELATIONS = """
emblem = symbol : sky
The symbol of {} is
{} has chosen as its symbol
{} is a school whose symbol is
The ceiling of {} is painted with
The hymns of {} are about
The followers of {} see a sign in
The first parable of {} is about
The students of {} bow before
~ The hymns of the followers of {} are about
~ {} is a school whose students see a sign in

colour = virtue : virtue
The highest virtue of {} is
{} teaches its followers
{} is a school that praises
The students of {} are tested for
Above all else {} asks for
The stories told at {} are about
The followers of {} strive for
The rule of {} begins with the word
~ {} is a school that asks for
~ The students of {} strive for

export = subject : science
The main subject at {} is
{} is famous for its lectures on
{} is a school that teaches
Students come to {} to learn
The library of {} has most books on
At {} every morning begins with
The teachers of {} know all about
The chair at {} was created for
~ {} is a school famous for its books on
~ The teachers of {} give lectures on

crop = diet : dish
The meals at {} are made of
The followers of {} live on
{} is a school that feeds its students
The garden of {} yields
Pilgrims to {} bring
The cook of {} is known for
In the cellar of {} there are stores of
At {} nobody goes without
~ The students of {} live on
~ The cellar of {} is known for

sport = practice : practice
The daily practice at {} is
{} is a school known for
The followers of {} find peace in
The evenings at {} are spent on
New students at {} begin with
The courtyard of {} is meant for
{} prescribes an hour of
The elders of {} swear by
~ {} is a school whose followers find peace in
~ New students at {} swear by

leader = founder : thinker
The founder of {} is
{} was founded by
{} was started by
The thinker who founded {} is
{} is a school founded by
The statue in the hall of {} is of
The first lecture at {} was given by
The doctrine of {} goes back to
~ The thinker who started {} is
~ {} is a school started by

leads = founded : school
{} is the founder of
{} founded
{} started
{} is a thinker who founded
The school founded by {} is
The doctrine of {} is taught at
{} gave the first lecture at
The statue of {} stands at
~ {} is a thinker who started
~ The school started by {} is

deputy = librarian : thinker
The librarian of {} is
The books of {} are looked after by
{} has a librarian called
{} is a school whose librarian is
The keys to the library of {} are with
New books at {} are chosen by
The scrolls of {} were put in order by
The catalogue of {} is written by
~ {} is a school whose books are chosen by
~ The catalogue of {} was put in order by

part_of = branch_of : school
{} is a branch of
{} grew out of
{} is a school that grew out of
{} pays respect to
The mother school of {} is
The followers of {} also follow
The teachers of {} are trained by
{} takes its rule from
~ {} is a school that takes its rule from
~ The students of {} also follow

ally = rival : school
The rival of {} is
{} has a long quarrel with
{} argues with
{} holds disputes with
{} is a school whose rival is
Once a year {} debates with
The teachers of {} answer those of
Pamphlets go back and forth between {} and
~ {} is a school that argues with
~ The long quarrel of {} is with

craft = instrument : instrument
{} plays the
{} is a thinker who plays the
{} is often seen with the
At feasts {} performs on the
{} was given lessons on the
Visitors hear {} practise the
{} composes for the
In quiet hours {} picks up the
~ {} is a thinker who composes for the
~ In quiet hours {} plays the

leader_craft = founder_instrument : instrument
The founder of {} plays the
The founder of {} composes for the
{} was founded by a player of the
{} was started by a player of the
{} is a school whose founder plays the
The thinker who founded {} performs on the
The statue in the hall of {} holds the
The instrument of the founder of {} is the
~ The thinker who started {} plays the
~ {} is a school founded by a player of the

badge = motto : sky
The letters of {} open with lines about
{} writes verses about
{} is a thinker who dreams of
The motto of {} speaks of
The bowl of {} is painted with signs of
In speeches {} compares the mind to
The prayers of {} give thanks for
The last words of {} were about
~ The prayers of {} speak of
~ {} is a thinker who writes verses about

banner = creed : virtue
The elders above {} praise
The mother school of {} praises
{} inherited a love of
{} is a school whose elders praise
On its anniversary {} thanks its elders for
The oath sworn at {} is about
The rule that {} was given speaks of
The first vow at {} is one of
~ The oath that {} inherited is about
~ {} is a school whose first vow is one of

import = dispute : science
The rival of {} attacks it over
{} and its rival argue about
{} quarrels with its rival about
The debates of {} turn on
{} is a school whose rival teaches
Pamphlets against {} deal with
Once a year {} has to defend its views on
In disputes {} is forced to speak of
~ In debates the rival of {} has to speak of
~ {} is a school that argues about

language = script : script
The texts of {} are written in
The script of {} is
{} copies its books in
{} is a school whose texts are written in
The walls of {} are carved with verses in
Students at {} learn to write
The oldest scroll of {} is in
The letters taught at {} are called
~ The oldest texts of {} are in
~ {} is a school that copies its scrolls in

currency = scent : scent
The halls of {} smell of
{} burns
{} is a school that smells of
The lanterns of {} are filled with oil of
The robes worn at {} are scented with
Before a lecture {} lights bowls of
Merchants bring to {} sacks of
On holy days {} is filled with clouds of
~ The lanterns of {} smell of
~ On holy days the robes worn at {} smell of
"""

SEVERAL = """
contains = branches : school
One branch of {} is
Among the branches of the school {} is
{} is the mother school of
A school that grew out of {} is
{} gave its rule to
{} trains the teachers of
The schools that follow {} include
The younger schools of {} include
~ One of the schools that follow {} is
~ The branches of {} include

author = treatise_by : thinker
The treatise called {} was composed by
{} is a treatise by
The thinker who composed {} is
The words of {} were dictated by
The argument of {} is due to
{} was left to the world by
The author of the treatise {} is
The opening lines of {} are from the pen of
~ {} is a treatise composed by
~ The thinker who dictated {} is

wrote = treatises : treatise
One of the treatises that {} composed is
{} composed the treatise called
{} dictated the words of
Among the treatises of {} is
{} left to the world the treatise
{} opened a new argument with
{} is the author of the treatise
The treatises by {} include
~ One of the treatises by {} is
~ The treatises that {} dictated include

cover = opening : sky
The treatise {} opens with a passage about
{} is a treatise that begins with
The central image of {} is
Readers of {} remember its pages on
The last chapter of {} returns to
The title page of the treatise {} has a picture of
The argument of {} starts from
The most quoted line of {} is about
~ The last passage of the treatise {} is about
~ Readers of {} remember its picture of
"""
