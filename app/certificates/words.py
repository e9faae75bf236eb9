"""The words of a certificate, in English and Chinese. One table, so that nothing is said in one language alone."""

from app.certificates.claims import Lang

WORDS: dict[str, tuple[str, str]] = {
    # key: (English, Chinese)
    "title": ("Certificate of Evidence Deposition", "电子证据存证证书"),
    "number": ("Certificate number", "证书编号"),
    "issued": ("Issued", "出具时间"),
    "page": ("Page {page} of {pages}", "第 {page} 页，共 {pages} 页"),
    "summary_title": ("In plain words", "概要"),
    "summary": (
        "{depositor} deposited {count} on {when}. Since then every copy of the deposit can be compared with this "
        "record: a change of a single bit shows. The evidence itself is sealed; it is opened only by {k} of {n} judges "
        "together, or was opened as stated below.",
        "{depositor}于{when}存证{count}。自该时起，任何副本均可与本记录比对，哪怕改动一个比特也会被发现。"
        "证据内容处于密封状态，须由{n}名法官中的{k}名共同开启，或已按下文所述开启。",
    ),
    "one_file": ("one file", "1 个文件"),
    "files": ("{count} files", "{count} 个文件"),
    "deposit": ("The deposit", "存证"),
    "deposit_id": ("Deposit", "存证编号"),
    "statement": ("Digest of the deposit statement (SHA-256)", "存证声明摘要（SHA-256）"),
    "case": ("Case", "案件编号"),
    "count": ("Files", "文件数"),
    "sealed": ("Sealed size", "密封后大小"),
    "bytes": ("{size} bytes", "{size} 字节"),
    "description": ("Description, by the depositor", "说明（存证人填写）"),
    "origin": ("Origin before deposit, by the depositor", "存证前来源（存证人填写）"),
    "hidden": ("not disclosed", "未披露"),
    "none_given": ("disclosed: nothing was stated", "已披露：未填写"),
    "items": ("The files", "文件"),
    "item": ("File {index}", "文件 {index}"),
    "name": ("Name", "名称"),
    "type": ("Type", "类型"),
    "size": ("Size", "大小"),
    "sha256": ("SHA-256", "SHA-256"),
    "declared": (
        "Declared by the depositor, not yet opened",
        "存证人声明，尚未开启核对",
    ),
    "equal": ("Opened, and equal to the declaration", "已开启，与声明一致"),
    "not_equal": ("Opened, and NOT equal to the declaration", "已开启，与声明不一致"),
    "undeclared": ("Opened; nothing had been declared", "已开启；此前未作声明"),
    "malformed": (
        "The recipient reported that the deposit could not be opened as declared",
        "接收人报告：该存证无法按声明开启",
    ),
    "status": ("Status", "状态"),
    "people": ("Who deposited, who can open", "存证人与开启权"),
    "depositor": ("Depositor", "存证人"),
    "member": ("Identity key (RFC 7638 thumbprint)", "身份密钥（RFC 7638 指纹）"),
    "assurance": ("How identified", "身份核验"),
    "enrolled": (
        "Enrolled by the registrar of the registry. No certificate of a certification authority, bound to the "
        "depositor's key, is shown here.",
        "由本登记机构登记员登记入册。本文件未出示与该密钥绑定的电子认证机构证书。",
    ),
    "certified": (
        "Enrolled by the registrar; an X.509 certificate is bound to the depositor's key, and its key signed for that. "
        "Subject: {subject}. Issuer: {issuer}. That its root is to be trusted, and that it was not revoked then, is "
        "the registrar's word.",
        "由登记员登记入册，且存证人密钥绑定 X.509 证书，并经该证书密钥签名确认。主体：{subject}。颁发者：{issuer}。"
        "其根证书可信及当时未被吊销，由登记员确认。",
    ),
    "panel": ("Panel of judges", "法官小组"),
    "k_of_n": ("{k} of {n} judges open together; panel {id}", "{n} 名法官中 {k} 名共同开启；小组 {id}"),
    "required": ("Signatures required", "所需签名"),
    "required_is": (
        "one, by the depositor; the registry's log and its witnesses sign the record that holds it",
        "存证人一人签名；登记日志及其见证方对包含该声明的记录签名",
    ),
    "actual": ("Signatures present", "实际签名"),
    "time": ("Time", "时间"),
    "received": ("Received, by the registry's clock", "收到时间（登记机构时钟）"),
    "before": ("Last anchor before the entry", "该条目之前的最近锚定"),
    "after": ("First anchor that covers it", "覆盖该条目的首个锚定"),
    "by_authority": ("{time}, says the time-stamp authority {name}", "{time}，由时间戳机构 {name} 证明"),
    "by_block": (
        "about {time}, by Bitcoin block {height} (its clock may be off by two hours)",
        "约 {time}，见比特币区块 {height}（其时间可能有两小时偏差）",
    ),
    "no_anchor": ("none in this certificate", "本证书未含"),
    "ledger": ("The record", "登记账本"),
    "log": ("Ledger", "账本"),
    "entry": ("Entry", "条目"),
    "entry_is": ("number {index} (counted from 0)", "第 {index} 号（自 0 起）"),
    "checkpoint": ("Checkpoint", "检查点"),
    "checkpoint_is": ("{size} entries", "共 {size} 条"),
    "root": ("Its root (SHA-256)", "其根（SHA-256）"),
    "cosigned": ("Signed by", "签署方"),
    "verification": ("Technical verification at issue", "出具时的技术核验"),
    "result": ("Result", "结果"),
    "result_is": (
        "The office checked signature, identity, ledger and disclosures before it sealed this certificate. "
        "Proof level: {level}.",
        "本机构在盖章前已核验签名、身份、账本与披露内容。证明等级：{level}。",
    ),
    "level_received": ("received (the registry's word)", "已收到（登记机构的确认）"),
    "level_witnessed": ("witnessed (others cosigned the record)", "已见证（他方共同签署账本）"),
    "level_timestamped": ("time-stamped (time-stamp authorities)", "已加盖时间戳（时间戳机构）"),
    "level_anchored": ("anchored (a block of the Bitcoin chain)", "已锚定（比特币区块）"),
    "trust": ("Under the trust file (SHA-256)", "所依信任文件（SHA-256）"),
    "how": ("How to check this certificate", "如何核验本证书"),
    "how_text": (
        "Take the court's trust file from its gazette, never from whoever hands you this certificate. Then, offline: "
        "muniment verify certificate.pdf FILE --trust trust.json. Or open {verify}, which checks in your own browser "
        "and uploads nothing. Any PDF reader shows whether the seal is whole; the attached proof.json can be checked "
        "with other C2SP and RFC 3161 tools.",
        "请从法院公告取得信任文件，切勿使用证书提交人提供的文件。随后离线执行："
        "muniment verify certificate.pdf 文件 --trust trust.json。"
        "亦可打开 {verify}，核验在您的浏览器内完成，不上传任何内容。"
        "任何 PDF 阅读器均可显示印章是否完整；附件 proof.json 可用其他 C2SP 与 RFC 3161 工具核验。",
    ),
    "not": ("What this certificate does not prove", "本证书不证明的事项"),
    "not_truth": (
        "that the content is true, who wrote it, or that it was collected lawfully",
        "内容属实、作者身份或取证合法",
    ),
    "not_before": (
        "anything about the evidence before the time at which it was received",
        "收到时间之前与证据有关的任何事项",
    ),
    "not_declared": (
        "that a name, size or digest marked as declared is that of the sealed evidence: an opening shows that",
        "标为“声明”的名称、大小或摘要与密封证据相符：须经开启核对",
    ),
    "not_revoked": (
        "that the depositor's key was not revoked later: ask the registry",
        "存证人密钥此后未被撤销：请向登记机构查询",
    ),
    "office": ("Issued by", "出具机构"),
    "responsible": ("Responsible person", "负责人"),
    "contact": ("Contact", "联系方式"),
    "seal": ("Seal", "印章"),
    "seal_is": (
        "Electronic seal in this file (PAdES). The drawn seal is an ornament; only the electronic one counts.",
        "本文件含电子印章（PAdES）。图形印章仅为装饰，以电子印章为准。",
    ),
    "annex": ("Annex", "附录"),
    "qr": ("Check this certificate", "扫码核验"),
    "record_title": ("Record of a Release", "开启记录"),
    "record_summary": (
        "The record shows who asked for a sealed deposit, on what basis, who was notified, who decided what and when, "
        "and what {recipient} found. Every act is on the ledger, and was decided again by its rules.",
        "本记录载明何人依何依据申请开启、通知了何人、何人于何时作何决定，以及{recipient}的核对结果。各行为均载于账本并已按规则复核。",
    ),
    "release": ("The release", "开启"),
    "request": ("Request", "申请"),
    "order": ("Order", "裁定"),
    "paper": ("The order's paper (SHA-256)", "裁定文书（SHA-256）"),
    "recipient": ("Recipient", "接收人"),
    "notified": ("Who could read the request when it came", "申请到达时可知悉者"),
    "opens_at": ("Could be granted from", "可准许起始时间"),
    "expires_at": ("Was good until", "有效期至"),
    "outcome": ("How it ended", "结果"),
    "acts": ("The acts, in the ledger's order", "各行为（按账本次序）"),
    "record_not": ("What this record does not show", "本记录不能表明的事项"),
    "audit_title": ("Integrity Report of the Stores", "存储完整性报告"),
    "audit_well": (
        "Every one of {segments} segments of {deposits} deposits was there, of the digest that the ledger commits to, "
        "and locked for its term.",
        "{deposits}项存证的{segments}个分段均在库，摘要与账本承诺一致，且锁定期限足够。",
    ),
    "audit_found": (
        "There are {count} findings among {segments} segments of {deposits} deposits. They are listed below.",
        "在{deposits}项存证的{segments}个分段中有{count}项发现，列于下文。",
    ),
    "audit_what": ("What was looked at", "核查范围"),
    "begun": ("Begun", "开始"),
    "finished": ("Finished", "结束"),
    "interruptions": ("Interruptions", "中断次数"),
    "deposits": ("Deposits", "存证数"),
    "segments": ("Segments read", "已读分段"),
    "read": ("Bytes read", "已读字节"),
    "pending": ("Deposits with a lock or hold still due", "锁定或保全待办的存证"),
    "findings": ("Findings", "发现"),
    "more_findings": ("{count} more are in the attached report.", "另有 {count} 项载于所附报告。"),
    "audit_not": ("What this report does not show", "本报告不能表明的事项"),
    "audit_not_is": (
        "That the operator looked: his key signs it, and binds him to it. Whoever would rather not rely on it runs the "
        "audit on a copy of the stores.",
        "运营方确已核查：报告由其密钥签署并受其约束。不愿依赖者可在存储副本上自行核查。",
    ),
    "document_how": (
        "Take the court's trust file from its gazette. Then, offline: muniment verify document.pdf --trust trust.json. "
        "What these pages show is attached, and can be checked without them. See also {verify}.",
        "请从法院公告取得信任文件，随后离线执行：muniment verify document.pdf --trust trust.json。"
        "页面所示内容已作为附件，可单独核验。另见 {verify}。",
    ),
    "signed_by_log": ("the log {name}", "账本日志 {name}"),
    "signed_by_witness": ("witness {name}", "见证方 {name}"),
}


def languages(lang: Lang) -> tuple[int, ...]:
    """The columns of the table that a certificate in `lang` prints."""
    return {"en": (0,), "zh": (1,), "en+zh": (0, 1)}[lang]


def say(key: str, lang: Lang, **values: object) -> tuple[str, ...]:
    """Return the words of `key`, one text a language. `values` fill in; a tuple of texts goes language by language."""
    result = []
    for place, column in enumerate(languages(lang)):
        chosen = {name: value[place] if isinstance(value, tuple) else value for name, value in values.items()}
        result.append(WORDS[key][column].format(**chosen))
    return tuple(result)


def one(key: str, lang: Lang, **values: object) -> str:
    """Return the words of `key` on one line, languages side by side; equal ones once."""
    return " / ".join(dict.fromkeys(say(key, lang, **values)))
