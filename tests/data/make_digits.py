"""Makes digits.txt: small pictures of handwritten digits, for networks that are to learn something real in seconds.

    pip install scikit-learn
    python make_digits.py

The first 60 pictures each of 0, 1, 4 and 7, as scikit-learn has them, a line each: the digit, and its 8 × 8 pixels row by row, from 0 (paper)
to g (16, ink).

They are from "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak (UCI Machine Learning Repository, 1998,
doi:10.24432/C50P49), CC BY 4.0.
"""

from pathlib import Path

from sklearn.datasets import load_digits

EACH = 60
LEVELS = "0123456789abcdefg"

digits = load_digits()
lines = []
for digit in (0, 1, 4, 7):
    pictures = digits.data[digits.target == digit][:EACH].astype(int)
    lines += [f"{digit} {''.join(LEVELS[ink] for ink in picture)}\n" for picture in pictures]
(Path(__file__).parent / "digits.txt").write_text("".join(lines))
