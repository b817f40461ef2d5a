"""Family names: single, of two characters, and their spellings outside Hanyu Pinyin."""

from p2med.deid.words import lists, words

SURNAMES = frozenset(words("surname"))
COMPOUND_SURNAMES = words("compound_surname")
# Hong Kong, Macau, Taiwan, Singapore.
ELSEWHERE = {k.removeprefix("elsewhere "): v for k, v in lists().items() if k.startswith("elsewhere ")}
