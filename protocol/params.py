"""Every limit and constant with its unit, its reason and who may change it.

Three kinds: *format* limits hold for all chains and change only with a new version of the software that is
activated at a height; *genesis* values are fixed when a chain is founded (`chain/genesis.py` carries them);
*vote* values are defaults of parameters that members may change inside bounds.
"""

from typing import Final

# --- format: canonical bytes (contracts.md 3.3, reliability.md 1.6)
DECODE_DEPTH_MAX: Final = 16
DECODE_LIST_ITEMS_MAX: Final = 65_536

INT64_MAX: Final = (1 << 63) - 1
UINT32_MAX: Final = (1 << 32) - 1
AMOUNT_MAX: Final = INT64_MAX
TEXT_BYTES_MAX: Final = 256

# --- format: transactions (contracts.md 3.1 to 3.3)
TX_VERSION: Final = 1
TX_BYTES_MAX: Final = 32 * 1024
TX_SIGNED_BYTES_MAX: Final = 48 * 1024
ACTORS_MAX: Final = 16
SIGNATURES_MAX: Final = 32
PROGRAM_INSTRUCTIONS_MAX: Final = 64
PROGRAM_STORED_INSTRUCTIONS_MAX: Final = 256
PROGRAM_PINS_MAX: Final = 64
ARGUMENT_LIST_ITEMS_MAX: Final = 1_024
ARGUMENT_BYTES_MAX: Final = 16 * 1024
MEMO_BYTES_MAX: Final = 256
CHAIN_NAME_BYTES_MAX: Final = 32
POLICY_LEAVES_MAX: Final = 32
POLICY_DEPTH_MAX: Final = 3
POLICY_WEIGHT_MAX: Final = 1_000

LANES_ORDERED: Final = 16
LANE_UNORDERED: Final = 65_535
SEQUENCE_BITS: Final = 48
EXPIRY_SECONDS_MAX: Final = 24 * 3_600
EXPIRY_UNORDERED_SECONDS_MAX: Final = 600

CALL_DEPTH_MAX: Final = 6

# --- format: blocks and consensus (consensus.md 2)
BLOCK_VERSION: Final = 1
BLOCK_TXS_MAX: Final = 5_000
BLOCK_BYTES_MAX: Final = 4 * 1024 * 1024
BLOCK_EVIDENCE_MAX: Final = 16
EVIDENCE_BLOCKS_MAX: Final = 100_000
"""Age in blocks above which a deed convicts no more: a key that leaks long after it was put away (M12) must
not accuse anybody. Three hours at the fastest pace, a year at the idle one; evidence needs one block."""
VALIDATORS_MAX: Final = 100
CLOCK_AHEAD_MS_MAX: Final = 500
"""A fresh proposal whose time is further ahead of a validator's clock is unwelcome there."""
CLOCK_AHEAD_PROPOSE_MS_MAX: Final = 5_000
"""What is unwelcome for its time is judged again when that has come, if it comes this soon."""

# --- genesis: the authenticated state tree (performance.md 2)
STATE_TREE_BITS_DEFAULT: Final = 12
STATE_KEY_BYTES_MAX: Final = 64

# --- vote: gas (contracts.md 3.3, 3.5, 3.8)
TX_GAS_MAX: Final = 2_000_000
BLOCK_GAS_MAX: Final = 120_000_000
"""Gas of one block. *Departs* from the 12 M of contracts.md: at the calibrated 7,000 gas of a transfer that
would hold a block to some 1,700 transfers; the time cap of performance.md (250 ms of execution) is the bound
that matters, and 5,000 transactions are the other."""
QUOTA_GAS_PER_DAY: Final = 200_000
QUOTA_DAYS: Final = 5
GAS_PRICE_PARTS: Final = 1_000_000

# --- vote: blocks in time (consensus.md 2.5)
BATCH_WINDOW_MS: Final = 50
BLOCK_INTERVAL_MS_MIN: Final = 100
HEARTBEAT_BLOCK_SECONDS: Final = 300
LEADER_HANDOVER_BLOCKS: Final = 1_000

# --- vote: epochs (consensus.md 1.3)
EPOCH_DELAY_BLOCKS: Final = 3
"""Blocks from the one that decides a change to the seal; at least 2, so that all see it coming (M1)."""
EPOCH_AHEAD_BLOCKS_MAX: Final = 1_000_000
EPOCH_AHEAD_SECONDS_MAX: Final = 90 * 86_400
"""A decided change seals within so many blocks, and waits for no time further ahead."""
RAFT_RETURN_SECONDS: Final = 7 * 86_400
"""From the decision to go back from BFT to Raft to its seal, so that everybody can object (1.6)."""
KEY_GRACE_SECONDS: Final = 7 * 86_400
"""How long after its last epoch a consensus key is kept; then it is destroyed (M10, M12)."""
READY_BLOCKS_MAX: Final = 1_000
"""Age at which a validator's word that it is ready counts no more (M2)."""
BFT_VALIDATORS_MIN: Final = 4
"""Fewer cannot bear a single liar (M11)."""

# --- format: program machine and kernel contracts (protocol/vm, protocol/contracts)
STATE_VALUE_BYTES_MAX: Final = 4 * 1024
EVENTS_PER_TX_MAX: Final = 2_048
PROGRAMS_TYPED_MAX: Final = 8_192
"""Typed programs kept in memory, about 1 KB each: more than a block has transactions."""
RESULT_BYTES_MAX: Final = 16 * 1024
HOLDS_EXPIRED_PER_BLOCK_MAX: Final = 1_000
"""Expired holds that one block gives back; the rest waits for the next block, and cannot be captured."""
SEEN_PRUNED_PER_BLOCK_MAX: Final = 10_000
"""Twice the transactions of a block, so the set of remembered unordered nonces always shrinks back."""
JOURNAL_ROW_BYTES_MAX: Final = 256
HOLD_SECONDS_MAX: Final = 366 * 86_400
QUERY_ITEMS_MAX: Final = 200
SYMBOL_CHARS_MAX: Final = 12
ASSET_DECIMALS_MAX: Final = 9
ROLE_NAME_BYTES_MAX: Final = 32
CASH_CONFIRM_SECONDS: Final = 24 * 3_600
"""A second cashier, or the cashier of a payout, has a day to confirm; then the hold goes back."""

# --- format: grants, jobs and pending programs (contracts.md 3.6, 3.11, 5.5)
PERIOD_EVERY_MAX: Final = 366
"""Units of one period: at most 366 days, weeks or months."""
GRANT_METHODS_MAX: Final = 16
GRANT_ASSETS_MAX: Final = 8
GRANT_COUNTERPARTIES_MAX: Final = 16
PROGRAM_PARAMETERS_MAX: Final = 16
PROGRAM_STORED_BYTES_MAX: Final = 16 * 1024
STORED_CHUNK_BYTES_MAX: Final = 4_000
"""A stored program lies in pieces, because a record has at most 4 KiB."""
JOB_GAS_MIN: Final = 1_000
JOB_GAS_MAX: Final = 1_000_000
JOBS_BLOCK_GAS_MAX: Final = 4_000_000
"""Gas of all jobs of one block, beside that of its transactions."""
JOBS_PER_BLOCK_MAX: Final = 1_000
JOB_PARAMETERS_BYTES_MAX: Final = 1_024
JOB_AHEAD_SECONDS_MAX: Final = 10 * 366 * 86_400
JOB_RETRY_SECONDS: Final = (1, 2, 4, 8, 3_600, 6 * 3_600, 24 * 3_600)
"""How long a failed job waits after its first, second, ... failure; after one more it is quarantined."""
JOB_INDEX_FIRST: Final = 1 << 31
"""Places of jobs in a block begin here, so that they are never those of transactions."""
PENDING_SECONDS_MAX: Final = 30 * 86_400
PENDING_DELAY_SECONDS_MAX: Final = 7 * 86_400
PENDING_APPROVALS_MAX: Final = 64
"""Twice the leaves of a policy: a role may be held by several signers."""
PROGRAM_NESTING_MAX: Final = 3
"""Programs inside programs: an account whose signer is an account whose signer is an account."""

# --- format: parameters and upgrades (contracts.md 3.12)
PARAMETER_DELAY_BLOCKS: Final = 3
"""Blocks from the one that decides a new value to the first one that uses it."""
PARAMETER_AHEAD_BLOCKS_MAX: Final = 1_000_000
UPGRADE_DELAY_BLOCKS: Final = 3
UPGRADE_AHEAD_BLOCKS_MAX: Final = 1_000_000
UPGRADE_RETRY_SECONDS: Final = 86_400
UPGRADE_RETRIES_MAX: Final = 5
"""An upgrade for which too few validators are ready waits a day, so many times; then it lapses."""
UPGRADES_MAX: Final = 64
"""Contracts of which a chain runs another version than the one it began with."""

# --- format: plugins (contracts.md 3.12)
PLUGIN_ID_MIN: Final = 1_000
"""Numbers of contracts below are the program's own."""
PLUGIN_LAYER_MIN: Final = 4
PACKAGE_BYTES_MAX: Final = 64
PLUGIN_SCAN_MAX: Final = 1_000
"""Records that a plugin may ask for with one walk."""
RETIREMENT_ACCOUNTS_MAX: Final = 10_000
"""Ledger accounts of a contract that are looked at before it is taken out; one with more is never."""

# --- format: pauses (contracts.md D10)
PAUSE_SECONDS_MAX: Final = 7 * 86_400
PAUSE_EXIT_SECONDS_MAX: Final = 72 * 3_600
"""Longest pause of what lets members take their own money out."""
PAUSE_REST_SECONDS: Final = 7 * 86_400
"""A method that was paused works for so long before it can be paused again."""
