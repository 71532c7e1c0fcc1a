"""finance: the mathematics of interest and repayment, in exact integers, for anybody to recompute.

It knows dates, amounts and rates, and nothing of members, accounts, products or time passing. Read
`day_count.py` (how long is a period), `schedule.py` (what is due when), `allocation.py` (what a repayment
pays), `provisioning.py` (how bad a loan is), `annual_rate.py` (what a loan costs a year, for disclosure).

*Source*: contracts.md D3, D4, D19, 3.4, 5.10.
"""
