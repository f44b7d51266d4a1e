"""Places that lie in places: what `wording` says of them, and what can be said besides."""

TYPES = "place person book"

SEVERAL = """
contains = contains : place
One of the places in {} is
{} contains
{} collects the tolls of
Among the places inside {} is
The borders of {} enclose
A place that belongs to {} is
Inside {} you come to
The places that lie in {} include
~ One of the places that lie in {} is
~ The places inside {} include

author = author : person
The book called {} was written by
{} is a book by
The person who wrote {} is
The story of {} was told by
The name on the cover of {} is
{} was first read aloud by
The author of the book {} is
The lines of {} came to
~ {} is a book written by
~ The author of the story {} is

wrote = wrote : book
One of the books that {} wrote is
{} wrote the book called
{} told the story of
Among the books of {} is
A book with the name of {} on its cover is
{} first read aloud from
{} is the author of the book
The books by {} include
~ One of the books by {} is
~ The books that {} read aloud include

cover = cover : plant
The cover of the book {} shows
{} is a book whose cover shows
On the cover of {} you find
The pages of {} smell of
Copies of {} are tied with
The first page of {} has a drawing of
Between the pages of {} are pressed leaves of
The hero of {} goes in search of
~ The first page of the book {} shows
~ {} is a book whose pages smell of
"""
