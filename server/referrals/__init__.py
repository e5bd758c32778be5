"""Referrals: who brought whom, what that is worth, and the ledger of it."""
