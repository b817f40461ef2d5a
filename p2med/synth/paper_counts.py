"""The counts of the paper's data, P2Med-MD."""

from datetime import date

# Sec. V-A.1
OUTPATIENTS, INPATIENTS = 163_999, 8_684
COUNTS = {
    "outpatient_record": 684_758,
    "xray": 67_616,
    "ct": 2_321,
    "first_course_record": 9_180,
    "attending_round_record": 9_993,
    "chief_round_record": 6_426,
}
FIRST_DAY, DAYS = date(2016, 8, 26), 2623  # to 2023-11-01
