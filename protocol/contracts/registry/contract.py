"""The schema of the registry."""

from typing import Final

from protocol.contracts import conduct
from protocol.contracts.parameters import NEXT_VALUES, PARAMETERS, VALUES
from protocol.contracts.registry import doors, epochs, pauses, upgrades, values
from protocol.contracts.registry.doors import until_taken_over
from protocol.contracts.registry.records import (
    CHANGE_FIELDS,
    COUNCIL,
    ENGINE,
    ENGINES,
    ERRORS,
    EVENTS,
    ID,
    INSTALLED,
    NEXT,
    OF_METHOD,
    OPERATOR,
    PACKAGE,
    PAUSES,
    PENDING,
    READY,
    READY_FIELDS,
    RUNNING,
    SOFTWARE,
    TAKEN_OVER,
    UPGRADE_FIELDS,
    UPGRADES,
    VALIDATOR,
    VERSIONS,
    VERSIONS_KIND,
)
from protocol.params import PAUSE_SECONDS_MAX, QUERY_ITEMS_MAX, TEXT_BYTES_MAX, UPGRADES_MAX, VALIDATORS_MAX
from protocol.vm import gas
from protocol.vm.contract import GOV, Contract, ErrorType, Method, Owner, Query, Role
from protocol.vm.kinds import (
    ADDRESS,
    BOOL,
    HASH,
    HEIGHT,
    PUBLIC_KEY,
    SECONDS,
    U16,
    U63,
    Data,
    Field,
    Fields,
    Integer,
    Many,
    Maybe,
    Text,
)

DECIDERS: Final = (GOV, Role(COUNCIL))
"""Members by a vote, or the board, inside what a method allows: parameters, and the terms of products."""
PROOF: Final = Data("signature", 64, 64)
NAME: Final = Text("name", TEXT_BYTES_MAX)

_OWN_KEY: Final = (Field("node", ADDRESS, "of the node key"), Field("node_key", PUBLIC_KEY))
_SOONEST: Final = "0: as soon as may be"
CHOICE_FIELDS: Final = (
    Field("consensus_keys", Many(PUBLIC_KEY, VALIDATORS_MAX, 1), "of validators that are ready"),
    Field("seal_height", HEIGHT, f"last block of the epoch that runs; {_SOONEST}"),
    Field("not_before", SECONDS, f"earliest time of that block; {_SOONEST}"),
)

METHODS: Final = (
    Method(
        1,
        "ready",
        (
            *_OWN_KEY,
            Field("consensus_key", PUBLIC_KEY),
            Field("proof", PROOF, "signature by the consensus key that it is that of the node"),
            Field("operator", OPERATOR),
            Field("software", SOFTWARE),
            Field("engines", ENGINES, "1 Raft, 2 BFT, 3 both"),
            Field("synced_height", HEIGHT, "to which it has the chain"),
        ),
        BOOL,
        (Owner("node"),),
        gas.SIGNATURE,
        epochs.ready,
        "Say that a node could take part in a next epoch, under a consensus key that it has.",
    ),
    Method(
        2,
        "propose",
        (Field("engine", ENGINE, "1 Raft, 2 BFT; not from BFT to Raft"), *CHOICE_FIELDS),
        HEIGHT,
        DECIDERS,
        400,
        until_taken_over(2, epochs.propose),
        "Decide the next epoch; returns the height of the seal, the least one if it also waits for a time.",
    ),
    Method(
        3,
        "cancel",
        (),
        BOOL,
        DECIDERS,
        20,
        until_taken_over(3, epochs.cancel),
        "Cancel a decided change before its seal.",
    ),
    Method(
        4,
        "pause",
        (*OF_METHOD, Field("seconds", Integer("seconds", 1, PAUSE_SECONDS_MAX))),
        SECONDS,
        DECIDERS,
        20,
        until_taken_over(4, pauses.pause),
        "Let nobody call a method for a while; returns when that ends.",
    ),
    Method(
        5,
        "resume",
        OF_METHOD,
        BOOL,
        DECIDERS,
        20,
        until_taken_over(5, pauses.resume),
        "End a pause before its time.",
    ),
    Method(
        6,
        "set_parameter",
        (
            Field("name", NAME),
            Field("value", U63, "inside the bounds of the parameter"),
            Field("from_height", HEIGHT, f"first block that uses it; {_SOONEST}"),
        ),
        HEIGHT,
        DECIDERS,
        40,
        until_taken_over(6, values.set_value),
        "Decide another value of a parameter; returns the height from which it counts.",
    ),
    Method(
        7,
        "upgrade",
        (
            Field("contract", U16),
            Field("version", U16, "higher than all that ran; 0: take the contract of a plugin out"),
            Field("fingerprint", HASH, "of the schema of that version, and of the source of a plugin"),
            Field("package", PACKAGE, "that brings it, such as coop-rosca 1.0; empty: this program"),
            Field("first_height", HEIGHT, f"first block that runs it; {_SOONEST}"),
        ),
        HEIGHT,
        DECIDERS,
        160,
        until_taken_over(7, upgrades.upgrade),
        "Decide that a contract is to run another version when enough validators have it, or is taken out.",
    ),
    Method(
        8,
        "cancel_upgrade",
        (Field("contract", U16),),
        BOOL,
        DECIDERS,
        40,
        until_taken_over(8, upgrades.cancel_upgrade),
        "Cancel a decided upgrade before it is in force.",
    ),
    Method(
        9,
        "installed",
        (
            *_OWN_KEY,
            Field("contract", U16),
            Field("version", U16),
            Field("fingerprint", HASH, "of the schema that the node has"),
        ),
        BOOL,
        (Owner("node"),),
        100,
        upgrades.installed,
        "Say as a validator that the decided version of a contract is installed.",
    ),
    Method(
        10,
        "return_to_raft",
        CHOICE_FIELDS,
        HEIGHT,
        DECIDERS,
        400,
        until_taken_over(10, epochs.return_to_raft),
        "Decide to go back from BFT to Raft; returns the least height of the seal: it waits for a time.",
    ),
    Method(
        11,
        "cancel_return",
        (),
        BOOL,
        DECIDERS,
        20,
        until_taken_over(11, epochs.cancel_return),
        "Cancel the way back to Raft before its seal.",
    ),
    Method(
        12,
        "take_over",
        (Field("method", U16, "of this contract, that the council may call"),),
        BOOL,
        (GOV,),
        20,
        doors.take_over,
        "Let the council decide something no more, for good; tells whether that is new.",
    ),
    Method(
        16,
        "lift",
        (Field("operator", OPERATOR),),
        conduct.COUNT,
        DECIDERS,
        40,
        until_taken_over(16, conduct.lift),
        "Lift all that stands against an operator; returns how many convictions that were.",
    ),
)

QUERIES: Final = (
    Query(
        "pending",
        (),
        Maybe(Fields((*CHANGE_FIELDS, Field("validators", Many(VALIDATOR, VALIDATORS_MAX, 1))))),
        epochs.query_pending,
        "Return the decided change.",
    ),
    Query(
        "ready",
        (Field("after", Maybe(PUBLIC_KEY), "the last of the page before"),),
        Many(Fields((Field("consensus_key", PUBLIC_KEY), *READY_FIELDS)), QUERY_ITEMS_MAX),
        epochs.query_ready,
        "List who could take part in a next epoch.",
    ),
    Query(
        "paused",
        (Field("after", Maybe(Fields(OF_METHOD)), "the last of the page before"),),
        Many(Fields((*OF_METHOD, Field("until", SECONDS))), QUERY_ITEMS_MAX),
        pauses.query_paused,
        "List the methods that are paused.",
    ),
    Query(
        "parameters",
        (),
        Many(
            Fields(
                (
                    Field("name", NAME),
                    Field("unit", NAME),
                    Field("value", U63),
                    Field("default", U63),
                    Field("low", U63),
                    Field("high", U63),
                    Field("is_founding", BOOL, "fixed since the founding"),
                    Field("next", Maybe(Fields((Field("value", U63), Field("from_height", HEIGHT))))),
                )
            ),
            len(PARAMETERS),
        ),
        values.query_parameters,
        "List all parameters with their bounds, present values and decided changes.",
    ),
    Query(
        "taken_over",
        (),
        Many(U16, QUERY_ITEMS_MAX),
        doors.query_taken_over,
        "List the methods of this contract that members decide alone; the council decides the others, too.",
    ),
    Query(
        "versions",
        (),
        VERSIONS_KIND,
        upgrades.query_versions,
        "List the contracts that run another version than the chain began with.",
    ),
    Query(
        "upgrades",
        (),
        Many(
            Fields(
                (
                    Field("contract", U16),
                    *UPGRADE_FIELDS,
                    Field("installed", Many(PUBLIC_KEY, VALIDATORS_MAX), "consensus keys of who has it"),
                )
            ),
            UPGRADES_MAX,
        ),
        upgrades.query_upgrades,
        "List the upgrades that are decided and not in force.",
    ),
    Query(
        "convictions",
        (Field("after", Maybe(conduct.OF_CONVICTION), "the last of the page before"),),
        conduct.LIST,
        conduct.list_convictions,
        "List what validators are convicted of by evidence in blocks.",
    ),
)

CONTRACT: Final = Contract(
    ID,
    "registry",
    layer=0,
    version=1,
    doc="Who may validate next, the change of epoch, convictions, parameters, versions, and paused methods.",
    tables=(
        READY,
        PENDING,
        NEXT,
        PAUSES,
        VALUES,
        NEXT_VALUES,
        VERSIONS,
        UPGRADES,
        INSTALLED,
        RUNNING,
        conduct.CONVICTIONS,
        TAKEN_OVER,
    ),
    methods=METHODS,
    queries=QUERIES,
    events=(*EVENTS, conduct.LIFTED),
    errors=(
        *ERRORS,
        ErrorType(
            conduct.SUSPENDED, "SUSPENDED", "Evidence stands against a validator, and nobody lifted it."
        ),
        ErrorType(conduct.NOT_SUSPENDED, "NOT_SUSPENDED", "Nothing stands against the operator."),
    ),
    parameters=PARAMETERS,
)
