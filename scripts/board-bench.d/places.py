"""Where this script's own files are, and where what it makes goes."""

import pathlib

from common import TARGET

HERE = pathlib.Path(__file__).resolve().parent
OUT = TARGET / "board-bench"
