"""The chain's own records: transactions, receipts, blocks, epochs, votes, certificates, evidence, genesis."""
