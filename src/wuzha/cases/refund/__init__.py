"""Refunds: who gets what of a frozen balance, the notice, the approval, the decision, the bank's receipt.

A refund runs on a case's frozen account. `opening` computes the plan (a *round*) and replaces it when a fact changes;
`hearing` takes applications, files of other organs, the notice, objections; `deciding` asks, approves, decides;
`paying` sends to the bank and takes its receipts; `standing` says who waits on whom; `papers` writes the documents.
"""
