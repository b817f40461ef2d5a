"""What deid stores of a file is the truth too: its clean copy may refuse more, but never tell another."""

from pathlib import Path

from truth_maker import judge, studies

from p2med.deid.clean_pixels import Job, _read
from p2med.deid.dicom_out import Person
from p2med.deid.pseudonym import PUBLIC_KEY, Pseudonyms

# What only deid refuses: tables and padding values that its clean file cannot hold.
STRICTER = {"padding_beyond_12_bits", "film_modality_table", "film_falling_table", "film_two_tables"}


def test_no_study_fails_silently_on_the_way_through_deid(tmp_path: Path):
    names, person = Pseudonyms(PUBLIC_KEY), Person("p1", -3)

    def read(files: list[bytes]):
        paths = [tmp_path / f"{n}.dcm" for n in range(len(files))]
        for path, content in zip(paths, files, strict=True):
            path.write_bytes(content)
        return _read(names, "reject", False, Job("dicom", tuple(map(str, paths)), person)).array

    concerned = ("film_", "ct_", "padding_", "enhanced_", "laid_", "sign_", "overlay_")
    verdicts = {m.name: judge(m, read) for m in studies(seed=6) if m.name.startswith(concerned)}
    assert "silent" not in verdicts.values()
    assert {n for n, v in verdicts.items() if v == "wrongly_refused"} == STRICTER
    assert sum(v == "right" for v in verdicts.values()) > 70
