"""treasury: funds, budgets, payments that several people approve, streams, and the closing of a year.

A fund is a designated reserve: an equity account of class 3030 that never goes below zero. It is filled from
surplus (Dr 3050, Cr 3030) or by a gift (Dr 2010, Cr 3030). A payment books the cost and frees the reserve:
Dr 5020 of its line, Cr 2010 of the payee, and Dr 3030, Cr 3050. So the books stay whole without a second kind
of cash, and what a fund may still spend is one balance.

Until members vote, the board decides what the specification gives to gov; only gov may allow a deficit. Who
asks never approves, nor does who is paid; `pay` is for anybody once the payment is due, so that a job can do
it. All sums of a report come from class totals.

*Source*: contracts.md 5.4. *Departs*: fund cash is equity (above); a year closes with what is booked when it
is closed, since totals have no periods; above the second tier three approvals and a delay, or gov and the
delay; `sweep` is `appropriate`.

Read `records.py`, `funds.py`, `spending.py`, `contract.py`.
"""
