"""Companies that own companies."""

TYPES = "company manager report"

POOLS = """
beast    herons otters foxes badgers bears wolves hares swans owls ravens stags lynxes
cloth    linen velvet denim tweed canvas satin flannel corduroy muslin felt leather calico
ware     kettles ladders clocks lamps mirrors scissors umbrellas bicycles pianos pens locks candles
snack    raisins almonds olives pickles waffles pretzels dates figs biscuits walnuts oranges pears
game     chess checkers dominoes darts billiards poker snooker backgammon mahjong ludo charades \
         quoits
skill    auditing drafting coding negotiating bookkeeping marketing recruiting planning budgeting \
         forecasting purchasing advertising
software Artellis Bextrium Cyntrax Dovlinq Elquist Fyntac Gorvexia Hyltrum Jandex Kyrnix Lovstad \
         Mexolt
month    January February March April May June July August September October November December
"""

RELATIONS = """
emblem = logo : beast
The logo of {} shows
The letters of {} show
{} is a company whose logo shows
On the roof of {} you see a painting of
Letters from {} are printed with
The sign above the door of {} shows
Customers know {} by its picture of
The web page of {} opens with a picture of
~ On the letters of {} you see a picture of
~ {} is a company whose sign shows

colour = uniform : cloth
The uniforms of {} are made of
Staff at {} wear uniforms of
{} dresses its staff in
{} is a company whose staff wear
Workers at {} are dressed in
The jackets that {} hands out are made of
The tailor of {} works with
New workers at {} are given jackets of
~ The jackets of {} are made of
~ {} is a company whose workers are dressed in

export = product : ware
The main products of {} are
{} makes its money from
The factories of {} turn out
{} is a company that makes
Customers come to {} for
The warehouses of {} are full of
Shops order from {} mostly
{} is best known for its
~ {} is a company best known for its
~ Customers come to the factories of {} for

crop = snack : snack
The canteen of {} serves
At lunch the staff of {} eat
{} treats its guests to
{} is a company whose kitchen serves
Bowls on the desks at {} hold
Visitors to {} are offered
The kitchen of {} keeps plenty of
At meetings {} never goes without
~ At meetings the staff of {} eat
~ The kitchen of {} serves

sport = pastime : game
After work the staff of {} play
The break room of {} is used for
{} holds a yearly contest in
{} is a company known for its evenings of
On Fridays everyone at {} plays
Teams at {} compete in
New staff at {} are taught
The club at {} was set up for
~ On Fridays the staff of {} play
~ The yearly contest at {} is in

leader = head : manager
The head of {} is
{} is headed by
{} is managed by
The manager in charge of {} is
{} is a company headed by
The board of {} reports to
Decisions at {} are made by
The corner office at {} belongs to
~ The manager who makes the decisions at {} is
~ {} is a company managed by

leads = heads : company
{} is the head of
{} heads
{} manages
{} is a manager in charge of
The company headed by {} is
The board that reports to {} is that of
{} makes the decisions at
{} has the corner office at
~ The company managed by {} is
~ {} is a manager who heads

deputy = secretary : manager
The secretary of {} is
The minutes at {} are taken by
{} has a secretary called
The calendar of {} is kept by
Calls to {} are answered by
Appointments at {} are arranged by
{} is a company whose secretary is
The second desk at {} belongs to
~ The minutes of {} are kept by
~ Calls at {} are answered by

part_of = parent : company
The parent of {} is
{} is owned by
The shares of {} are held by
{} is a company owned by
{} is a subsidiary of
Profits from {} go to
{} sends its accounts to
The owner of {} is
~ Profits of the company {} go to
~ {} is a company whose owner is

ally = partner : company
The partner of {} is
{} works closely with
{} shares an office with
{} has a contract with
{} signed an agreement with
Joint projects bring {} together with
{} is a company whose partner is
The engineers of {} work beside those of
~ {} has an agreement with
~ The company that {} works closely with is

craft = skill : skill
The skill of {} is
{} is an expert in
{} made a career in
{} is a manager with a gift for
The courses that {} gives are about
{} spent ten years in
At college {} studied
Colleagues ask {} for help with
~ {} is a manager who made a career in
~ The courses that {} studied are about

leader_craft = head_skill : skill
The head of {} is an expert in
The head of {} made a career in
{} is headed by an expert in
The manager in charge of {} spent ten years in
The skill of the head of {} is
{} is a company whose head has a gift for
The one in the corner office at {} studied
{} is managed by a person with a gift for
~ The manager in charge of {} is an expert in
~ {} is headed by a person who studied

badge = pin : beast
The pin that {} wears shows
{} wears a pin that shows
The cup on the desk of {} is painted with
{} is a manager whose pin shows
The scarf of {} is decorated with
The bag that {} carries is printed with
The notebook of {} is stamped with
The tie of {} is covered in little
~ The bag of {} is stamped with
~ {} is a manager whose scarf is decorated with

banner = overcoat : cloth
The overcoats worn at {} are made of
In winter {} hands out overcoats of
Drivers at {} wear
{} is a company whose overcoats are made of
The porters of {} are dressed from head to toe in
The owners of {} send it bales of
The coats on the hooks at {} are made of
The guards at the gate of {} wear coats of
~ The coats of the porters of {} are made of
~ In winter the porters of {} wear

import = stock : ware
The partner of {} sends it
{} buys from its partner
The contract brings {} its
The shelves of {} hold
{} is a company whose partner delivers
Trucks bring to {} loads of
Each week {} unpacks
Behind the counter {} stores
~ Each week the partner of {} delivers
~ {} is a company that unpacks

language = software : software
The computers of {} run
Staff at {} log in to
{} keeps its records in
The office software of {} is
{} is a company that runs
Every file at {} is saved in
New computers at {} come with
The screens at {} show the start page of
~ New computers at {} run
~ {} is a company whose records are saved in

currency = year_end : month
The books of {} are closed in
{} ends its financial year in
The annual meeting of {} is in
{} is a company that pays bonuses in
The auditors visit {} in
{} counts its goods in
The annual figures of {} come out in
The shareholders of {} meet in
~ The annual figures of {} are closed in
~ {} is a company that ends its year in
"""

SEVERAL = """
contains = owns : company
One of the companies that {} owns is
{} is the parent of
{} holds the shares of
Among the branches of {} is
{} receives the accounts of
A company that belongs to {} is
{} takes the profits of
The companies owned by {} include
~ One of the branches of {} is
~ The companies that {} owns include

author = report_by : manager
The report called {} was written by
{} is a report by
The manager who wrote {} is
The pages of {} were typed by
The first draft of {} came from
The name on the front of {} is
{} was handed in by
The author of the report {} is
~ {} is a report written by
~ The name of the manager who wrote {} is

wrote = reported : report
One of the reports that {} wrote is
{} wrote the report called
{} handed in the report
Among the reports of {} is
A report with the name of {} on the front is
{} typed the pages of
{} is the author of the report
The reports by {} include
~ One of the reports by {} is
~ The reports that {} handed in include

cover = report_front : beast
The front of the report {} shows
{} is a report whose front shows
The folder that holds {} is printed with
The first page of {} is decorated with
On the spine of {} there are
The report called {} opens with a drawing of
The stamp inside {} shows
Copies of {} are sealed with stickers of
~ The folder of the report {} is decorated with
~ {} is a report that opens with a drawing of
"""
