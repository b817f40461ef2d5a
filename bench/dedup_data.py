"""Records like outpatient records, for measuring deduplication: lengths and likeness as in a hospital's.

About 372 characters (log-normal, 80 to 1,500), half of it stock sentences (two records share about 7 % of
their n-grams), 30 % edited copies of an earlier record with Jaccard 0.6 to 1. Nothing here means anything.

    python bench/dedup_data.py OUT.parquet --records 684758
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

WORDS = """
患儿 咳嗽 发热 喘息 气促 流涕 鼻塞 咽痛 声嘶 咯痰 腹泻 呕吐 纳差 精神 反应 面色
睡眠 大便 小便 皮疹 抽搐 头痛 腹痛 胸痛 夜间 晨起 运动 阵发 持续 轻度 中度 明显
稍有 无明 加重 好转 反复 偶有 单声 连声 犬吠 黄痰 白痰 粘稠 清涕 脓涕 体温 最高
口服 静滴 雾化 布地 奈德 头孢 阿奇 霉素 退热 止咳 化痰 平喘 抗感 染后 入院 门诊
复诊 随诊 建议 多饮 休息 清淡 饮食 避免 受凉 胸片 血常 规示 白细 胞高 淋巴 中性
粒细 支原 体阴 衣原 流感 病毒 阳性 阴性 未查 已查 一天 两天 三天 四天 五天 一周
两周 半月 一月 上周 昨日 今晨 家长 代诉 否认 异物 吸入 史无 过敏 接种 按时 足月
顺产 剖宫 母乳 人工 喂养 发育 正常 同龄 咽部 充血 扁桃 肿大 颈软 双肺 呼吸 音粗
可闻 湿啰 干啰 哮鸣 未闻 心音 有力 律齐 腹软 肝脾 肋下 未及 四肢 活动 神清 三凹
征无 口唇 红润 紫绀 毛细 血管 充盈
""".split()
DISEASES = (
    "急性上呼吸道感染 急性支气管炎 支气管肺炎 毛细支气管炎 喘息性支气管炎 急性扁桃体炎 急性喉炎".split()
)
STOCK, STOCK_SHARE = 20, 0.5
COPIES = 0.3
BATCH = 4096


def sentence(rng: np.random.Generator) -> str:
    return "".join(rng.choice(WORDS, rng.integers(4, 8)).tolist()) + "，。"[rng.integers(2)]


def edited(text: str, jaccard: float, rng: np.random.Generator) -> str:
    """Single characters replaced, each of which costs five 5-grams on both sides."""
    count = round(len(text) * (1 - jaccard) / (5 * (1 + jaccard)))
    changed = np.array(list(text))
    places = rng.choice(len(text), count, replace=False)
    changed[places] = [chr(p) for p in rng.integers(0x4E00, 0x9FA5, count)]
    return "".join(changed.tolist())


def batches(
    count: int, seed: int = 0, copies: float = COPIES, lowest: float = 0.6
) -> Iterator[pa.RecordBatch]:
    """Batches of (id, text, diseases); a copy has its original in the same batch, as visits of a week do."""
    rng = np.random.default_rng(seed)
    stock = [sentence(rng) for _ in range(STOCK)]
    for start in range(0, count, BATCH):
        texts: list[str] = []
        size = min(BATCH, count - start)
        words = rng.choice(WORDS, size * 160)
        lengths = np.clip(rng.lognormal(5.78, 0.5, size), 80, 1500)
        used = 0
        for n in range(size):
            if texts and rng.random() < copies:
                texts.append(edited(texts[rng.integers(n)], rng.uniform(lowest, 1), rng))
                continue
            parts, long = [], 0
            while long < lengths[n]:
                if rng.random() < STOCK_SHARE:
                    parts.append(stock[rng.integers(STOCK)])
                else:
                    many = int(rng.integers(4, 8))
                    parts.append("".join(words[used : used + many]) + "，")
                    used = (used + many) % (len(words) - 8)
                long += len(parts[-1])
            texts.append("".join(parts))
        diseases = [[d] for d in rng.choice(DISEASES, size, p=[0.4, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03])]
        ids = [f"r{start + n:08d}" for n in range(size)]
        yield pa.record_batch({"id": ids, "text": pa.array(texts, pa.large_string()), "diseases": diseases})


def write(path: Path, count: int, seed: int = 0) -> None:
    writer = None
    for batch in batches(count, seed):
        writer = writer or pq.ParquetWriter(path, batch.schema, compression="zstd")
        writer.write_batch(batch)
    if writer is not None:
        writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--records", type=int, default=684_758)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    write(arguments.out, arguments.records, arguments.seed)


if __name__ == "__main__":
    main()
