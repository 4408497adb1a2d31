"""Published figures to set ours beside, each with where it was published.

Values are percent, gains are percentage points over the same model without teachers. What a figure's protocol
was is given by the name of ours that comes nearest; where the publication does not say, `remark` does.
"""

from dataclasses import asdict, dataclass
from typing import Any

AUGMENTED = (
    "R. Dai, S. Das, F. Bremond: Learning an Augmented RGB Representation with Cross-Modal Knowledge "
    "Distillation for Action Detection. ICCV 2021, pp. 13053-13064 (arXiv:2108.03619)"
)
SUPER_EVENTS = (
    "A. Piergiovanni, M. S. Ryoo: Learning Latent Super-Events to Detect Multiple Activities in Videos. "
    "CVPR 2018 (arXiv:1712.01938); README of piergiaj/super-events-cvpr18"
)
TGM = "A. Piergiovanni, M. S. Ryoo: Temporal Gaussian Mixture Layer for Videos. ICML 2019 (arXiv:1803.06316)"
PDAN = (
    "R. Dai, S. Das, L. Minciullo, L. Garattoni, G. Francesca, F. Bremond: PDAN: Pyramid Dilated Attention "
    "Network for Action Detection. WACV 2021, pp. 2970-2979"
)
CTRN = (
    "R. Dai, S. Das, F. Bremond: CTRN: Class-Temporal Relational Network for Action Detection. BMVC 2021 "
    "(arXiv:2110.13473)"
)
MSTCT = (
    "R. Dai, S. Das, K. Kahatapitiya, M. S. Ryoo, F. Bremond: MS-TCT: Multi-Scale Temporal ConvTransformer "
    "for Action Detection. CVPR 2022 (arXiv:2112.03902)"
)
PAT = (
    "F. Sardari, A. Mustafa, P. J. B. Jackson, A. Hilton: PAT: Position-Aware Transformer for Dense "
    "Multi-Label Action Detection. 2023 (arXiv:2308.05051)"
)
MOVIE = "MoVie. CVPR 2026"
ACTIONFORMER = (
    "C. Zhang, J. Wu, Y. Li: ActionFormer: Localizing Moments of Actions with Transformers. ECCV 2022 "
    "(arXiv:2202.07925); README of happyharrycn/actionformer_release"
)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One published result. `row` names the row of ours that is the same method, where there is one."""

    method: str
    inputs: str  # what the model sees at test
    protocol: str  # ours that it is set beside
    source: str
    value: float | None = None  # percent
    gain: float | None = None  # percentage points over vanilla
    row: str | None = None
    remark: str = ""

    def __post_init__(self) -> None:
        if (self.value is None) == (self.gain is None) or not self.source:
            raise ValueError(f"a published figure is a value or a gain, and has a source; got {self}")

    def text(self) -> str:
        """As it is quoted."""
        return f"{self.value:.1f}" if self.value is not None else f"vanilla {self.gain:+.1f}"

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def _frame(method: str, value: float, source: str, *, inputs: str = "RGB", remark: str = "") -> Figure:
    """A per-frame mAP over all steps of all test videos, as the code of PDAN and MS-TCT measures it."""
    return Figure(
        method=method, inputs=inputs, protocol="grid_map/all", source=source, value=value, remark=remark
    )


def _augmented(**of: Any) -> Figure:
    values: dict[str, Any] = {"method": "Augmented-RGB", "inputs": "RGB", "row": "augmented", **of}
    return Figure(source=AUGMENTED, **values)


_STEPS = "its README: over all time steps, not weighted"
_UNSAID = "which of the frame-mAP variants is not said"
_BOTH = "RGB + flow"

CHARADES = (
    _frame("I3D baseline", 17.2, SUPER_EVENTS, inputs=_BOTH, remark=_UNSAID),
    _frame("Super-events", 19.4, SUPER_EVENTS, inputs=_BOTH, remark=_UNSAID),
    _frame(
        "TGM + super-events",
        22.3,
        TGM,
        inputs=_BOTH,
        remark=f"{_UNSAID}; the README of piergiaj/tgm-icml19 has 21.8",
    ),
    _frame("PDAN", 23.7, PDAN, remark=_STEPS),
    _frame("CTRN", 25.3, CTRN, remark=_UNSAID),
    _augmented(gain=2.3, protocol="grid_map/all", remark=_UNSAID),
    _frame("MS-TCT", 25.4, MSTCT, remark="users who ran its code had 24.9, and 19.9 with poor features"),
    _frame("PAT", 26.5, PAT, remark=_UNSAID),
    _frame("MoVie", 29.2, MOVIE, inputs="pose + RGB, I3D", remark=_UNSAID),
)
MULTITHUMOS = (
    _frame("I3D baseline", 29.7, SUPER_EVENTS, inputs=_BOTH),
    _frame("Super-events", 36.4, SUPER_EVENTS, inputs=_BOTH),
    _frame("TGM + super-events", 46.4, TGM, inputs=_BOTH),
    _frame("CTRN", 44.0, CTRN),
    _augmented(value=44.6, protocol="grid_map/all"),
    _augmented(gain=6.8, protocol="grid_map/all"),
    _frame("MS-TCT", 43.1, MSTCT),
    _frame("PAT", 44.6, PAT),
    _frame("MoVie", 46.8, MOVIE, inputs="pose + RGB, I3D"),
)
TSU_CS = (
    _frame("PDAN", 32.7, PDAN),
    _augmented(value=32.8, protocol="grid_map/all"),
    _frame("MS-TCT", 33.7, MSTCT),
    _frame("MoVie", 49.6, MOVIE, inputs="pose + RGB, I3D"),
)
TSU_CV = (
    _augmented(value=24.6, protocol="grid_map/all"),
    _frame("MoVie", 28.6, MOVIE, inputs="pose + RGB, I3D"),
)
_PKU = "the paper's summary does not say of which split"
PKU_MMD = (
    _augmented(gain=5.9, protocol="event_map/action@0.1", remark=_PKU),
    _augmented(gain=3.1, protocol="event_map/action@0.1", method="Atomic alone", row="atomic", remark=_PKU),
    _augmented(gain=4.1, protocol="event_map/action@0.1", method="Global alone", row="global", remark=_PKU),
    _augmented(
        gain=3.5, protocol="event_map/action@0.1", method="Boundary alone", row="boundary", remark=_PKU
    ),
)
THUMOS14 = (
    Figure(
        method="ActionFormer",
        inputs=_BOTH,
        protocol="segment_map@0.3:0.7",
        source=ACTIONFORMER,
        value=62.6,
        remark="learns segments, not frames",
    ),
)
