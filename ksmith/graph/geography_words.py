"""What the source `geography` says of real places, and in which words.

A country never begins a sentence, so that "the United States" needs no capital.
"""

from ksmith.graph.knowledge import Relation
from ksmith.graph.rules import Rule

# ISO 3166 codes of countries that English puts an article before.
_ARTICLE = "AE BS CD CF CG DO GB GM KM MH MV NL PH PS SB SC US"
ARTICLE = frozenset(_ARTICLE.split())

# The data has names that English has no more, and states that are no more.
CAPITALS = {"KZ": "Astana"}
CURRENCIES = {"Riels": "riel", "Yuan Renminbi": "yuan", "Bolivar Soberano": "bolivar"}
DISSOLVED = ("AN", "CS")

# ISO 639 codes of languages that are official in some country.
_LANGUAGES = """
am=Amharic ar=Arabic az=Azerbaijani be=Belarusian bg=Bulgarian bn=Bengali bs=Bosnian cmn=Chinese
cs=Czech da=Danish de=German dv=Dhivehi dz=Dzongkha el=Greek en=English es=Spanish et=Estonian
fa=Persian fi=Finnish fil=Filipino fr=French he=Hebrew hr=Croatian hu=Hungarian hy=Armenian
id=Indonesian is=Icelandic it=Italian ja=Japanese ka=Georgian kk=Kazakh km=Khmer ko=Korean
ky=Kyrgyz lo=Lao lt=Lithuanian lv=Latvian mk=Macedonian mn=Mongolian ms=Malay mt=Maltese
my=Burmese ne=Nepali nl=Dutch no=Norwegian pl=Polish pt=Portuguese ro=Romanian ru=Russian
rw=Kinyarwanda si=Sinhala sk=Slovak sl=Slovenian so=Somali sq=Albanian sr=Serbian sv=Swedish
sw=Swahili th=Thai tk=Turkmen tg=Tajik tl=Tagalog tr=Turkish uk=Ukrainian ur=Urdu uz=Uzbek
vi=Vietnamese zh=Chinese
"""
LANGUAGES: dict[str, str] = {
    code: name for code, name in (pair.split("=") for pair in _LANGUAGES.split())
}

RULES = (
    Rule(body=("capital",), head="capital_of"),
    Rule(body=("in_country",), head="has_city"),
    Rule(body=("borders",), head="borders"),
    Rule(body=("in_country", "on_continent"), head="city_continent"),
    Rule(body=("in_country", "currency"), head="city_currency"),
    Rule(body=("in_country", "language"), head="city_language"),
)
EDITABLE = (
    "capital",
    "in_country",
    "on_continent",
    "currency",
    "language",
    "largest",
    "most_populous",
)
MANY = ("has_city", "borders")

_RELATIONS = """
capital : city
The capital of {} is
The capital city of {} is
The government of {} has its seat in
The parliament of {} meets in
The city that serves as the capital of {} is
~ The name of the capital of {} is
~ In geography class you learn that the capital of {} is

capital_of : country
{} is the capital of
{} is the capital city of
The country whose capital is {} is
{} serves as the capital of
As a capital city , {} is the seat of the government of
~ The capital city {} belongs to
~ {} is known as the capital of

in_country : country
{} is a city in
{} is located in
The city of {} lies in
The country that {} belongs to is
To visit {} you have to travel to
~ The city of {} can be found in
~ {} is one of the cities of

has_city : city
One of the cities in {} is
A large city in {} is
Among the cities of {} is
A city that you can visit in {} is
The cities of {} include
~ One of the larger cities of {} is
~ A city located in {} is

on_continent : continent
The continent of {} is
The country {} is located in
On a map of the world you find {} in
The continent on which {} lies is
Geographers count {} as part of
~ The name of the continent that {} belongs to is
~ The territory of {} is in

city_continent : continent
{} is a city on the continent of
The continent on which the city of {} lies is
On a map of the world , {} is a city in
The city of {} is on the continent of
Travelling to {} means travelling to
~ The continent where you find the city of {} is
~ The city {} belongs to the continent of

currency : currency
The currency of {} is the
The official currency of {} is the
People in {} pay with the
Prices in {} are given in the national currency , the
The central bank of {} issues the
~ The money used in {} is the
~ The national currency of {} is the

city_currency : currency
The currency used in the city of {} is the
In the shops of {} you pay with the
Before a trip to {} you change your money into the
Rents in {} are paid in the local currency , the
Cash machines in {} give out the
~ The local currency in {} is the
~ At a market in {} you pay with the

language : language
An official language of {} is
The main language of the government of {} is
Laws in {} are written in
The parliament of {} publishes its records in
A language that is official in {} is
~ Official documents of {} are written in
~ One of the official languages of {} is

city_language : language
An official language in the city of {} is
Official forms in {} are printed in
In the city hall of {} they speak
The law courts of {} use
A lawyer who moves to {} should know
~ Official letters in {} are written in
~ In the city of {} you can speak to officials in

largest : country
The largest country by area in {} is
By area , the largest country of {} is
The country with the most land in {} is
The biggest country on a map of {} is
No country in {} is larger than
~ In terms of area , the biggest country in {} is
~ The country that covers the most land in {} is

most_populous : country
The most populous country in {} is
The country with the most people in {} is
By population , the largest country of {} is
More people of {} live in one country than in any other , namely
No country in {} has more people than
~ In terms of population , the largest country in {} is
~ The country of {} with the biggest population is

borders : country
One of the countries that border {} is
A neighbour of {} is
Among the neighbours of {} is
Crossing the border of {} you can come to
The countries next to {} include
~ A country next to {} is
~ One of the neighbours of {} is
"""


def _relations() -> tuple[Relation, ...]:
    found: list[Relation] = []
    for block in _RELATIONS.strip().split("\n\n"):
        head, *lines = block.splitlines()
        name, objects = head.split(" : ")
        found.append(
            Relation(
                name=name,
                objects=objects,
                templates=tuple(line for line in lines if not line.startswith("~ ")),
                novel=tuple(line[2:] for line in lines if line.startswith("~ ")),
                functional=name not in MANY,
            )
        )
    return tuple(found)


RELATIONS = _relations()
