"""The conforming serial log of the M8 scenario, on a first boot: the shapes of docs/reliability.md in the order of a run."""

LINES = r"""
OK: OO boot_count=1 mode=SAFE
GGUF detected: ctx=256 dim=288 layers=6 heads=6 kv_heads=6
OK: GGUF inference enabled (F16/F32/Q4/Q5/Q8).
[obs][startup] model_select_ms=12 model_prepare_ms=180 format=gguf
OK: Model loaded: models\stories15M.q8_0.gguf (dim=288, layers=6, heads=6, kv=6, vocab=32000, seq=256)
[llmk] Zone B: base=0x40000000 size=512 MiB
OK: REPL ready (/help)
You (autorun): /models
  summary: total=1 bin=0 gguf=1 bytes=26000000
You (autorun): /oo_consult_mock reduce ctx and reduce seq
OK: OO LLM suggested: reduce ctx and reduce seq
OK: OO confidence: score=80 threshold=0 gate=enforced pass=yes reason_id=OO_CONF_GATE_PASS
OK: OO feedback: good=0 bad=0 bias=0
OK: OO plan: enabled=yes max=2 used=0 remain=2 hard_stop=no reason_id=OO_PLAN_ACTIVE
OK: OO auto-apply: reduce_ctx (old=256 new=128 check=pass reason_id=OO_APPLY_OK)
OK: OO policy blocked: reduce_seq (reason=not_safe_low_ram)
OK: OO policy batch: 1 actions applied, 1 blocked
OK: OO consult logged to OOCONSULT.LOG
You (autorun): /oo_consult_mock increase context
OK: OO LLM suggested: increase context
OK: OO confidence: score=65 threshold=0 gate=enforced pass=yes reason_id=OO_CONF_GATE_PASS
OK: OO feedback: good=0 bad=0 bias=0
OK: OO plan: enabled=yes max=2 used=1 remain=1 hard_stop=no reason_id=OO_PLAN_ACTIVE
OK: OO policy blocked: increase (reason=safe_mode_no_increase reason_id=OO_BLOCK_DYNAMIC)
OK: OO policy batch: 0 actions applied, 1 blocked
OK: OO consult logged to OOCONSULT.LOG
You (autorun): /oo_jour
""".strip().split("\n")


def golden_log(select_ms: int = 12, prepare_ms: int = 180) -> str:
    """The whole log; its lines end in CRLF."""
    text = "".join(line + "\r\n" for line in LINES)
    return text.replace("model_select_ms=12", f"model_select_ms={select_ms}").replace("model_prepare_ms=180", f"model_prepare_ms={prepare_ms}")


def without(part: str) -> str:
    """The log without the lines that contain `part`."""
    return "".join(line + "\r\n" for line in LINES if part not in line)
