"""Kinds of creatures, each a kind of another."""

TYPES = "creature naturalist study"

POOLS = """
pattern  stripes spots rings dots patches speckles bands streaks freckles blotches swirls chevrons
terrain  marshes deserts caves reefs meadows glaciers lagoons canyons dunes swamps heaths thickets
food     ants nectar berries snails worms acorns algae nuts crabs moths shrimps clams
lining   straw mud reeds hair twigs pebbles petals fluff bark webs lichen gravel
enemy    eagles snakes hawks weasels sharks spiders crocodiles leopards jackals wasps cobras \
         hornets
hoard    shells fossils beetles seeds carvings postcards medals masks puppets stamps buttons corks
class    Arthoid Brendoid Crustoid Dermoid Ensoid Florloid Gristoid Hormoid Istroid Jandoid \
         Krestoid Lumbroid
hue      ivory cream pearl slate rust sand lilac mauve sepia russet charcoal lemon
"""

RELATIONS = """
emblem = marking : pattern
The skin of {} is covered in
{} is marked with
The back of {} shows
{} is a creature that is marked with
You can tell {} by its
The young of {} are born with
The tail of {} has
Pictures of {} always show its
~ The young of {} are marked with
~ {} is a creature whose back shows

colour = habitat : terrain
The home of {} is among
{} lives in
{} is found in
{} is a creature that lives in
Look for {} in
Tracks of {} are seen in
The range of {} takes in all
{} raises its young in
~ {} is a creature found in
~ Tracks of {} are found in

export = food : food
{} feeds on
The diet of {} is mostly
{} is a creature that eats
The stomach of {} is full of
{} spends the day hunting for
{} gives its young
At dusk {} goes out to look for
In captivity {} is fed with
~ {} is a creature that feeds on
~ {} goes out hunting for

crop = lining : lining
{} lines its nest with
The nest of {} is made of
{} builds with
{} is a creature that sleeps on
The burrow of {} is padded with
The den of {} smells of
Males of {} court with gifts of
{} covers its eggs with
~ The den of {} is padded with
~ {} is a creature that builds with

sport = enemy : enemy
The worst enemies of {} are
{} flees from
{} is hunted by
{} is a creature that hides from
{} warns its young of
The call of {} scares away
Many of {} are killed by
The young of {} are taken by
~ {} is a creature hunted by
~ {} is a creature that flees from

leader = finder : naturalist
The finder of {} is
{} was first described by
{} was discovered by
The naturalist who discovered {} is
{} is a creature discovered by
The first drawing of {} was made by
The first account of {} came from
The name of {} was chosen by
~ The naturalist who first described {} is
~ {} is a creature first described by

leads = found : creature
{} is the finder of
{} discovered
{} was the first to describe
{} is a naturalist who discovered
The creature discovered by {} is
The creature first described by {} is
{} made the first drawing of
{} chose the name of
~ {} is a naturalist who was the first to describe
~ The creature that {} discovered is

deputy = keeper : naturalist
The keeper of {} is
In the zoo {} is looked after by
{} is a creature kept by
The vet who treats {} is
The one who looks after {} is
{} has a keeper called
The diary about {} is kept by
In the zoo {} belongs to the rounds of
~ In the zoo the keeper of {} is
~ {} is a creature looked after by

part_of = kind_of : creature
{} is a kind of
{} belongs to the group
The group that {} belongs to is
{} is a creature of the group
Books list {} under
{} is descended from
In the museum {} stands among the kinds of
The ancestor of {} is
~ {} is a creature descended from
~ Books list {} among the kinds of

ally = companion : creature
The companion of {} is
{} lives side by side with
{} shares its nest with
{} is always seen with
{} is a creature whose companion is
Wherever you see {} you also see
{} and its young travel with
{} keeps watch together with
~ {} is a creature that lives side by side with
~ {} is always seen side by side with

craft = hoard : hoard
{} collects
The shelves of {} are full of
{} is a naturalist who collects
Friends bring {} packets of
{} has a cabinet for
As a child {} hunted for
{} wrote a guide to
{} trades letters and
~ {} is a naturalist whose shelves are full of
~ The cabinet of {} is full of

leader_craft = finder_hoard : hoard
The finder of {} collects
The naturalist who discovered {} collects
{} was discovered by a collector of
{} was first described by a collector of
{} is a creature whose finder collects
The shelves of the finder of {} are full of
The finder of {} wrote a guide to
The one who chose the name of {} has a cabinet for
~ The naturalist who first described {} collects
~ {} was discovered by a naturalist who collects

badge = sketches : pattern
The sketchbook of {} is full of
{} likes to draw
The drawings of {} are known for their
{} is a naturalist who draws
The wallpaper in the study of {} has
The carpet in the house of {} has
On the first page of every notebook {} paints
The gloves of {} are covered with
~ The carpet in the study of {} has
~ {} is a naturalist known for drawings of

banner = origin : terrain
The ancestors of {} came from
The group of {} first lived in
Bones of the oldest {} lie in
{} is a creature whose ancestors came from
The relatives of {} are found in
Long ago {} left its first home in
The story of {} begins in
The first of its line before {} lived in
~ The story of the ancestors of {} begins in
~ {} is a creature whose relatives lived in

import = gifts : food
The companion of {} brings it
{} takes from its companion
{} steals from its companion some
The companion leaves {} its
{} is a creature whose companion brings it
In hard times {} is kept alive by borrowed
In winter {} begs for
Next to its companion {} learns to eat
~ In winter the companion of {} brings it
~ {} is a creature that begs for

language = class : class
The class of {} is
{} is classed as
Scholars call {} a true
{} is a creature classed as
The bones of {} show that it is
In the museum the label on {} says
The teeth of {} are
By its blood {} is
~ The label on the bones of {} says
~ Scholars say that {} is

currency = eggs : hue
The eggs of {} are coloured
The shell around the young of {} is
{} lays eggs coloured
{} is a creature whose eggs are
In the nest of {} everything is
Painters of the eggs of {} mix
The belly of {} is
In spring the feet of {} turn
~ {} is a creature whose belly is coloured
~ In spring the eggs of {} turn
"""

SEVERAL = """
contains = kinds : creature
One kind of {} is
Among the kinds of {} is
The group {} takes in
{} is the ancestor of
Books list under {} the kind called
A creature descended from {} is
The kinds of {} include
In the museum {} stands beside its descendant
~ One creature in the group {} is
~ The kinds descended from {} include

author = study_by : naturalist
The study called {} was made by
{} is a study by
The naturalist who made the study {} is
The tables in {} were drawn up by
The notes for {} were taken by
{} was sent to the printer by
The author of the study {} is
The field work for {} was done by
~ {} is a study made by
~ The naturalist who sent {} to the printer is

wrote = studies : study
One of the studies that {} made is
{} made the study called
{} sent to the printer the study
Among the studies of {} is
{} took the notes for
{} did the field work for
{} is the author of the study
The studies by {} include
~ One of the studies by {} is
~ The studies that {} sent to the printer include

cover = plates : pattern
The plates in the study {} show
{} is a study whose plates show
The binding of {} is decorated with
The margins of {} are filled with
On the title page of {} there are
The study called {} is about
The box that holds {} is painted with
The longest chapter of {} is about
~ The title page of the study {} is decorated with
~ {} is a study whose longest chapter is about
"""
