"""The chart in Chinese: sentences drawn from a family of templates, facts taken from the truth alone.

Family A writes for ordinary patients, family B for the benchmark's. They share medical terms (names of
diseases, lobes, drugs), not sentence patterns: a model that only learned A's wording shows it on B.
"""

from datetime import date

import numpy as np

from p2med.synth.families import FAMILIES
from p2med.synth.illness import Examination, Lungs, Visit
from p2med.synth.people import HOSPITAL, OTHER_HOSPITALS, Person

Sections = dict[str, str]


class Writer:
    """Writes one patient's texts. Every choice comes from `rng`, so the same seed says the same."""

    def __init__(self, family: str, rng: np.random.Generator, person: Person):
        self.words = FAMILIES[family]
        self.rng = rng
        self.person = person

    def say(self, key: str, **facts: object) -> str:
        """One sentence pattern of the family, filled with facts; {a|b} inside it is a synonym to draw."""
        pattern = str(self.rng.choice(self.words[key]))
        while "{{" in pattern:
            start, end = pattern.index("{{"), pattern.index("}}")
            options = pattern[start + 2 : end].split("|")
            pattern = pattern[:start] + str(self.rng.choice(options)) + pattern[end + 2 :]
        return pattern.format(**facts)

    def some(self, keys: tuple[str, ...], share: float = 0.7, **facts: object) -> str:
        """Some of these sentences in a drawn order."""
        kept = [k for k in keys if self.rng.random() < share]
        order = self.rng.permutation(len(kept))
        return "".join(self.say(kept[i], **facts) for i in order)

    def maybe(self, share: float, key: str, **facts: object) -> str:
        return self.say(key, **facts) if self.rng.random() < share else ""

    # ------------------------------------------------------------ radiology

    def report(self, e: Examination, before: date | None) -> Sections:
        """Findings and impression of one examination, in agreement with its truth."""
        lungs = e.lungs
        kind = "ct" if e.modality == "CT" else "xray"
        findings = [self.say(f"{kind}_opening")]
        findings.append(self._pattern(lungs, kind))
        if lungs.hyperinflation:
            findings.append(self.say(f"{kind}_hyperinflation"))
        if lungs.effusion_side:
            amount = "少量" if lungs.effusion_amount < 0.65 else "中等量"
            findings.append(self.say(f"{kind}_effusion", side=lungs.effusion_side, amount=amount))
        else:
            findings.append(self.say("no_effusion"))
        if e.enhanced:
            findings.append(self.say("ct_enhanced"))
        findings.append(self.some(("heart", "mediastinum", "bones"), 0.75))
        if before and lungs.course != "first":
            findings.append(self._comparison(lungs, before))
        return {"findings": "".join(findings), "impression": self._impression(lungs, before)}

    def _pattern(self, lungs: Lungs, kind: str) -> str:
        size = 1.0 + 2.5 * lungs.size
        if lungs.pattern == "lobar":
            return self.say(f"{kind}_lobar", lobe=lungs.lobe, size=f"{size:.1f}")
        side = {"右": "右肺", "左": "左肺", "双": "两肺"}[lungs.side]
        return self.say(f"{kind}_{lungs.pattern}", side=side)

    def _comparison(self, lungs: Lungs, before: date) -> str:
        day = f"{before.year}年{before.month}月{before.day}日"
        if lungs.pattern == "normal":
            return self.say("compare_normal", day=day)
        return self.say(f"compare_{lungs.course}", day=day)

    def _impression(self, lungs: Lungs, before: date | None) -> str:
        """Terms of the trade; both families name the diseases by the same words."""
        found = []
        if lungs.pattern == "lobar":
            found.append(self.say("impression_lobar", lobe=lungs.lobe))
        elif lungs.pattern != "normal":
            found.append(self.say(f"impression_{lungs.pattern}"))
        if lungs.effusion_side:
            found.append(f"{lungs.effusion_side}侧胸腔积液")
        if lungs.hyperinflation:
            found.append(self.say("impression_hyperinflation"))
        if not found:
            return self.say("impression_normal")
        tail = ""
        if before and lungs.course == "absorbing":
            tail = self.say("impression_absorbing")
        if len(found) == 1:
            return f"{found[0]}{tail}。"
        return (
            "".join(f"{n}.{f}{'；' if n < len(found) else ''}" for n, f in enumerate(found, 1)) + f"{tail}。"
        )

    # ------------------------------------------------------------ records

    def outpatient(self, visit: Visit) -> Sections:
        fever = self._fever(visit)
        facts = self._facts(visit, fever=fever)
        return {
            "chief_complaint": self.say("chief_fever" if visit.fever else "chief", **facts),
            "history": self.say("history_opening", **facts)
            + self.some(("cough", "sputum", "nose", "appetite", "sleep", "stool"), 0.6, **facts)
            + fever
            + self.maybe(0.25, "history_other_hospital", **facts)
            + self.maybe(0.15, "history_school", **facts),
            "past": self.some(("past_birth", "past_allergy", "past_vaccine"), 0.8),
            "physical": self._physical(visit),
            "diagnosis": visit.diagnosis,
            "recommendation": self._advice(visit, facts),
            "plan": self._plan(visit, facts),
        }

    def _facts(self, visit: Visit, fever: str = "") -> dict[str, object]:
        p = self.person
        return {
            "name": p.name,
            "guardian": p.guardian,
            "days": visit.days_ill,
            "temperature": visit.fever or 36.8,
            "fever": fever,
            "diagnosis": visit.diagnosis,
            "phone": p.phone,
            "address": p.address,
            "school": p.school,
            "hospital": HOSPITAL,
            "other": self.rng.choice(OTHER_HOSPITALS),
            "before": f"{visit.day.month}月{max(1, visit.day.day - 1)}日",
            "doctor": p.doctor,
            "senior": p.senior,
            "chief": p.chief,
            "visit": visit.visit_id,
            "age": _age(p.birth_date, visit.day),
            "sex": "男" if p.sex == "M" else "女",
            "spo2": int(self.rng.integers(92, 99)),
            "white": f"{self.rng.uniform(5, 18):.1f}",
            "crp": int(self.rng.integers(3, 70)),
        }

    def _fever(self, visit: Visit) -> str:
        return self.say("fever", temperature=visit.fever) if visit.fever else self.say("no_fever")

    def _physical(self, visit: Visit) -> str:
        lungs = visit.examinations[0].lungs if visit.examinations else None
        ill = lungs is not None and lungs.pattern in ("lobar", "bronchopneumonia")
        sound = (
            "rales"
            if ill
            else "wheeze"
            if "哮喘" in visit.diagnosis or "毛细" in visit.diagnosis
            else "clear"
        )
        start = self.say(
            "physical_opening", temperature=visit.fever or 36.8, rate=int(self.rng.integers(90, 150))
        )
        return start + self.say(f"physical_{sound}") + self.some(("heart_sounds", "abdomen", "throat"), 0.8)

    def _plan(self, visit: Visit, facts: dict[str, object]) -> str:
        drug = self._drug(visit.diagnosis)
        plan = self.say("plan", drug=drug, **facts) + self.some(("plan_nebuliser", "plan_test"), 0.6, **facts)
        return plan + self.maybe(0.12, "signature", **facts)

    def _drug(self, diagnosis: str) -> str:
        if "支原体" in diagnosis:
            return "阿奇霉素"
        if "病毒" in diagnosis or "感染" in diagnosis or "毛细" in diagnosis:
            return "小儿豉翘清热颗粒"
        if "哮喘" in diagnosis:
            return "布地奈德混悬液"
        return str(self.rng.choice(("阿莫西林克拉维酸钾", "头孢克洛", "头孢地尼")))

    def _advice(self, visit: Visit, facts: dict[str, object]) -> str:
        text = self.say("advice", **facts) + self.some(("advice_rest", "advice_return"), 0.8, **facts)
        return text + self.maybe(0.08, "advice_phone", **facts)

    def first_course(self, visit: Visit) -> Sections:
        facts = self._facts(visit, fever=self._fever(visit))
        features = self._features(visit, facts)
        return {
            "history": self.say("history_opening", **facts)
            + self.some(("cough", "sputum", "appetite", "stool"), 0.7, **facts)
            + str(facts["fever"])
            + self.maybe(0.3, "history_other_hospital", **facts)
            + self.maybe(0.2, "history_address", **facts),
            "physical": self._physical(visit),
            "auxiliary": self._auxiliary(visit, facts),
            "features": features,
            "basis": self._basis(visit, facts),
            "diagnosis": self._inpatient_diagnosis(visit, first=True),
            "plan": self._inpatient_plan(visit, facts),
        }

    def senior_round(self, visit: Visit, chief: bool) -> Sections:
        facts = self._facts(visit, fever=self._fever(visit))
        return {
            "features": self._features(visit, facts),
            "additional": self.say("additional", **facts) + self._physical(visit),
            "basis": self._basis(visit, facts),
            "diagnosis": self._inpatient_diagnosis(visit, first=False),
            "plan": self._inpatient_plan(visit, facts)
            + self.maybe(0.25, "chief_signature" if chief else "senior_signature", **facts),
        }

    def _features(self, visit: Visit, facts: dict[str, object]) -> str:
        return (
            self.say("features", **facts) + self.some(("cough", "sputum"), 0.7, **facts) + str(facts["fever"])
        )

    def _auxiliary(self, visit: Visit, facts: dict[str, object]) -> str:
        blood = self.say("blood", **facts)
        films = [e for e in visit.examinations if e.reported]
        return blood + (self.say("film", impression=self._impression(films[0].lungs, None)) if films else "")

    def _basis(self, visit: Visit, facts: dict[str, object]) -> str:
        lungs = visit.examinations[0].lungs
        lines = [self.say("basis_history", **facts)]
        ill = lungs.pattern in ("lobar", "bronchopneumonia")
        lines.append(self.say("basis_rales" if ill else "basis_clear"))
        lines.append(self.say("basis_film", impression=self._impression(lungs, None)))
        return "".join(f"{n}.{line}" for n, line in enumerate(lines, 1))

    def _inpatient_diagnosis(self, visit: Visit, first: bool) -> str:
        lungs = visit.examinations[0].lungs
        names = [visit.diagnosis]
        if lungs.effusion_side:
            names.append(f"{lungs.effusion_side}侧胸腔积液")
        if not first and lungs.size > 0.85 and "肺炎" in visit.diagnosis:
            names.append("呼吸衰竭")
        return "".join(f"{n}.{name}" for n, name in enumerate(names, 1)) if len(names) > 1 else names[0]

    def _inpatient_plan(self, visit: Visit, facts: dict[str, object]) -> str:
        drug = "阿奇霉素" if "支原体" in visit.diagnosis else str(self.rng.choice(("头孢曲松", "头孢噻肟")))
        if "病毒" in visit.diagnosis:
            drug = "干扰素雾化"
        steps = [self.say("ward_care"), self.say("ward_drug", drug=drug), self.say("ward_test")]
        steps += [self.say("ward_talk", **facts)] if self.rng.random() < 0.4 else []
        return "".join(f"{n}.{s}" for n, s in enumerate(steps, 1))


def _age(birth: date, day: date) -> str:
    days = (day - birth).days
    if days < 28:
        return f"{days}天"
    return f"{days // 30}月" if days < 730 else f"{days // 365}岁"
