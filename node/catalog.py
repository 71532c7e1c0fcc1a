"""Every message that a person reads when something is refused: number, slug, three lines in two languages.

One registry for node, JSON-RPC, command line and web page: what happened, why (with the numbers), what to do.
Numbers and slugs never change meaning and are never reused. Placeholders in braces are filled from the
parameters of the error. This file does not know who shows a message, nor when a rule is broken.

Ranges: negative as JSON-RPC 2.0 says; 100 our machine (`node.errors.OperationError`); 1000 chain and queries;
1100 transactions; 1200 accounts and money; 1600 a contract without words; 1800 registry; 1900 what is not
allowed here; all other contracts by their own codes (`catalog_contracts.py`).
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from node.catalog_contracts import CONTRACT_TEXTS
from node.catalog_shell import say_in_chinese
from protocol.errors import USER_ASSERT_BASE, Code
from protocol.vm.program import ASSERT_CODE_MAX


class Retry(Enum):
    """Say whether asking again can help, and how."""

    SAME = "same"
    LATER = "later"
    CHANGE = "change"
    NEVER = "never"


class Outcome(Enum):
    """Say whether money can have moved."""

    NOT_APPLIED = "not_applied"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Text:
    """What happened, why, what to do; the last may name a command."""

    what: str
    why: str
    fix: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind of refusal."""

    number: int
    slug: str
    retry: Retry
    en: Text
    zh: Text
    outcome: Outcome = Outcome.NOT_APPLIED

    @property
    def group(self) -> str:
        """Return the first part of the slug."""
        return self.slug.partition(".")[0]


class _Filling(dict[str, object]):
    """A parameter that nobody gave reads as a dash: a message is never lost for want of a number."""

    def __missing__(self, key: str) -> str:
        return "-"


_RULE_EN: Final = "Rule {rule}: the limit is {limit}, here it is {actual}."
_RULE_ZH: Final = "规则 {rule}：限值 {limit}，实际 {actual}。"
_NONE: Final = (None, "-")
_ONLY_ACTUAL: Final = {
    _RULE_EN: "Rule {rule}: here it is {actual}.",
    _RULE_ZH: "规则 {rule}：实际 {actual}。",
}
_ONLY_RULE: Final = {_RULE_EN: "Rule {rule}.", _RULE_ZH: "规则 {rule}。"}


def fill(entry: Entry, language: str, params: dict[str, object]) -> Text:
    """Return the three lines in a language, `zh` or any other for English, with the parameters in place."""
    text, values = entry.en, _Filling(params)
    if language == "zh":
        text = entry.zh
        # A detail was written in English where it was refused.
        values = _Filling({k: say_in_chinese(v) if isinstance(v, str) else v for k, v in params.items()})
    why = text.why
    if params.get("limit") in _NONE:
        why = (_ONLY_RULE if params.get("actual") in _NONE else _ONLY_ACTUAL).get(why, why)
    return Text(*(line.format_map(values) for line in (text.what, why, text.fix)))


def by_slug(slug: str) -> Entry:
    """Return the entry of a slug; `internal` for one that is not registered."""
    return _BY_SLUG.get(slug) or _BY_SLUG["rpc.internal"]


def by_number(number: int) -> Entry | None:
    """Return the entry of a number."""
    return _BY_NUMBER.get(number)


def by_code(code: int) -> Entry:
    """Return the entry of a stable code of the kernel or of a contract."""
    if USER_ASSERT_BASE <= code <= USER_ASSERT_BASE + ASSERT_CODE_MAX:
        code = Code.ASSERT
    return by_slug(_SLUG_OF_CODE.get(code, "contract.refused"))


def label_of(slug: str) -> str:
    """Return number and slug as the last line of a message shows them."""
    number = OPERATION_NUMBERS.get(slug)
    return slug if number is None else f"E{number:04d} {slug}"


def choose_language(accept_language: str | None) -> str:
    """Choose `zh` or `en` from an Accept-Language header: the first of the two that is named wins."""
    for part in (accept_language or "")[:200].lower().split(","):
        tag = part.split(";")[0].strip()
        if tag.startswith(("zh", "en")):
            return tag[:2]
    return "en"


def _entry(number: int, slug: str, retry: Retry, en: tuple[str, str, str], zh: tuple[str, str, str]) -> Entry:
    return Entry(number, slug, retry, Text(*en), Text(*zh))


def _unknown(number: int, slug: str, en: tuple[str, str, str], zh: tuple[str, str, str]) -> Entry:
    return Entry(number, slug, Retry.SAME, Text(*en), Text(*zh), Outcome.UNKNOWN)


# fmt: off
_RPC: Final = (
    _entry(-32700, "rpc.parse", Retry.CHANGE,
        ("Parse error", "The body is not the JSON that is accepted here: {detail}.",
         "Send strict JSON in UTF-8."),
        ("无法解析", "请求体不是可接受的 JSON：{detail}。", "请发送严格的 UTF-8 JSON。")),
    _entry(-32600, "rpc.invalid_request", Retry.CHANGE,
        ("Invalid Request", "It is not a JSON-RPC 2.0 request: {detail}.",
         "See rpc.discover for every method."),
        ("无效请求", "不是 JSON-RPC 2.0 请求：{detail}。", "用 rpc.discover 查看全部方法。")),
    _entry(-32601, "rpc.no_method", Retry.CHANGE,
        ("Method not found", "There is no method {method}.", "See rpc.discover for every method."),
        ("没有此方法", "没有名为 {method} 的方法。", "用 rpc.discover 查看全部方法。")),
    _entry(-32602, "rpc.bad_params", Retry.CHANGE,
        ("Invalid params", "{detail}.", "Correct the parameter at that path; rpc.discover has the schema."),
        ("参数无效", "{detail}。", "请更正该处参数；rpc.discover 给出格式。")),
    _entry(-32603, "rpc.internal", Retry.LATER,
        ("Internal error", "This node met a fault of its own: {detail}.",
         "Try another node; tell the operator."),
        ("内部错误", "本节点自身出错：{detail}。", "请换一个节点，并告知运营者。")),
    _entry(-32001, "node.not_ready", Retry.LATER,
        ("The node is not ready.", "{detail}.", "Wait for /readyz, or ask another node."),
        ("节点尚未就绪。", "{detail}。", "等待 /readyz 通过，或询问其他节点。")),
    _unknown(-32002, "node.timeout",
        ("The outcome is not known yet.", "No block held the transaction within {waited} ms.",
         "Ask again: coop tx wait {id}. Sending the same transaction again is safe."),
        ("结果尚未知。", "{waited} 毫秒内没有区块包含该交易。",
         "请再次查询：coop tx wait {id}。重发同一交易是安全的。")),
    _entry(-32003, "rpc.too_large", Retry.CHANGE,
        ("The request is too large.", "It has {asked} {unit}; the limit is {limit}.",
         "Split it into several."),
        ("请求过大。", "共 {asked} {unit}，上限 {limit}。", "请分多次发送。")),
    _entry(-32005, "rpc.rate", Retry.LATER,
        ("Too many requests.", "More than {limit} are running for you.", "Wait {wait} ms and send again."),
        ("请求过多。", "您同时进行的请求超过 {limit} 个。", "等待 {wait} 毫秒后重发。")),
    _unknown(-32006, "node.unreachable",
        ("The node stopped while it was asked.", "{detail}.",
         "Ask again in a second; sending the same again is safe."),
        ("节点在询问时停止。", "{detail}。", "一秒后再问；重发同一内容是安全的。")),
)

_CHAIN: Final = (
    _entry(1001, "chain.height_unavailable", Retry.LATER,
        ("There is no such block.", "You asked for {asked}; this node has 1 to {height}.",
         "Ask for a height in that range."),
        ("没有该区块。", "您要的是 {asked}；本节点有 1 到 {height}。", "请在该范围内查询。")),
    _entry(1002, "chain.pruned", Retry.NEVER,
        ("That state is no longer kept.", "You asked for height {asked}; state is kept from {oldest} on.",
         "Ask for a later height, or leave the height out."),
        ("该状态已不再保存。", "您要的高度是 {asked}；状态自 {oldest} 起保存。",
         "请用更新的高度，或不指定高度。")),
    _entry(1003, "chain.too_many_subscriptions", Retry.CHANGE,
        ("Not subscribed.", "A connection holds {limit} subscriptions.",
         "End one, or open another connection."),
        ("未订阅。", "每个连接最多 {limit} 个订阅。", "请取消一个，或另开连接。")),
    _entry(1004, "chain.cursor_too_old", Retry.CHANGE,
        ("The cursor is not usable.", "{asked} is before {oldest}, or beyond the chain.",
         "Start again from {oldest}."),
        ("游标不可用。", "{asked} 早于 {oldest}，或超出链尾。", "请从 {oldest} 重新开始。")),
    _entry(1005, "chain.no_topic", Retry.CHANGE,
        ("Not subscribed.", "There is no topic {topic}.",
         "Use blocks, txs, account:<address>, evidence or migration."),
        ("未订阅。", "没有主题 {topic}。", "请用 blocks、txs、account:<地址>、evidence 或 migration。")),
    _entry(1006, "chain.bad_proof", Retry.NEVER,
        ("The proof does not hold.", "{detail}.", "Do not trust this answer; ask another node."),
        ("证明不成立。", "{detail}。", "不要相信该回答，请询问其他节点。")),
    _entry(1007, "chain.damaged", Retry.LATER,
        ("This node cannot answer: what it stored of block {height} is damaged.", "{detail}.",
         "Ask another gateway; this node fetches the block again. If it stays: coopd db check"),
        ("本节点无法回答：其存储的区块 {height} 的数据已损坏。", "{detail}。",
         "请询问其他网关；本节点会重新获取该区块。若仍如此：coopd db check")),
    _entry(1010, "evidence.known", Retry.NEVER,
        ("The evidence says nothing new.", "{detail}.", "See what is known: coopd validator evidence"),
        ("该证据没有新内容。", "{detail}。", "查看已知证据：coopd validator evidence")),
    _entry(1011, "evidence.wrong", Retry.CHANGE,
        ("The evidence convicts nobody.", "{detail}.",
         "Check that both statements are complete and by the same validator of that epoch."),
        ("该证据不能证明任何人违规。", "{detail}。", "请检查两份声明是否完整，且出自该时期的同一验证者。")),
    _entry(1012, "evidence.too_old", Retry.NEVER,
        ("The evidence is too old to count.", "{detail}.",
         "Show it to the council; the chain does not judge it any more."),
        ("证据已过时效。", "{detail}。", "请提交理事会；链上不再裁定。")),
    _entry(1013, "evidence.full", Retry.LATER,
        ("The node has no room for more evidence now.", "{detail}.", "Send the same again in a few seconds."),
        ("节点暂时无法接收更多证据。", "{detail}。", "几秒后重发同一证据。")),
    _entry(1014, "chain.upgrade_missing", Retry.LATER,
        ("This node lacks contracts that the chain runs.", "{detail}.",
         "Ask another node; its operator must install them and start node and gateway anew."),
        ("本节点缺少该链正在运行的合约。", "{detail}。",
         "请询问其他节点；其运营者须安装合约并重启节点与网关。")),
)

_TX: Final = (
    _entry(1100, "tx.duplicate", Retry.NEVER,
        ("This transaction is already known.", "The same bytes were sent before: {detail}.",
         "Nothing: its first result counts. See: coop tx show {id}"),
        ("该交易已存在。", "相同内容此前已发送：{detail}。", "无需操作，以首次结果为准：coop tx show {id}")),
    _entry(1101, "tx.unknown", Retry.LATER,
        ("There is no such transaction here.", "This node has not seen {id}.",
         "Check the id; if it was just sent: coop tx wait {id}"),
        ("此处没有该交易。", "本节点未见过 {id}。", "请检查编号；如刚发送：coop tx wait {id}")),
    _entry(1102, "tx.not_canonical", Retry.CHANGE,
        ("The transaction cannot be read.", "{detail}.", "Build it again with a current program."),
        ("无法读取该交易。", "{detail}。", "请用最新程序重新生成。")),
    _entry(1103, "tx.bad_signature", Retry.CHANGE,
        ("The signature does not hold.", "{detail}.",
         "Sign again with the key of the account, for this chain."),
        ("签名无效。", "{detail}。", "请用该账户的密钥、针对本链重新签名。")),
    _entry(1105, "tx.wrong_chain", Retry.CHANGE,
        ("The transaction is for another chain.", "{detail}.", "Connect to the right node: coop connect URL"),
        ("该交易属于另一条链。", "{detail}。", "请连接正确的节点：coop connect URL")),
    _entry(1106, "tx.expired", Retry.CHANGE,
        ("The transaction has expired.", "{detail}.", "Sign it again with a later expiry."),
        ("交易已过期。", "{detail}。", "请用更晚的有效期重新签名。")),
    _entry(1107, "tx.nonce_used", Retry.CHANGE,
        ("The transaction's number is already used.", "Another transaction has it: {detail}.",
         "Build it again."),
        ("交易序号已被使用。", "已有其他交易使用：{detail}。", "请重新生成。")),
    _entry(1108, "tx.mempool_full", Retry.LATER,
        ("The node has no room for more transactions now.", "{detail}.",
         "Send the same again in a few seconds."),
        ("节点暂时无法接收更多交易。", "{detail}。", "几秒后重发同一交易。")),
    _entry(1109, "tx.too_large", Retry.CHANGE,
        ("The transaction is too large.", "{detail}.", "Split it into several."),
        ("交易过大。", "{detail}。", "请拆分为多笔。")),
    _entry(1110, "tx.no_quota", Retry.LATER,
        ("Your free quota is used up, and no fee covers the rest.", "{detail}.",
         "Wait until it refills, or offer a fee."),
        ("免费额度已用完，且手续费不足。", "{detail}。", "等待额度恢复，或支付手续费。")),
    _entry(1111, "tx.unknown_method", Retry.CHANGE,
        ("The transaction calls something that does not exist.", "{detail}.",
         "See rpc.discover for what exists."),
        ("交易调用了不存在的功能。", "{detail}。", "用 rpc.discover 查看可用功能。")),
    _entry(1112, "tx.needs_signatures", Retry.CHANGE,
        ("More signatures are needed.", "{detail}.", "Let the other key holders sign the same transaction."),
        ("还需要更多签名。", "{detail}。", "请其他密钥持有人为同一交易签名。")),
    _entry(1113, "tx.nonce_gap", Retry.LATER,
        ("An earlier transaction of yours is missing.", "{detail}.", "Send the missing one first."),
        ("缺少您先前的一笔交易。", "{detail}。", "请先发送缺失的交易。")),
    _entry(1114, "tx.expiry_too_far", Retry.CHANGE,
        ("The expiry is too far ahead.", "{detail}.", "Sign it again with an expiry of a few minutes."),
        ("有效期过长。", "{detail}。", "请用几分钟的有效期重新签名。")),
    _entry(1115, "tx.not_yet", Retry.LATER,
        ("It is too early for this transaction.", "{detail}.", "Send the same again later."),
        ("现在还不能执行该交易。", "{detail}。", "请稍后重发同一交易。")),
    _entry(1120, "program.gas", Retry.CHANGE,
        ("The program used more work than it may.", "limit {limit}, needed {actual} gas.",
         "Raise the gas limit or split it."),
        ("程序用量超限。", "上限 {limit}，需要 {actual}。", "请提高上限或拆分。")),
    _entry(1121, "program.type", Retry.CHANGE,
        ("An argument has the wrong type.", "{detail}.", "Compare with the schema in rpc.discover."),
        ("参数类型不符。", "{detail}。", "请对照 rpc.discover 中的格式。")),
    _entry(1122, "program.limit", Retry.CHANGE,
        ("A limit is exceeded.", "{detail} (limit {limit}, asked {actual}).", "Ask for less."),
        ("超出限制。", "{detail}（上限 {limit}，请求 {actual}）。", "请减少数量。")),
    _entry(1123, "program.version", Retry.CHANGE,
        ("A contract has another version than was signed for.", "{detail}.",
         "Look at the change, then sign again."),
        ("合约版本与签名时不同。", "{detail}。", "请查看变更后重新签名。")),
    _entry(1124, "program.paused", Retry.LATER,
        ("This function is paused.", "{detail}.", "Wait until the pause ends."),
        ("该功能已暂停。", "{detail}。", "请等待恢复。")),
    _entry(1125, "program.assertion", Retry.CHANGE,
        ("A condition that the signer set does not hold.", "{detail} (expected {limit}, found {actual}).",
         "Look at the present values, then sign again."),
        ("签名人设定的条件不成立。", "{detail}（应为 {limit}，实为 {actual}）。",
         "请查看当前数值后重新签名。")),
    _entry(1126, "program.invariant", Retry.NEVER,
        ("The program would break a rule of the books.", "{detail}.",
         "Tell the operator: this should not happen."),
        ("程序将违反账目规则。", "{detail}。", "请告知运营者：本不应发生。")),
    _entry(1127, "program.overflow", Retry.CHANGE,
        ("A number would become too large.", "{detail} (limit {limit}, asked {actual}).",
         "Use a smaller amount."),
        ("数值过大。", "{detail}（上限 {limit}，请求 {actual}）。", "请用较小的金额。")),
    _entry(1130, "auth.bad_address", Retry.CHANGE,
        ("The address is not valid.", "{detail}.", "Copy it again; a typing error is likely."),
        ("地址无效。", "{detail}。", "请重新复制，可能输入有误。")),
    _entry(1131, "auth.grant_exceeded", Retry.CHANGE,
        ("The grant does not allow this.", "{detail} (limit {limit}, asked {actual}).",
         "Stay below its limits."),
        ("授权不允许此操作。", "{detail}（上限 {limit}，请求 {actual}）。", "请不要超出授权。")),
    _entry(1132, "auth.role", Retry.CHANGE,
        ("You may not do this.", "It needs a role or authority that the signers do not have: {detail}.",
         "Ask somebody who has it."),
        ("您无权执行此操作。", "签名人没有所需的职责或权限：{detail}。", "请联系有权限的人。")),
)

_MONEY: Final = (
    _entry(1210, "ledger.funds", Retry.CHANGE,
        ("There is not enough money.", "The account can give {limit}, you asked for {actual}.",
         "Use a smaller amount, or pay in first. See: coop me"),
        ("余额不足。", "账户可用 {limit}，您要 {actual}。", "请减少金额或先存入。查看：coop me")),
    _entry(1230, "ledger.no_account", Retry.CHANGE,
        ("There is no such account.", "{detail}.", "Check the address and the asset."),
        ("没有该账户。", "{detail}。", "请检查地址和资产。")),
    _entry(1231, "ledger.frozen", Retry.LATER,
        ("The account is frozen.", "{detail}.", "Ask the co-operative why."),
        ("账户已冻结。", "{detail}。", "请向合作社询问原因。")),
    _entry(1232, "ledger.closed", Retry.NEVER,
        ("The account is closed.", "{detail}.", "Use another account."),
        ("账户已关闭。", "{detail}。", "请使用其他账户。")),
    _entry(1233, "ledger.asset", Retry.CHANGE,
        ("The asset does not fit.", "{detail}.", "Check the currency."),
        ("资产不符。", "{detail}。", "请检查币种。")),
    _entry(1234, "ledger.hold_state", Retry.NEVER,
        ("The hold is already settled.", "{detail}.", "See its first result."),
        ("该冻结款已结清。", "{detail}。", "请查看首次结果。")),
    _entry(1235, "ledger.hold_expired", Retry.NEVER,
        ("The hold has expired.", "{detail}.", "Make a new one."),
        ("该冻结款已过期。", "{detail}。", "请重新建立。")),
    _entry(1236, "ledger.exceeds_hold", Retry.CHANGE,
        ("More is asked than the hold has.", "It has {limit}, you asked for {actual}.",
         "Use a smaller amount."),
        ("超过冻结金额。", "冻结 {limit}，您要 {actual}。", "请减少金额。")),
    _entry(1237, "ledger.exceeds_debits", Retry.CHANGE,
        ("More is paid back than is owed.", "Owed are {limit}, you asked for {actual}.",
         "Use a smaller amount."),
        ("还款超过欠款。", "欠款 {limit}，您要 {actual}。", "请减少金额。")),
    _entry(1238, "ledger.same_account", Retry.CHANGE,
        ("Payer and receiver are the same account.", "{detail}.", "Name another receiver."),
        ("付款与收款为同一账户。", "{detail}。", "请换一个收款人。")),
    _entry(1600, "contract.refused", Retry.CHANGE,
        ("A contract refused.", "{detail} (code {code}, limit {limit}, asked {actual}).",
         "See the contract's rules in the documentation."),
        ("合约拒绝。", "{detail}（代码 {code}，上限 {limit}，请求 {actual}）。", "请查看文档中的合约规则。")),
    _entry(1900, "rpc.not_allowed", Retry.CHANGE,
        ("This is not allowed from here.", "{detail}.", "Use the node's own machine, or its token."),
        ("不允许从此处操作。", "{detail}。", "请在节点所在机器上操作，或使用令牌。")),
    _entry(1202, "rpc.not_yours", Retry.CHANGE,
        ("You may not see this here.", "{method} shows rows of members, and the books are not public.",
         "Sign in as the member whose rows they are, or ask on the node's own machine."),
        ("您无权在此查看。", "{method} 显示社员的账目，而本社账簿不公开。",
         "请以该社员身份登录，或在节点所在机器上查询。")),
    _entry(1910, "signin.malformed", Retry.CHANGE,
        ("The sign-in cannot be read.", "It is no proof in the form that this gateway takes.",
         "Sign in again with a current version of coop."),
        ("无法读取登录凭证。", "其格式不是本网关接受的凭证。", "请用当前版本的 coop 重新登录。")),
    _entry(1911, "signin.signature", Retry.NEVER,
        ("The sign-in is not signed by its key.", "Its signature does not match what it says.",
         "Sign in again."),
        ("登录凭证的签名不符。", "签名与其内容不一致。", "请重新登录。")),
    _entry(1912, "signin.other_chain", Retry.CHANGE,
        ("The sign-in is for another chain.", "It names another genesis than this gateway serves.",
         "Check the address of the gateway: coop connect URL"),
        ("登录凭证属于另一条链。", "其创世标识与本网关不同。", "请检查网关地址：coop connect URL")),
    _entry(1913, "signin.other_host", Retry.CHANGE,
        ("The sign-in is for another gateway.", "It was signed for {signed}, and this is {host}.",
         "Sign in at this gateway by its own name."),
        ("登录凭证属于另一个网关。", "其签署对象为 {signed}，此处为 {host}。", "请以本网关的名称登录。")),
    _entry(1914, "signin.expired", Retry.CHANGE,
        ("The sign-in is over.", "It held until {expires}, and it is {now} (seconds since 1970).",
         "Sign in again; check the clock of this machine."),
        ("登录已过期。", "有效至 {expires}，现在是 {now}（自 1970 年起的秒数）。",
         "请重新登录，并检查本机时钟。")),
    _entry(1915, "signin.too_long", Retry.CHANGE,
        ("The sign-in would hold too long.", "It ends {asked} seconds from now, and {limit} are the most.",
         "Sign in for a shorter time; check the clock of this machine."),
        ("登录有效期过长。", "距到期还有 {asked} 秒，上限为 {limit} 秒。", "请缩短有效期，并检查本机时钟。")),
    _entry(1916, "signin.wrong_key", Retry.CHANGE,
        ("The key is none of this account's.", "The account's policy now does not name the key that signed.",
         "Sign in with a key of the account; after a rotation with the new one."),
        ("该密钥不属于此账户。", "账户现行的签名策略不含所用密钥。",
         "请用账户的密钥登录；更换密钥后请用新密钥。")),
)

_REGISTRY: Final = (
    _entry(1801, "registry.change_pending", Retry.LATER,
        ("Nothing was decided: another change of epoch is decided already.",
         "One change at a time; that one seals at block {actual}.",
         "Wait for it, or cancel it: coopd consensus migrate cancel"),
        ("未作决定：已有另一项纪元变更。", "同一时间只能有一项变更；该变更在区块 {actual} 封存。",
         "请等待，或取消：coopd consensus migrate cancel")),
    _entry(1802, "registry.no_change", Retry.NEVER,
        ("Nothing was cancelled: no change of epoch is decided.", "{detail}.",
         "See: coopd consensus status"),
        ("未取消：没有已决定的纪元变更。", "{detail}。", "查看：coopd consensus status")),
    _entry(1803, "registry.too_few", Retry.CHANGE,
        ("Nothing was decided: BFT needs more validators.", "At least {limit}; this change has {actual}.",
         "Add operators that are ready: --add NAME"),
        ("未作决定：BFT 需要更多验证者。", "至少 {limit} 个；本次变更有 {actual} 个。",
         "加入已就绪的运营者：--add NAME")),
    _entry(1804, "registry.not_ready", Retry.LATER,
        ("A validator is not ready.", "It must say so under its key {actual}, within {limit} blocks.",
         "On its node: coopd validator ready"),
        ("有验证者尚未就绪。", "须由密钥 {actual} 在 {limit} 个区块内声明。",
         "在该节点上执行：coopd validator ready")),
    _entry(1805, "registry.twice", Retry.CHANGE,
        ("Nothing was decided: somebody would certify twice.", "{detail}.",
         "Name each operator, key and node once."),
        ("未作决定：有人会重复签证。", "{detail}。", "每个运营者、密钥和节点只写一次。")),
    _entry(1806, "registry.other_key", Retry.CHANGE,
        ("The keys do not belong together.", "{detail}: {actual}.",
         "Say it on the node itself, which has both keys: coopd validator ready"),
        ("密钥不相符。", "{detail}：{actual}。", "请在持有两把密钥的节点上执行：coopd validator ready")),
    _entry(1807, "registry.pause_terms", Retry.CHANGE,
        ("The pause was refused.", "{detail}: the limit is {limit}, asked were {actual}.",
         "Pause for less, or wait until seven days have passed."),
        ("暂停被拒绝。", "{detail}：上限 {limit}，请求 {actual}。", "请缩短时间，或等满七天。")),
    _entry(1808, "registry.not_paused", Retry.NEVER,
        ("Nothing was resumed: it is not paused.", "{detail}: method {actual}.",
         "See the query registry.paused."),
        ("未恢复：该功能没有暂停。", "{detail}：方法 {actual}。", "查看 registry.paused。")),
    _entry(1809, "registry.seal_terms", Retry.CHANGE,
        ("The change cannot seal then.", "{detail}: the limit is {limit}, asked was {actual}.",
         "Choose another --delay or --at-height, or leave them out."),
        ("不能在该时刻封存。", "{detail}：界限 {limit}，请求 {actual}。",
         "请另选 --delay 或 --at-height，或不指定。")),
    _entry(1810, "registry.engine_unsupported", Retry.LATER,
        ("The software of a validator lacks the engine.", "{detail}: {actual}.",
         "Upgrade its node, then there: coopd validator ready"),
        ("有验证者的软件不支持该引擎。", "{detail}：{actual}。",
         "升级该节点，然后执行：coopd validator ready")),
    _entry(1811, "registry.no_parameter", Retry.CHANGE,
        ("There is no such parameter.", "{detail}: {actual}.", "See: coopd params ls"),
        ("没有此参数。", "{detail}：{actual}。", "查看：coopd params ls")),
    _entry(1812, "registry.out_of_bounds", Retry.CHANGE,
        ("The value is outside its bounds.", "{detail}: the bound is {limit}, asked was {actual}.",
         "See the bounds: coopd params ls"),
        ("数值超出范围。", "{detail}：界限 {limit}，请求 {actual}。", "查看范围：coopd params ls")),
    _entry(1813, "registry.founding_only", Retry.NEVER,
        ("The parameter is fixed since the founding.", "{detail}: {actual}.",
         "Nothing: it cannot change on this chain."),
        ("该参数自创立起固定。", "{detail}：{actual}。", "无法更改：本链上不可变。")),
    _entry(1814, "registry.height_terms", Retry.CHANGE,
        ("It cannot count from that height.", "{detail}: the limit is {limit}, asked was {actual}.",
         "Choose another height, or 0 for the soonest."),
        ("不能从该高度生效。", "{detail}：界限 {limit}，请求 {actual}。", "请另选高度，或用 0 表示最早。")),
    _entry(1815, "registry.same_version", Retry.NEVER,
        ("Nothing was decided: that version is not newer.", "Version {limit} runs; asked was {actual}.",
         "Name a higher version."),
        ("未作决定：该版本并不更新。", "现行版本 {limit}，请求 {actual}。", "请写更高的版本。")),
    _entry(1816, "registry.suspended", Retry.CHANGE,
        ("A validator is suspended.", "{detail}: {actual}.", "See: coopd validator evidence"),
        ("有验证者已被中止。", "{detail}：{actual}。", "查看：coopd validator evidence")),
    _entry(1817, "registry.not_suspended", Retry.NEVER,
        ("Nothing stands against the operator.", "{detail}: {actual}.",
         "See: coopd validator evidence"),
        ("该运营者没有不良记录。", "{detail}：{actual}。", "查看：coopd validator evidence")),
    _entry(1818, "registry.no_upgrade", Retry.LATER,
        ("No such upgrade is decided.", "{detail}: {actual}.", "See the query registry.upgrades."),
        ("没有已决定的此项升级。", "{detail}：{actual}。", "查看 registry.upgrades。")),
    _entry(1819, "registry.no_validator", Retry.NEVER,
        ("Only a validator of the present epoch can say that.", "{detail}: {actual}.",
         "Say it on a node that certifies now."),
        ("只有本纪元的验证者可以声明。", "{detail}：{actual}。", "请在当前签证的节点上声明。")),
    _entry(1820, "registry.upgrade_pending", Retry.LATER,
        ("Another version of the contract is decided already.", "Version {actual} waits.",
         "Wait for it, or cancel it first."),
        ("该合约已有另一版本待生效。", "版本 {actual} 正在等待。", "请等待，或先取消。")),
    _entry(1821, "registry.not_a_plugin", Retry.NEVER,
        ("Nothing was decided: only the running contract of a plugin can be taken out.",
         "Their numbers begin with {limit}; asked was {actual}.", "See: coopd contract ls"),
        ("未作决定：只能移除正在运行的插件合约。", "其编号从 {limit} 起，请求 {actual}。",
         "查看：coopd contract ls")),
    _entry(1822, "registry.still_holds", Retry.LATER,
        ("Nothing was decided: the contract still has money or jobs.", "{detail}: {actual}.",
         "Pay out or move what it holds and cancel its jobs, by its own methods."),
        ("未作决定：该合约仍有资金或作业。", "{detail}：{actual}。", "请先用其自身方法付清资金并取消作业。")),
    _entry(1823, "registry.way_back", Retry.NEVER,
        ("Nothing was decided: the way back from BFT to Raft has a door of its own.", "{detail}: {actual}.",
         "Use registry.return_to_raft and registry.cancel_return for it, and for nothing else."),
        ("未作决定：从 BFT 退回 Raft 须走专门的入口。", "{detail}：{actual}。",
         "请只为此使用 registry.return_to_raft 与 registry.cancel_return。")),
    _entry(1824, "registry.for_members", Retry.NEVER,
        ("This is for members to decide; the council has no part in it.", "{detail}: {actual}.",
         "Propose it to the members: coop propose"),
        ("此事由社员决定，理事会无权处理。", "{detail}：{actual}。", "请向社员提案：coop propose")),
)

OPERATION_NUMBERS: Final = {
    "config.unreadable": 101, "config.unknown_key": 102, "config.bad_value": 103,
    "genesis.missing": 104, "genesis.malformed": 105, "genesis.other": 106,
    "sign_state.missing": 107, "sign_state.locked": 108, "sign_state.damaged": 109,
    "sign_state.other_key": 110, "sign_state.double_sign": 111, "sign_state.exists": 112,
    "sign_state.unwritable": 113, "sign_state.elsewhere": 114, "safety.damaged": 115,
    "safety.other_version": 116, "sign_state.other_version": 117,
    "store.missing": 120, "store.exists": 121, "store.locked": 122, "store.newer": 123, "store.older": 124,
    "store.foreign": 125, "store.disk_low": 126, "store.map_full": 127, "store.broken": 128,
    "snapshot.missing": 190, "snapshot.damaged": 191, "snapshot.unavailable": 192, "snapshot.other": 193,
    "store.block_damaged": 129, "store.readers_full": 130, "store.reader_stuck": 131,
    "store.state_damaged": 132, "store.row_damaged": 133,
    "net.listen": 140, "ipc.socket": 141, "ipc.unreachable": 142, "gateway.no_token": 143,
    "gateway.token_mode": 144,
    "key.missing": 150, "key.exists": 151, "key.name": 152, "key.mode": 153, "key.disk": 154,
    "key.malformed": 155, "key.passphrase": 156, "key.wrong_passphrase": 157,
    "memo.readers": 164, "memo.too_long": 165, "memo.damaged": 166,
    "papers.missing": 220, "papers.damaged": 221, "papers.too_large": 222, "papers.number": 223,
    "papers.pepper": 224, "papers.disk": 225,
    "phrase.word_count": 160, "phrase.word": 161, "phrase.checksum": 162,
    "localnet.exists": 170, "localnet.missing": 171, "localnet.nodes": 172, "localnet.ports": 173,
    "localnet.no_node": 174, "localnet.not_running": 175, "localnet.stuck": 176,
    "upgrade.missing": 177,
    "plugin.missing": 200, "plugin.version": 201, "plugin.malformed": 202, "plugin.refused": 203,
    "plugin.clash": 204,
    "restart.refused": 210, "restart.no_key": 211, "restart.unreadable": 212,
    "load.no_members": 180, "load.no_gateway": 181, "load.stalled": 182,
}
"""Numbers of what our own machine can fail with; the lines stand where they are raised, their Chinese is
`catalog_shell.py`."""
# fmt: on

_SLUG_OF_CODE: Final[dict[int, str]] = {
    Code.EXISTS: "tx.duplicate",
    Code.GAS: "program.gas",
    Code.MALFORMED: "tx.not_canonical",
    Code.TYPE: "program.type",
    Code.LIMIT: "program.limit",
    Code.UNKNOWN_METHOD: "tx.unknown_method",
    Code.VERSION_PIN: "program.version",
    Code.PAUSED: "program.paused",
    Code.ASSERT: "program.assertion",
    Code.INVARIANT: "program.invariant",
    Code.OVERFLOW: "program.overflow",
    Code.NOT_CANONICAL: "tx.not_canonical",
    Code.WRONG_CHAIN: "tx.wrong_chain",
    Code.BAD_ADDRESS: "auth.bad_address",
    Code.INVALID_BLOCK: "chain.bad_proof",
    Code.BAD_PROOF: "chain.bad_proof",
    Code.BAD_SIG: "tx.bad_signature",
    Code.POLICY_UNMET: "tx.needs_signatures",
    Code.NONCE_USED: "tx.nonce_used",
    Code.NONCE_GAP: "tx.nonce_gap",
    Code.EXPIRED: "tx.expired",
    Code.NOT_YET: "tx.not_yet",
    Code.NO_QUOTA: "tx.no_quota",
    Code.GRANT_EXCEEDED: "auth.grant_exceeded",
    Code.ROLE: "auth.role",
    Code.EXPIRY_TOO_FAR: "tx.expiry_too_far",
    Code.TOO_LARGE: "tx.too_large",
    Code.FULL: "tx.mempool_full",
    Code.NO_ACCOUNT: "ledger.no_account",
    Code.FUNDS: "ledger.funds",
    Code.FROZEN: "ledger.frozen",
    Code.CLOSED: "ledger.closed",
    Code.ASSET: "ledger.asset",
    Code.HOLD_STATE: "ledger.hold_state",
    Code.HOLD_EXPIRED: "ledger.hold_expired",
    Code.EXCEEDS_HOLD: "ledger.exceeds_hold",
    Code.EXCEEDS_DEBITS: "ledger.exceeds_debits",
    Code.SAME_ACCOUNT: "ledger.same_account",
    401: "registry.change_pending",
    402: "registry.no_change",
    403: "registry.too_few",
    404: "registry.not_ready",
    405: "registry.twice",
    406: "registry.other_key",
    407: "registry.pause_terms",
    408: "registry.not_paused",
    409: "registry.seal_terms",
    410: "registry.engine_unsupported",
    411: "registry.no_parameter",
    412: "registry.out_of_bounds",
    413: "registry.founding_only",
    414: "registry.height_terms",
    415: "registry.same_version",
    416: "registry.suspended",
    417: "registry.not_suspended",
    418: "registry.no_upgrade",
    419: "registry.no_validator",
    420: "registry.upgrade_pending",
    421: "registry.not_a_plugin",
    422: "registry.still_holds",
    423: "registry.way_back",
    424: "registry.for_members",
}

_CONTRACTS: Final = tuple(
    _entry(
        code,
        slug,
        Retry[retry],
        (what_en, _RULE_EN, fix_en),
        (what_zh, _RULE_ZH, fix_zh),
    )
    for code, slug, retry, what_en, fix_en, what_zh, fix_zh in CONTRACT_TEXTS
)
_SLUG_OF_CODE.update({entry.number: entry.slug for entry in _CONTRACTS})

ENTRIES: Final = (*_RPC, *_CHAIN, *_TX, *_MONEY, *_REGISTRY, *_CONTRACTS)
_BY_SLUG: Final = {entry.slug: entry for entry in ENTRIES}
_BY_NUMBER: Final = {entry.number: entry for entry in ENTRIES}
