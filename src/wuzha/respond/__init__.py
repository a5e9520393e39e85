"""The dissuasion desk: the queue, the file of an alert, and every step on it until it is closed.

Commands and queries take a connection whose transaction has the officer's scope; they commit nothing themselves, so
that a step, its audit row and its finding stand or fall together.
"""
