"""The private engine: event, accounting, ledger, mechanisms, sampler, plan. No networks in here."""
