"""Orders on money: query, stop, freeze, release. A machine drafts and ranks; a named officer with seal authority sends.

Other desks and the faces come in by `public`.
"""
