"""The live seat: group commit, the partition's worker, lease, snapshots, history, what leaves a holder, supervision.

Kept true here: acknowledged means durable; results are a pure function of the log; nothing is written twice.
"""
