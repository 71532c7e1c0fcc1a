"""What our own machine says when it cannot go on, in Chinese: one line for each English sentence.

The English stands where it is raised (`OperationError`, `Failure`), beside the code that it explains; here
it is the key, as in a gettext catalogue. `{}` stands for a value. A value, a part before a colon and a
sentence with its full stop are looked up in the same way, so a reason that one function hands to another
is found, too. What is not here stays as it is. `tests/node/test_catalog_shell.py` finds every sentence that
is raised and has no line.
"""

import re
from functools import cache
from typing import Final

from node.catalog_cli import COMMAND_SENTENCES

SENTENCES: Final = (
    # Words and joints
    ("{}: {}", "{}：{}"),
    ("rule: {}", "规则：{}"),
    ("rule {}", "规则 {}"),
    ("none", "无"),
    ("nobody", "无人"),
    ("nothing", "无"),
    ("try again", "请重试"),
    ("check it", "请核对"),
    ("choose one", "请选一个"),
    ("name one of them", "请从中指定一个"),
    ("use one of them", "请用其中之一"),
    ("one of {}", "{} 之一"),
    ("there are: {}", "现有：{}"),
    ("it has: {}", "可用：{}"),
    ("the nodes are: {}", "节点有：{}"),
    ("this chain has: {}", "本链有：{}"),
    ("{} is missing", "{} 不存在"),
    ("{} cannot be read", "无法读取 {}"),
    ("{} exists", "{} 已存在"),
    ("as in: {}", "例如：{}"),
    ("see: {}", "请看：{}"),
    ("waited {} s", "已等待 {} 秒"),
    ("choose another name", "请换一个名字"),
    ("choose another number", "请换一个数"),
    ("{}: [Errno 2] No such file or directory", "{}：[Errno 2] 没有这个文件或文件夹"),
    ("{} or {}", "{} 或 {}"),
    ("use {}", "请用 {}"),
    ("{}; waited {} s", "{}；已等待 {} 秒"),
    ("the closest: {}", "相近的有：{}"),
    ("number {}", "编号 {}"),
    ("Nothing was signed", "没有签名"),
    ("Nothing was exported", "没有导出"),
    ("Nothing was asked", "没有查询"),
    ("Nothing was paid", "没有付款"),
    ("Nothing was sent", "没有发送"),
    ("No key was saved", "没有保存密钥"),
    *COMMAND_SENTENCES,
    # The node: settings, network, plugins
    ("The setting {} is not accepted", "设置 {} 不被接受"),
    ("{} says {}; it must be {}", "{} 写的是 {}；应为 {}"),
    ("correct it, or remove it to take the default", "请更正，或删除以用默认值"),
    ("it has {} bytes, limit {}", "它有 {} 字节，上限 {}"),
    ("check that it is the right file", "请确认是正确的文件"),
    ("check owner and mode of {}", "请检查 {} 的所有者和权限"),
    ("{} is not TOML", "{} 不是 TOML"),
    ("correct that line", "请更正该行"),
    ("The setting {} is not known", "未知的设置 {}"),
    ("{} has it", "出现在 {}"),
    ("remove it, or see: {}", "请删除，或查看：{}"),
    ("The passphrase of the keys of this node cannot be read", "无法读取本节点的密钥口令"),
    ("check the setting passphrase_file", "请检查设置 passphrase_file"),
    (
        "Node did not start: the record of what this validator promised cannot be read",
        "节点未启动：无法读取此验证者的承诺记录",
    ),
    ("{}: it is unknown which block it stands behind", "{}：不知它支持哪个区块"),
    (
        "check the disk; then run the node without validating, and give the validator a new key",
        "请检查磁盘；然后以不验证方式运行节点，并为验证者换新密钥",
    ),
    (
        "Node did not start: another version of this program wrote what this validator promised",
        "节点未启动：此验证者的承诺由另一版本写成",
    ),
    ("the record is of version {}, this program reads {}", "记录为版本 {}，本程序读取版本 {}"),
    (
        "run the version that wrote it until its epoch has ended, or give this one a new key",
        "请运行写它的版本直到纪元结束，或换新密钥",
    ),
    (
        "Node stopped: the next block needs another version of a contract",
        "节点停止：下一区块需要另一版本的合约",
    ),
    (
        "the co-operative decided contract {}; this node, {}, does not have just that",
        "合作社决定了合约 {}；本节点 {} 没有该版本",
    ),
    (
        "install it (a plugin must also stand in the setting plugins), then start the node: it goes on",
        "请安装它（插件还须写入设置 plugins），再启动节点，即可继续",
    ),
    ("start it with: {}, or name its data folder with --home", "请启动：{}，或用 --home 指定数据文件夹"),
    ("The socket {} could not be made", "无法建立套接字 {}"),
    (
        "check that the data folder is writable and its path shorter than 100 characters",
        "请确认数据文件夹可写，且路径短于 100 个字符",
    ),
    ("The node cannot listen on {}", "节点无法监听 {}"),
    ("its address", "其地址"),
    (
        "The port is taken by another program, or the address is not of this machine",
        "端口被其他程序占用，或地址不属于本机",
    ),
    (
        "Stop the other program, or set another listen address in the configuration",
        "请停止该程序，或在配置中换一个监听地址",
    ),
    ("Contract {} in version {} is not here", "这里没有合约 {} 的版本 {}"),
    ("the setting plugins names: {}", "设置 plugins 中有：{}"),
    ("install its package, and name it in the settings; see: {}", "请安装其软件包，并写入设置；参见：{}"),
    ("The plugin was not tried: {} ended with {}", "插件未经检验：{} 以 {} 结束"),
    (
        "name an interpreter that has coincurve and msgpack, or correct the plugin",
        "请指定装有 coincurve 和 msgpack 的解释器，或更正插件",
    ),
    ("The plugin {} cannot be used", "插件 {} 不可用"),
    ("see docs/plugins.md, or take it out of the settings", "请看 docs/plugins.md，或从设置中去掉"),
    ("The plugin {} is not of the version that is wanted", "插件 {} 的版本不符"),
    ("the setting plugins says {}; {} is installed", "设置 plugins 写的是 {}；已安装 {}"),
    (
        "install that version, or name this one: a plugin is always named with its version",
        "请安装该版本，或改写为已有版本：插件须连同版本指定",
    ),
    ("The plugin {} is not installed", "插件 {} 没有安装"),
    (
        "the setting plugins names it, and this Python does not find it",
        "设置 plugins 中有它，但此 Python 找不到",
    ),
    ("install it into {}, or take it out of the settings", "请装入 {}，或从设置中去掉"),
    ("The plugin {} is refused: it breaks {} rules for plugins", "拒绝插件 {}：它违反 {} 条插件规则"),
    (
        "have its author correct it: coopd contract check shows all of it",
        "请作者更正：coopd contract check 列出全部",
    ),
    ("Two contracts of this node have one number or one name", "本节点有两个合约编号或名称相同"),
    (
        "contract {}, {}, version {} is there twice, or is {} already",
        "合约 {}、{}、版本 {} 出现两次，或已是 {}",
    ),
    ("take one of the plugins out of the settings", "请从设置中去掉其中一个插件"),
    (
        "The gateway did not start: it would be open to the network without a token",
        "网关未启动：没有令牌就会对网络开放",
    ),
    ("gateway_host is {}, and {} is missing", "gateway_host 为 {}，而 {} 不存在"),
    ("make one with: {}, or set gateway_host to 127.0.0.1", "请生成：{}，或将 gateway_host 设为 127.0.0.1"),
    (
        "The gateway did not start: other people of this machine can read its token",
        "网关未启动：本机其他人可读其令牌",
    ),
    ("{} has mode {}", "{} 的权限为 {}"),
    ("chmod 600 {}, or make a new one: {}", "请执行 chmod 600 {}，或重新生成：{}"),
    ("The gateway did not start: its token cannot be read", "网关未启动：无法读取令牌"),
    # Signing record, snapshots, database, genesis
    ("The signer refused to sign a {}", "签名器拒绝签署 {}"),
    ("{}: signing could prove that this operator cheats", "{}：签名会证明此运营者作弊"),
    ("this key may sign above height {} only", "此密钥只可在高度 {} 以上签名"),
    ("it has signed {}, which is later", "它已签署 {}，更靠后"),
    ("it has signed something else there", "它在该处已签署别的内容"),
    (
        "let the node run without voting, and find out whether its database was set back or its "
        "key is in use elsewhere",
        "请让节点不投票运行，并查明数据库是否被回退、密钥是否在别处使用",
    ),
    ("The signer is silent", "签名器保持沉默"),
    (
        "find the other machine that has this key and stop it; then start this node again, or give "
        "the validator a new key",
        "请找到持有此密钥的另一台机器并停止；再启动本节点，或换新密钥",
    ),
    ("The signing record in {} cannot be written", "无法写入 {} 中的签名记录"),
    ("an earlier write failed, or the record is closed", "先前写入失败，或记录已关闭"),
    ("check the disk, then start the node again", "请检查磁盘，再启动节点"),
    (
        "The signing record in {} was written by another version of this program",
        "{} 中的签名记录由另一版本写成",
    ),
    ("its form is not the one that this program reads", "其格式不是本程序所读的"),
    (
        "run the version that wrote it, or give the validator a new key",
        "请运行写它的版本，或为验证者换新密钥",
    ),
    ("The signing record in {} cannot be read", "无法读取 {} 中的签名记录"),
    ("The signing record {} cannot be read", "无法读取签名记录 {}"),
    ("look for it", "请查找"),
    (
        "neither of its two copies has a correct checksum: it is unknown what this key has signed",
        "两份副本的校验和都不对：不知此密钥签过什么",
    ),
    (
        "check the disk; then give the validator a new key, or adopt this one above the last height",
        "请检查磁盘；然后换新密钥，或在最后高度之上启用此密钥",
    ),
    ("Another process signs with the record in {}", "另一进程正用 {} 中的记录签名"),
    ("two signers of one key would contradict each other", "同一密钥的两个签名者会互相矛盾"),
    ("stop the other node", "请停止另一节点"),
    ("There is a signing record in {} already", "{} 中已有签名记录"),
    ("beginning a new one would forget what this key has signed", "新建会忘记此密钥签过什么"),
    ("use the one that is there", "请使用现有的"),
    ("This key has no signing record in {}", "此密钥在 {} 中没有签名记录"),
    (
        "starting without it could sign two different blocks at one height",
        "没有记录就启动，可能在同一高度签署两个区块",
    ),
    (
        "if no other copy of the key runs anywhere: {}, with the last height of the network",
        "若确无此密钥的其他副本在运行：{}，其中填网络的最后高度",
    ),
    ("The signing record in {} is of another key", "{} 中的签名记录属于另一密钥"),
    ("each key has a record of its own", "每个密钥有自己的记录"),
    ("name the key that belongs to this data folder", "请指定属于此数据文件夹的密钥"),
    ("This is not the snapshot that you trust", "这不是您信任的快照"),
    ("height {} has block {} here", "此处高度 {} 的区块是 {}"),
    (
        "take another copy, and ask other operators for the id of that block",
        "请另取一份，并向其他运营者询问该区块的标识",
    ),
    ("The snapshot of height {} is not what it says it is", "高度 {} 的快照与其声明不符"),
    ("do not use it; make a new one: {}, or take another copy", "请勿使用；重新制作：{}，或另取一份"),
    ("its manifest: {}", "其清单：{}"),
    ("its anchor: {}", "其锚：{}"),
    ("There is no snapshot of height {}", "没有高度 {} 的快照"),
    ("{} has: {}", "{} 中有：{}"),
    ("list them: {}, or make one: {}", "列出：{}，或制作：{}"),
    ("No snapshot was made of height {}", "没有制作高度 {} 的快照"),
    (
        "the chain ends at {}, and states are kept from height {} on; genesis needs no snapshot",
        "链止于 {}，状态自高度 {} 起保存；创世无需快照",
    ),
    ("choose a height in between, or none for the newest", "请选其间的高度，或不填以取最新"),
    ("The node stopped writing: the disk is almost full", "节点停止写入：磁盘将满"),
    ("{} MiB are free for {}, {} MiB are needed", "{1} 剩余 {0} MiB，需要 {2} MiB"),
    ("free some space; the node goes on by itself", "请腾出空间；节点会自行继续"),
    ("The database in {} was written by a newer version of this program", "{} 中的数据库由更新的版本写成"),
    ("it has schema {}, this version knows schemas up to {}", "其结构为 {}，本版本最高支持 {}"),
    (
        "run the newer version again, or start from a backup of the older one",
        "请运行较新版本，或从旧版本的备份开始",
    ),
    ("The database in {} was written by an older version of this program", "{} 中的数据库由较旧的版本写成"),
    (
        "it has schema {}, this version needs {} and has no way to convert it",
        "其结构为 {}，本版本需要 {}，且无法转换",
    ),
    ("let the node fetch the chain again into a new data folder", "请让节点把链重新取入新的数据文件夹"),
    ("The database has no place for another reader", "数据库已无读者空位"),
    ("{} readers are at work", "有 {} 个读者在工作"),
    ("try again; if it stays, start the node again", "请重试；若仍如此，请重启节点"),
    ("There is no database in {}", "{} 中没有数据库"),
    ("this node was not set up, or its data folder is another one", "此节点未设置，或数据文件夹不对"),
    ("set the node up first, or name its data folder", "请先设置节点，或指定数据文件夹"),
    ("Another process works on the database in {}", "另一进程正使用 {} 中的数据库"),
    ("two writers would destroy it", "两个写者会毁坏它"),
    (
        "stop the other node, or give this one a data folder of its own",
        "请停止另一节点，或给本节点单独的数据文件夹",
    ),
    ("There is a database in {} already", "{} 中已有数据库"),
    ("creating a new one would overwrite the chain", "新建会覆盖现有的链"),
    ("use the one that is there, or choose another folder", "请使用现有的，或另选文件夹"),
    ("Node did not start: the data folder holds another chain", "节点未启动：数据文件夹中是另一条链"),
    ("{} is not the genesis of {}", "{} 不是 {} 的创世"),
    ("use a data folder of its own for each chain", "每条链请用单独的数据文件夹"),
    ("Node did not start: it has no chain", "节点未启动：没有链"),
    (
        "copy genesis.bin of the co-op there, or found a local one: {}",
        "请把合作社的 genesis.bin 复制到该处，或建本地链：{}",
    ),
    ("Node did not start: its genesis cannot be read", "节点未启动：无法读取创世"),
    ("copy genesis.bin of the co-op there again", "请重新复制合作社的 genesis.bin"),
    (
        "The node stops: its books on disk are not those that were committed",
        "节点停止：磁盘上的账目与已提交的不符",
    ),
    ("state at height {}: {}; bytes changed on the disk", "高度 {} 的状态：{}；磁盘字节已改变"),
    (
        "check the disk, move the folder `store` away, and start again: the chain comes from the peers",
        "请检查磁盘，移走文件夹 `store`，再启动：链会从其他节点取得",
    ),
    # Keys, phrases, memos
    ("There is no key named {}", "没有名为 {} 的密钥"),
    ("{} holds: {}", "{} 中有：{}"),
    ("name one of them, or: {}", "请从中指定一个，或：{}"),
    ("No key was destroyed", "没有销毁密钥"),
    ("the two passphrases differ", "两次口令不同"),
    ("the passphrase is empty", "口令为空"),
    ("choose a passphrase", "请设定口令"),
    ("The key {} was not opened", "密钥 {} 没有打开"),
    ("it is sealed", "它已加密"),
    ("give its passphrase", "请给出口令"),
    ("{} exists, and a key is never overwritten", "{} 已存在，密钥从不覆盖"),
    ("This cannot be the name of a key", "这不能作密钥名"),
    (
        "a name has 1 to {} characters of a-z, 0-9, - and _, not - or _ first",
        "名字为 1 到 {} 个 a-z、0-9、- 或 _ 字符，不以 - 或 _ 开头",
    ),
    (
        "{} has mode {}: other people of this machine can reach the key",
        "{} 的权限为 {}：本机其他人可接触密钥",
    ),
    ("The key was not touched", "没有动用密钥"),
    ("chmod {} {}", "请执行 chmod {} {}"),
    ("Could not {}", "无法 {}"),
    ("destroy the key {}", "销毁密钥 {}"),
    ("save the key {}", "保存密钥 {}"),
    ("read the key {}", "读取密钥 {}"),
    ("check the path, its owner and the space left", "请检查路径、所有者和剩余空间"),
    ("the disk", "磁盘"),
    ("The key file cannot be read", "无法读取密钥文件"),
    ("restore the file, or recover the key", "请恢复文件，或找回密钥"),
    ("restore the file, or recover the key from its phrase", "请恢复文件，或用助记词找回密钥"),
    ("its public key is not that of its secret key", "公钥与私钥不符"),
    ("it is no key file of this program", "不是本程序的密钥文件"),
    ("it is no regular file", "不是普通文件"),
    ("it is longer than {} bytes", "长于 {} 字节"),
    ("its public key is none", "公钥无效"),
    ("what it holds is no secret key", "其内容不是私钥"),
    ("a field is not hexadecimal", "有字段不是十六进制"),
    ("a field has the wrong length", "有字段长度不对"),
    ("The key was not opened", "密钥没有打开"),
    ("the passphrase does not fit this key, or the file was changed", "口令不符，或文件已被改动"),
    (
        "try again; without the passphrase, recover the key from its phrase",
        "请重试；没有口令时请用助记词找回",
    ),
    (
        "it is no Web3 Secret Storage document of version 3 with aes-128-ctr",
        "不是 Web3 Secret Storage 第 3 版 aes-128-ctr 文件",
    ),
    (
        "scrypt needs n, a power of two above 1, and r and p from 1",
        "scrypt 的 n 须为大于 1 的二的幂，r 与 p 至少为 1",
    ),
    ("scrypt asks for more than {} MiB or {} lanes", "scrypt 要求超过 {} MiB 或 {} 条通道"),
    (
        "the parameters of {} are incomplete, or others than this program reads",
        "{} 的参数不全，或本程序不读取",
    ),
    ("pbkdf2 asks for {} rounds; 1 to {} are allowed", "pbkdf2 要求 {} 轮；允许 1 到 {}"),
    ("The memo cannot be opened", "附言无法打开"),
    ("ask the payer what it said", "请向付款人询问内容"),
    ("its form is not that of a sealed memo", "格式不是加密附言"),
    ("it names no public key", "其中没有公钥"),
    ("it was changed, or belongs to another payment", "它被改动，或属于另一笔付款"),
    ("The memo was not sealed", "附言没有加密"),
    ("it has {} readers; 1 to {} can be", "有 {} 个读者；可有 1 到 {} 个"),
    ("name the payer, the payee and at most one auditor", "请指定付款人、收款人及至多一名审计人"),
    ("it has {} bytes; for {} readers at most {} fit", "有 {} 字节；{} 个读者时最多 {}"),
    ("write less", "请写短些"),
    ("The recovery phrase was not accepted", "助记词不被接受"),
    ("it has {} words", "有 {} 个词"),
    ("type all 12, 15, 18, 21 or 24 words", "请输入全部 12、15、18、21 或 24 个词"),
    ("not in the {} word list: word {}", "不在 {} 词表中：第 {} 个词"),
    ("compare these words with what you wrote down", "请与您抄写的内容核对"),
    ("all words are known, but they do not fit together", "每个词都认识，但合不成一组"),
    ("check their order", "请检查顺序"),
)

_HOLE: Final = "{}"


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return the sentences with the most words of their own first: what says more fits better."""
    ordered = sorted(SENTENCES, key=lambda pair: -len(pair[0].replace(_HOLE, "")))
    return tuple(
        (re.compile("(.+?)".join(map(re.escape, en.split(_HOLE))), re.DOTALL), zh) for en, zh in ordered
    )


def say_in_chinese(text: str) -> str:
    """Return the Chinese of an English sentence, its values in place; the same text when it has none."""
    body = text.removesuffix(".")
    for pattern, chinese in _patterns():
        found = pattern.fullmatch(body)
        if found is not None:
            stop = "" if body == text else "。"
            return chinese.format(*map(say_in_chinese, found.groups())) + stop
    return text
